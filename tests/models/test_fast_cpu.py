"""The layers for a CPU give what torch's convolutions and the sum over all pairs give."""

import contextlib

import pytest
import torch
from torch import Tensor, nn

from sleepkd.data.inputs import BeatsInput, InputSpec, SignalInput
from sleepkd.models import build_network
from sleepkd.models.fast_cpu import (
    DENSE_SAMPLES,
    NightConv,
    TokenConv,
    is_fast,
    keep_freed_memory,
    layers_of_torch,
    soft_ranks,
)
from sleepkd.models.night_network import ChannelNorm, NightRanks, NightSettings

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def compare(conv: nn.Conv1d, x: Tensor) -> None:
    """Outputs and gradients of both forms are the same."""
    outputs, gradients = [], []
    for form in (contextlib.nullcontext, layers_of_torch):
        leaf = x.clone().requires_grad_()
        with form():
            output = conv(leaf)
        gradients.append(torch.autograd.grad(output.square().sum(), [leaf, *conv.parameters()]))
        outputs.append(output.detach())
    torch.testing.assert_close(*outputs, **EXACT)
    torch.testing.assert_close(*gradients, **EXACT)


@pytest.mark.parametrize(
    ("channels", "out", "kernel", "stride", "padding", "samples"),
    [(3, 16, 8, 4, 2, 20), (16, 16, 5, 1, "same", 5), (16, 48, 11, 5, 3, 5), (48, 48, 1, 1, "same", 1)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_tokens_is_one_matrix_product(
    channels: int, out: int, kernel: int, stride: int, padding: int | str, samples: int, bias: bool
) -> None:
    conv = TokenConv(channels, out, kernel, stride, padding=padding, bias=bias).double()
    x = torch.randn(7, channels, samples, dtype=torch.float64)
    assert is_fast(x)
    compare(conv, x)
    conv(x).square().sum().backward()
    assert conv.weight.grad is not None and conv.weight.grad.stride() == conv.weight.stride()  # DDP warns of others


def test_a_kept_matrix_follows_its_weights() -> None:
    conv, x = TokenConv(3, 4, 4, 2, padding=1), torch.randn(5, 3, 10)
    with torch.no_grad():
        exact = conv(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert conv(x).dtype == torch.bfloat16
        assert torch.equal(conv(x), exact)
    for change in (lambda: None, lambda: conv.weight.mul_(2), lambda: conv.bias.add_(1), lambda: conv.double()):
        with torch.no_grad():
            conv(x)
            change()
            x = x.to(conv.weight.dtype)
            found = conv(x)
            with layers_of_torch():
                torch.testing.assert_close(found, conv(x))


@pytest.mark.parametrize("pad", [(12, 12), (24, 0)])
def test_a_convolution_along_the_night_with_channels_last(pad: tuple[int, int]) -> None:
    conv = NightConv(8, 8, 7, 4, pad).double()
    compare(conv, torch.randn(2, 8, 50, dtype=torch.float64))


def test_the_norm_over_channels_in_fewer_passes() -> None:
    norm, x = ChannelNorm(8), torch.randn(3, 8, 20)
    torch.nn.init.normal_(norm.gain_C1)
    with torch.inference_mode():
        found = norm(x)
    torch.testing.assert_close(found.clone(), norm(x).detach())


def test_ranks_from_sorted_values_and_sums() -> None:
    """Hand-computed: of the known 0, 1 and 3, the value 1 lies 1 above, level with, and 1 below the others."""
    others, known = torch.tensor([[[0.0, 1.0, 3.0, 9.0]]]), torch.tensor([[[1.0, 1.0, 1.0, 0.0]]])
    values = torch.tensor([[[1.0, 0.25, -5.0, 50.0]]])
    expected = torch.tensor([[[0.0, (0.5 - 1 - 1) / 3, -1.0, 1.0]]])
    torch.testing.assert_close(soft_ranks(values, others, known, 0.5), expected)
    torch.testing.assert_close(soft_ranks(values, others, torch.zeros_like(known), 0.5), torch.zeros_like(values))


def test_ranks_are_those_of_all_pairs() -> None:
    ranks = NightRanks(20, 8)
    x = torch.randn(2, 3, 20 * 400, dtype=torch.float64)
    mask = torch.rand(2, 400) > 0.2
    with layers_of_torch():
        expected = ranks.ranks(x, mask)
    torch.testing.assert_close(ranks.ranks(x, mask), expected, **EXACT)


@pytest.mark.parametrize("settings", [NightSettings(), NightSettings(night_ranks=True), NightSettings(causal=True)])
def test_a_network_gives_the_same_logits(settings: NightSettings) -> None:
    """Of ECG and heartbeats, with a gap; ECG tokens have more samples than fit one matrix product."""
    signal = SignalInput(rate=64, normalisation="physical" if settings.causal else "robust_night")
    inputs: InputSpec = {"ecg": signal, "beats": BeatsInput(rate=2, causal=settings.causal)}
    torch.manual_seed(0)
    made = build_network(settings, 4, inputs, "night").eval().requires_grad_(False)
    given = {name: torch.randn(2, 1, *item.shape(2000)) for name, item in inputs.items()}
    assert given["ecg"].shape[-1] / 200 > DENSE_SAMPLES
    given["beats"][..., 500:900] = 0
    with layers_of_torch():
        assert not is_fast(given["beats"])
        expected = made(given)
    torch.testing.assert_close(made(given), expected, rtol=1e-4, atol=1e-5)


def test_memory_is_kept_on_any_system() -> None:
    keep_freed_memory()
