"""U-Time: parameter counts and feature shapes of method.md, windows of any number of sleep epochs."""

import pytest
import torch
from sleepkd.distillation.losses import unique_taps

from sleepkd.config import ATTENTION_TAPS, ModelConfig
from sleepkd.distillation.taps import Taps
from sleepkd.errors import UserError
from sleepkd.models.utime import UTime

SAMPLES = 6000
SMALL = ModelConfig(filters=(2, 2, 4, 4, 4), bottom_filters=4)


@pytest.mark.parametrize(("classes", "parameters"), [(3, 4_813_215), (4, 4_813_240), (5, 4_813_267)])
def test_has_the_published_number_of_parameters(classes: int, parameters: int) -> None:
    network = UTime(classes, SAMPLES, ModelConfig())
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_features_have_the_published_shapes() -> None:
    network = UTime(4, SAMPLES, ModelConfig()).eval()
    taps = Taps(network, (*unique_taps(ATTENTION_TAPS), "segment_classifier"))
    with torch.no_grad():
        logits = network(torch.randn(2, 1, SAMPLES))
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
def test_n_sleep_epochs_give_n_columns_of_logits(n: int) -> None:
    network = UTime(3, SAMPLES, SMALL).eval()
    taps = Taps(network, ("segment_classifier",))
    logits = network(torch.randn(2, n, SAMPLES))
    assert taps.pop()["segment_classifier"].shape == (2, 3, n)
    assert logits.shape == (2, n, 3)


def test_logits_of_a_sleep_epoch_are_classified_means_of_its_own_samples() -> None:
    network = UTime(3, SAMPLES, SMALL).eval()
    taps = Taps(network, ("dense",))
    logits_BNK = network(torch.randn(1, 2, SAMPLES))
    dense = taps.pop()["dense"]
    assert dense.abs().max() <= 1  # tanh
    classify = network.segment_classifier.classify
    for n in range(2):
        mean = dense[0, :, n * SAMPLES : (n + 1) * SAMPLES].mean(dim=1)
        expected = classify.weight[:, :, 0] @ mean + classify.bias
        torch.testing.assert_close(logits_BNK[0, n], expected)


def test_context_reaches_across_sleep_epochs() -> None:
    network = UTime(3, SAMPLES, SMALL).eval()
    x = torch.randn(1, 2, SAMPLES)
    changed = x.clone()
    changed[0, 1, :100] += 5
    assert not torch.equal(network(x)[0, 0], network(changed)[0, 0])


def test_starts_from_xavier_weights_and_zero_biases() -> None:
    network = UTime(3, SAMPLES, ModelConfig())
    conv = network.encoder[2].blocks[0][0]
    bound = (6 / ((32 + 64) * 5)) ** 0.5  # Glorot & Bengio 2010, eq. 16
    assert 0.95 * bound < conv.weight.abs().max() <= bound
    assert not any(module.bias.any() for module in network.modules() if isinstance(module, torch.nn.Conv1d))


def test_order_is_convolution_relu_normalisation() -> None:
    kinds = [type(module).__name__ for module in UTime(3, SAMPLES, SMALL).encoder[0].blocks[0]]
    assert kinds == ["Conv1d", "ReLU", "BatchNorm1d"]


def test_group_norm_makes_a_window_independent_of_its_batch() -> None:
    network = UTime(3, SAMPLES, ModelConfig(filters=(2, 2, 4, 4, 8), bottom_filters=16, norm="group")).train()
    x = torch.randn(3, 1, SAMPLES)
    torch.testing.assert_close(network(x)[:1], network(x[:1]))
    assert not list(network.buffers())


def test_refuses_a_length_that_pooling_does_not_divide() -> None:
    with pytest.raises(UserError, match=r"model.pools.*48-fold.*3000 samples"):
        UTime(3, 3000, ModelConfig())
