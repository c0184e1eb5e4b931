"""U-Time: parameter counts and feature shapes of method.md, rows of any number of cuts, answers every 30 s or 10 s."""

import pytest
import torch
from torch import Tensor

from sleepkd.data.inputs import BeatsInput, SignalInput
from sleepkd.models.taps import Taps
from sleepkd.losses.at import AttentionTransferSettings
from sleepkd.errors import UserError
from sleepkd.models import build_network
from sleepkd.models.utime import UTime, UTimeSettings

SAMPLES = 6000
SMALL = UTimeSettings(filters=(2, 2, 4, 4, 4), bottom_filters=4)
PUBLISHED = UTimeSettings()


def utime(
    classes: int, settings: UTimeSettings = SMALL, rate: float = SAMPLES / 30, answer_seconds: float = 30
) -> UTime:
    return UTime(settings, classes, {"ecg": SignalInput(rate)}, answer_seconds)


def cuts(*shape: int) -> dict[str, Tensor]:
    return {"ecg": torch.randn(*shape)}


@pytest.mark.parametrize(("classes", "parameters"), [(3, 4_813_215), (4, 4_813_240), (5, 4_813_267)])
def test_has_the_published_number_of_parameters(classes: int, parameters: int) -> None:
    network = utime(classes, PUBLISHED)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_features_have_the_published_shapes() -> None:
    network = utime(4, PUBLISHED).eval()
    taps = Taps(network, (*AttentionTransferSettings().student_taps, "segment_classifier"))
    with torch.no_grad():
        logits = network(cuts(2, 1, SAMPLES))
    shapes = {tap: tuple(feature.shape) for tap, feature in taps.pop().items()}
    assert [shapes[f"encoder.{i}.pool"] for i in range(5)] == [
        (2, 16, 2000), (2, 32, 1000), (2, 64, 500), (2, 128, 250), (2, 256, 125),
    ]  # fmt: skip
    assert shapes["bottom"] == (2, 512, 125)
    assert [shapes[f"decoder.{i}"] for i in range(5)] == [
        (2, 256, 250), (2, 128, 500), (2, 64, 1000), (2, 32, 2000), (2, 16, 6000),
    ]  # fmt: skip
    assert shapes["dense"] == (2, 4, 6000)
    assert shapes["segment_classifier"] == (2, 4, 1)
    assert logits.shape == (2, 1, 4)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_n_cuts_give_n_rows_of_logits(n: int) -> None:
    network = utime(3).eval()
    taps = Taps(network, ("segment_classifier",))
    logits = network(cuts(2, n, SAMPLES))
    assert taps.pop()["segment_classifier"].shape == (2 * n, 3, 1)  # cuts are convolved one by one
    assert logits.shape == (2, n, 3)


def test_logits_of_a_sleep_epoch_are_classified_means_of_its_own_samples() -> None:
    network = utime(3).eval()
    taps = Taps(network, ("dense",))
    logits_BNK = network(cuts(1, 2, SAMPLES))
    dense = taps.pop()["dense"]
    assert dense.abs().max() <= 1  # tanh
    classify = network.segment_classifier.classify
    for n in range(2):
        mean = dense[n].mean(dim=1)
        expected = classify.weight[:, :, 0] @ mean + classify.bias
        torch.testing.assert_close(logits_BNK[0, n], expected)


def test_cuts_do_not_see_one_another() -> None:
    """They may overlap, as those of 20-s sleep epochs do: what lies beside a cut in its row is not its neighbour."""
    network = utime(3).eval()
    x = torch.randn(1, 2, SAMPLES)
    changed = x.clone()
    changed[0, 1, :100] += 5
    logits, of_changed = (network({"ecg": of}) for of in (x, changed))
    assert torch.equal(logits[0, 0], of_changed[0, 0])
    assert not torch.equal(logits[0, 1], of_changed[0, 1])
    torch.testing.assert_close(network({"ecg": x[:, 1:]})[0, 0], logits[0, 1])


def test_on_the_grid_of_a_night_it_answers_every_10_s_and_context_reaches_across_answers() -> None:
    network = utime(3, answer_seconds=10).eval()
    x = torch.randn(2, 1, 4 * SAMPLES)
    logits = network({"ecg": x})
    assert logits.shape == (2, 12, 3)
    changed = x.clone()
    changed[0, 0, 2000:2100] += 5  # the second answer's own signal
    difference = (network({"ecg": changed}) - logits)[0].abs().amax(dim=1)
    assert difference[0] > 0 and difference[1] > 0  # and its neighbour's context
    assert difference[8:].max() == 0


def test_a_network_is_built_for_the_view_that_it_answers_in() -> None:
    for view, answers in (("epochs", 1), ("night", 3)):
        network = build_network(SMALL, 4, {"eeg": SignalInput(200.0)}, view).eval()
        assert network({"eeg": torch.zeros(2, 1, SAMPLES)}).shape == (2, answers, 4)


def test_weights_do_not_depend_on_how_often_it_answers() -> None:
    every_30, every_10 = utime(3).eval(), utime(3, answer_seconds=10).eval()
    every_10.load_state_dict(every_30.state_dict())
    x = cuts(2, 1, SAMPLES)
    torch.testing.assert_close(every_10(x).mean(dim=1, keepdim=True), every_30(x))


def test_starts_from_xavier_weights_and_zero_biases() -> None:
    network = utime(3, PUBLISHED)
    conv = network.encoder[2].blocks[0][0]
    bound = (6 / ((32 + 64) * 5)) ** 0.5  # Glorot & Bengio 2010, eq. 16
    assert 0.95 * bound < conv.weight.abs().max() <= bound
    assert not any(module.bias.any() for module in network.modules() if isinstance(module, torch.nn.Conv1d))


def test_order_is_convolution_relu_normalisation() -> None:
    kinds = [type(module).__name__ for module in utime(3).encoder[0].blocks[0]]
    assert kinds == ["Conv1d", "ReLU", "BatchNorm1d"]


def test_group_norm_makes_a_window_independent_of_its_batch() -> None:
    network = utime(3, UTimeSettings(filters=(2, 2, 4, 4, 8), bottom_filters=16, norm="group")).train()
    x = torch.randn(3, 1, SAMPLES)
    torch.testing.assert_close(network({"ecg": x})[:1], network({"ecg": x[:1]}))
    assert not list(network.buffers())


def test_refuses_a_length_that_pooling_does_not_divide() -> None:
    with pytest.raises(UserError, match=r"model.pools.*48-fold.*3000 samples"):
        utime(3, PUBLISHED, rate=100)


def test_refuses_a_rate_at_which_10_s_are_no_whole_number_of_samples() -> None:
    shallow = UTimeSettings(filters=(2, 2), pools=(2, 2), bottom_filters=2)
    assert utime(3, shallow, rate=8 / 3)  # 80 samples in 30 s
    with pytest.raises(UserError, match=r"utime cannot answer every 10 s at 2\.66667 Hz"):
        utime(3, shallow, rate=8 / 3, answer_seconds=10)


@pytest.mark.parametrize("inputs", [{}, {"beats": BeatsInput()}, {"ecg": SignalInput(64.0), "eeg": SignalInput(64.0)}])
def test_takes_one_signal(inputs: dict) -> None:
    with pytest.raises(UserError, match=r"model\.name: utime takes one signal, eeg or ecg"):
        UTime(SMALL, 3, inputs, 30)
