"""U-Time: published parameter counts and feature shapes, segments of n sleep epochs, outputs every 30 s or 10 s."""

import pytest
import torch
from torch import Tensor

from sleepkd.data.inputs import BeatsInput, SignalInput
from sleepkd.errors import UserError
from sleepkd.losses.at import AttentionTransferSettings
from sleepkd.models import build_network
from sleepkd.models.taps import Taps
from sleepkd.models.utime import UTime, UTimeSettings

SAMPLES = 6000
SMALL = UTimeSettings(filters=(2, 2, 4, 4, 4), bottom_filters=4)
PUBLISHED = UTimeSettings()


def utime(
    classes: int, settings: UTimeSettings = SMALL, rate: float = SAMPLES / 30, output_seconds: float = 30
) -> UTime:
    return UTime(settings, classes, {"ecg": SignalInput(rate)}, output_seconds)


def signal(*shape: int) -> dict[str, Tensor]:
    return {"ecg": torch.randn(*shape)}


@pytest.mark.parametrize(("classes", "parameters"), [(3, 4_813_215), (4, 4_813_240), (5, 4_813_267)])
def test_has_the_published_number_of_parameters(classes: int, parameters: int) -> None:
    network = utime(classes, PUBLISHED)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_features_have_the_published_shapes() -> None:
    network = utime(4, PUBLISHED).eval()
    taps = Taps(network, (*AttentionTransferSettings().student_modules, "segment_classifier"))
    with torch.no_grad():
        logits = network(signal(2, 1, SAMPLES))
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
def test_n_sleep_epochs_give_n_logits(n: int) -> None:
    network = utime(3).eval()
    taps = Taps(network, ("segment_classifier",))
    logits = network(signal(2, n, SAMPLES))
    assert taps.pop()["segment_classifier"].shape == (2 * n, 3, 1)  # each is convolved separately
    assert logits.shape == (2, n, 3)


def test_logits_of_a_sleep_epoch_are_classified_means_of_its_own_samples() -> None:
    network = utime(3).eval()
    taps = Taps(network, ("dense",))
    logits_BNK = network(signal(1, 2, SAMPLES))
    dense = taps.pop()["dense"]
    assert dense.abs().max() <= 1  # tanh
    classify = network.segment_classifier.classify
    for n in range(2):
        mean = dense[n].mean(dim=1)
        expected = classify.weight[:, :, 0] @ mean + classify.bias
        torch.testing.assert_close(logits_BNK[0, n], expected)


def test_sleep_epochs_of_a_segment_do_not_affect_one_another() -> None:
    """Widened 20-s sleep epochs overlap, so that neighbours in a segment are not neighbours in time."""
    network = utime(3).eval()
    x = torch.randn(1, 2, SAMPLES)
    changed = x.clone()
    changed[0, 1, :100] += 5
    before, after = (network({"ecg": signal}) for signal in (x, changed))
    assert torch.equal(before[0, 0], after[0, 0])
    assert not torch.equal(before[0, 1], after[0, 1])
    torch.testing.assert_close(network({"ecg": x[:, 1:]})[0, 0], before[0, 1])


def test_in_view_night_it_has_an_output_every_10_s_with_context_across_outputs() -> None:
    network = utime(3, output_seconds=10).eval()
    x = torch.randn(2, 1, 4 * SAMPLES)
    logits = network({"ecg": x})
    assert logits.shape == (2, 12, 3)
    changed = x.clone()
    changed[0, 0, 2000:2100] += 5  # the signal of the second output
    difference = (network({"ecg": changed}) - logits)[0].abs().amax(dim=1)
    assert difference[0] > 0 and difference[1] > 0  # the first one has it as context
    assert difference[8:].max() == 0


def test_the_view_sets_the_number_of_outputs() -> None:
    for view, outputs in (("epochs", 1), ("night", 3)):
        network = build_network(SMALL, 4, {"eeg": SignalInput(200.0)}, view).eval()
        assert network({"eeg": torch.zeros(2, 1, SAMPLES)}).shape == (2, outputs, 4)


def test_weights_do_not_depend_on_the_output_interval() -> None:
    every_30, every_10 = utime(3).eval(), utime(3, output_seconds=10).eval()
    every_10.load_state_dict(every_30.state_dict())
    x = signal(2, 1, SAMPLES)
    torch.testing.assert_close(every_10(x).mean(dim=1, keepdim=True), every_30(x))


def test_initial_weights_are_xavier_and_biases_zero() -> None:
    network = utime(3, PUBLISHED)
    conv = network.encoder[2].blocks[0][0]
    bound = (6 / ((32 + 64) * 5)) ** 0.5  # Glorot & Bengio 2010, eq. 16
    assert 0.95 * bound < conv.weight.abs().max() <= bound
    assert not any(module.bias.any() for module in network.modules() if isinstance(module, torch.nn.Conv1d))


def test_order_is_convolution_relu_normalisation() -> None:
    kinds = [type(module).__name__ for module in utime(3).encoder[0].blocks[0]]
    assert kinds == ["Conv1d", "ReLU", "BatchNorm1d"]


def test_group_norm_makes_a_segment_independent_of_its_batch() -> None:
    network = utime(3, UTimeSettings(filters=(2, 2, 4, 4, 8), bottom_filters=16, norm="group")).train()
    x = torch.randn(3, 1, SAMPLES)
    torch.testing.assert_close(network({"ecg": x})[:1], network({"ecg": x[:1]}))
    assert not list(network.buffers())


def test_a_length_that_pooling_does_not_divide_raises() -> None:
    with pytest.raises(UserError, match=r"model.pools.*48-fold.*3000 samples"):
        utime(3, PUBLISHED, rate=100)


def test_a_rate_at_which_10_s_are_no_whole_number_of_samples_raises() -> None:
    shallow = UTimeSettings(filters=(2, 2), pools=(2, 2), bottom_filters=2)
    assert utime(3, shallow, rate=8 / 3)  # 80 samples in 30 s
    with pytest.raises(UserError, match=r"utime cannot have an output every 10 s at 2\.66667 Hz"):
        utime(3, shallow, rate=8 / 3, output_seconds=10)


@pytest.mark.parametrize("inputs", [{}, {"beats": BeatsInput()}, {"ecg": SignalInput(64.0), "eeg": SignalInput(64.0)}])
def test_more_or_less_than_one_signal_raises(inputs: dict) -> None:
    with pytest.raises(UserError, match=f"utime takes one signal of one channel.*not {', '.join(inputs) or 'none'}"):
        UTime(SMALL, 3, inputs, 30)
