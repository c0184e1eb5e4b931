"""Faster forms of the night network's layers on a CPU.

Elsewhere the layers are those of torch: on CUDA, and in compiled and exported networks. Results and gradients differ by
rounding: about 1e-6 in float32 (`tests/models/test_fast_cpu.py`).
"""

import contextlib
import ctypes
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DENSE_SAMPLES = 20
"""A token of so few samples is convolved by one matrix product. Of 2,880 tokens, 16 channels and 5 samples, that takes
0.13 ms instead of 3.6 with kernel 11 and 48 channels out."""

KEPT_BYTES = 1 << 28
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of malloc.h of glibc."""


def keep_freed_memory() -> None:
    """Let this process keep up to 256 MiB of freed memory (glibc; does nothing elsewhere).

    The activations of a night are a few MiB each. Without this, most are pages that the kernel clears each time: a
    sixth of the time of a forward pass.
    """
    with contextlib.suppress(OSError, AttributeError):
        malloc_options = ctypes.CDLL(None).mallopt
        malloc_options(M_MMAP_THRESHOLD, 1 << 25)  # its largest
        malloc_options(M_TRIM_THRESHOLD, KEPT_BYTES)


_fast = ContextVar("fast", default=True)


@contextlib.contextmanager
def layers_of_torch() -> Iterator[None]:
    """Within it, layers are those of torch on a CPU too: to compare the two forms."""
    token = _fast.set(False)
    try:
        yield
    finally:
        _fast.reset(token)


def is_fast(x: Tensor) -> bool:
    """Whether x is convolved by the forms for a CPU."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and _fast.get()


class TokenConv(nn.Conv1d):
    """A convolution within tokens: (tokens, C, samples) → (tokens, C_out, samples / stride)."""

    _kept: tuple[tuple, "DenseForm"] | None = None

    def forward(self, x_BCL: Tensor) -> Tensor:
        """The convolution of each token."""
        if not is_fast(x_BCL) or x_BCL.shape[-1] > DENSE_SAMPLES:
            return super().forward(x_BCL)
        dense = self._dense(x_BCL)
        # Channels are the last axis in memory: the norm over them that follows is fast.
        flat = F.linear(x_BCL.transpose(1, 2).flatten(1), dense.weight, dense.bias)
        return flat.view(-1, *dense.shape).transpose(1, 2)

    def _dense(self, x_BCL: Tensor) -> "DenseForm":
        """The convolution of tokens like these as one matrix; kept without gradients, while weights stay the same."""
        if torch.is_grad_enabled() or self.weight.is_inference():
            return self._made_dense(x_BCL)
        parameters = [(p.data_ptr(), p._version) for p in self.parameters()]
        made_of = (x_BCL.shape[1:], x_BCL.dtype, torch.is_autocast_enabled("cpu"), parameters)
        if self._kept is None or self._kept[0] != made_of:
            self._kept = made_of, self._made_dense(x_BCL)
        return self._kept[1]

    def _made_dense(self, x_BCL: Tensor) -> "DenseForm":
        channels, samples = x_BCL.shape[1:]
        each = torch.eye(samples * channels, dtype=x_BCL.dtype).view(-1, samples, channels).transpose(1, 2)
        each = each.clone(memory_format=torch.contiguous_format)  # DDP warns of gradients in another order
        of_each = self._conv_forward(each, self.weight, None).transpose(1, 2)
        bias = None if self.bias is None else self.bias.repeat(of_each.shape[1])
        return DenseForm(of_each.flatten(1).T, bias, of_each.shape[1:])


class DenseForm(NamedTuple):
    """A convolution of tokens as a matrix (C_out * positions, C * samples). shape: (positions, C_out) of a result."""

    weight: Tensor
    bias: Tensor | None
    shape: torch.Size


class NightConv(nn.Conv1d):
    """A dilated convolution along the night, padded with zeros: (B, C, tokens) → (B, C_out, tokens).

    pad: tokens before and after, (dilation * (kernel - 1)) in all.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dilation: int, pad: tuple[int, int]):
        super().__init__(channels_in, channels_out, kernel, dilation=dilation)
        self.pad = pad

    def forward(self, x_BCT: Tensor) -> Tensor:
        """The convolution at every token."""
        before, after = self.pad
        if not is_fast(x_BCT) or before != after:
            return super().forward(F.pad(x_BCT, self.pad))
        # Only the convolution of images takes channels as the last axis in memory.
        x_BC1T = x_BCT.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        weight, dilation = self.weight.unsqueeze(2), (1, self.dilation[0])
        return F.conv2d(x_BC1T, weight, self.bias, padding=(0, before), dilation=dilation).squeeze(2)


def rms_norm(x_BCL: Tensor, gain_C1: Tensor) -> Tensor:
    """`ChannelNorm` in half of its passes over memory, without gradients."""
    norm_B1L = torch.linalg.vector_norm(x_BCL, dim=1, keepdim=True)
    scale_B1L = norm_B1L.square_().div_(x_BCL.shape[1]).add_(1e-5).rsqrt_()
    return (x_BCL * scale_B1L).mul_(gain_C1)


def soft_ranks(values_BFT: Tensor, others_BFR: Tensor, known_B1R: Tensor, soft: float) -> Tensor:
    """The mean over the known others of clamp((value - other) / soft, -1, 1): (B, F, T).

    known_B1R: 1 or 0. The sum is piecewise linear in the value, so sorted others and their cumulative sums give it
    without a tensor of all pairs.
    """
    counted_B11 = known_B1R.sum(dim=-1, keepdim=True)
    last = torch.finfo(torch.float64).max
    sorted_BFR = torch.where(known_B1R > 0, others_BFR.double(), last).sort(dim=-1).values
    sums_BFR = F.pad(sorted_BFR.where(sorted_BFR < last, 0.0).cumsum(dim=-1), (1, 0))
    exact_BFT = values_BFT.double()
    below_BFT = torch.searchsorted(sorted_BFR, exact_BFT - soft)
    upto_BFT = torch.searchsorted(sorted_BFR, exact_BFT + soft)
    near_BFT = sums_BFR.gather(-1, upto_BFT) - sums_BFR.gather(-1, below_BFT)
    partly_BFT = (exact_BFT * (upto_BFT - below_BFT) - near_BFT) / soft
    total_BFT = below_BFT - (counted_B11 - upto_BFT) + partly_BFT
    return (total_BFT / counted_B11.clamp(min=1)).to(values_BFT.dtype)
