"""U-Time (Perslev et al., arXiv 1910.11162) with the size and the module names of Joshi et al. (arXiv 2211.13125)."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from sleepkd.config import require
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.inputs import InputSpec
from sleepkd.errors import UserError


@dataclass(frozen=True)
class UTimeSettings:
    """Settings of U-Time. The defaults are the published ones.

    name: selects the network.
    filters: channels of each encoder level.
    pools: max-pooling factor of each encoder level.
    bottom_filters: channels of the bottleneck.
    kernel: length of the convolutions.
    dilation: of the encoder's convolutions.
    norm: BatchNorm per process, SyncBatchNorm (CUDA) or GroupNorm.
    """

    name: str = "utime"
    filters: tuple[int, ...] = (16, 32, 64, 128, 256)
    pools: tuple[int, ...] = (3, 2, 2, 2, 2)
    bottom_filters: int = 512
    kernel: int = 5
    dilation: int = 2
    norm: Literal["batch", "sync_batch", "group"] = "batch"

    def check(self) -> None:
        """Raise UserError naming the key of an impossible value."""
        require(len(self.filters) == len(self.pools) >= 1, "model.pools", "must have one value per model.filters")
        require(min(self.filters) >= 1, "model.filters", "must all be at least 1")
        require(min(self.pools) >= 1, "model.pools", "must all be at least 1")
        require(self.bottom_filters >= 1, "model.bottom_filters", f"must be at least 1, is {self.bottom_filters}")
        require(self.dilation >= 1, "model.dilation", f"must be at least 1, is {self.dilation}")
        require(self.kernel >= 1 and self.kernel % 2 == 1, "model.kernel", f"must be odd, is {self.kernel}")


class ConvBlock(nn.Sequential):
    """Convolution to the same length → ReLU → normalisation: (B, C_in, L) → (B, C_out, L)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dilation: int, norm: str):
        padding = dilation * (kernel - 1) // 2
        conv = nn.Conv1d(channels_in, channels_out, kernel, dilation=dilation, padding=padding)
        super().__init__(_initialised(conv), nn.ReLU(), _normalisation(norm, channels_out))


class EncoderLevel(nn.Module):
    """Two blocks, then max-pooling: (B, C_in, L) → pooled features (B, C_out, L / pool) and the skip (B, C_out, L)."""

    def __init__(self, channels_in: int, channels_out: int, pool: int, settings: UTimeSettings):
        super().__init__()
        self.blocks = nn.Sequential(
            ConvBlock(channels_in, channels_out, settings.kernel, settings.dilation, settings.norm),
            ConvBlock(channels_out, channels_out, settings.kernel, settings.dilation, settings.norm),
        )
        self.pool = nn.MaxPool1d(pool)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features and the skip."""
        skip = self.blocks(x)
        return self.pool(skip), skip


class DecoderLevel(nn.Module):
    """Nearest upsampling, a block, concatenation with the skip, two blocks: (B, C_in, L) → (B, C_out, L * pool)."""

    def __init__(self, channels_in: int, channels_out: int, pool: int, settings: UTimeSettings):
        super().__init__()
        self.up = nn.Upsample(scale_factor=pool, mode="nearest")
        self.narrow = ConvBlock(channels_in, channels_out, settings.kernel, 1, settings.norm)
        self.blocks = nn.Sequential(
            ConvBlock(2 * channels_out, channels_out, settings.kernel, 1, settings.norm),
            ConvBlock(channels_out, channels_out, settings.kernel, 1, settings.norm),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features (B, C_out, L * pool) of x (B, C_in, L) and the skip (B, C_out, L * pool)."""
        return self.blocks(torch.cat([self.narrow(self.up(x)), skip], dim=1))


class SegmentClassifier(nn.Module):
    """Mean over every `samples` samples, then a 1x1 convolution: (B, K, n * samples) → (B, K, n)."""

    def __init__(self, classes: int, samples: int):
        super().__init__()
        self.mean = nn.AvgPool1d(samples)
        self.classify = _pointwise(classes, classes)

    def forward(self, dense: Tensor) -> Tensor:
        """Logits (B, K, n)."""
        return self.classify(self.mean(dense))


class UTimeEncoder(nn.Module):
    """Encoder and bottom: 30 s of signal (B, 1, samples) → the bottleneck (B, C, samples / pools) and the skips.

    Raises UserError where the product of the pools does not divide the samples.
    """

    def __init__(self, settings: UTimeSettings, samples: int):
        super().__init__()
        shrink = math.prod(settings.pools)
        if samples % shrink:
            raise UserError(
                f"model.pools: {list(settings.pools)} reduce a sleep epoch {shrink}-fold, which does not divide its "
                f"{samples} samples; choose other pools or prepare the store at another --rate"
            )
        widths = (1, *settings.filters)
        self.encoder = nn.ModuleList(
            EncoderLevel(before, after, pool, settings)
            for (before, after), pool in zip(pairwise(widths), settings.pools, strict=True)
        )
        self.bottom = nn.Sequential(
            ConvBlock(settings.filters[-1], settings.bottom_filters, settings.kernel, 1, settings.norm),
            ConvBlock(settings.bottom_filters, settings.bottom_filters, settings.kernel, 1, settings.norm),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The bottleneck, and the skips in the order of the levels."""
        skips = []
        for level in self.encoder:
            x, skip = level(x)
            skips.append(skip)
        return self.bottom(x), skips


class UTime(UTimeEncoder):
    """Signal (B, n, samples) → logits (B, n * outputs, classes): one output per `output_seconds`.

    Convolves each of the n pieces of signal separately. They are 30-s sleep epochs in view `epochs`, with one output
    each, or one segment of a night in view `night`, with an output every 10 s.
    Raises UserError for inputs other than one signal, and where the product of the pools does not divide 30 s.
    Modules to tap: encoder.0.pool … encoder.4.pool, bottom (the bottleneck), decoder.0 … decoder.4, dense.
    """

    bottleneck = "bottom"

    def __init__(self, settings: UTimeSettings, classes: int, inputs: InputSpec, output_seconds: float):
        shapes = [item.shape(EPOCH_SECONDS) for item in inputs.values()]
        if len(shapes) != 1 or len(shapes[0]) != 1:
            raise UserError(
                f"model.name: utime takes one signal of one channel, for example ecg, not {', '.join(inputs) or 'none'}"
            )
        ((signal, wanted),) = inputs.items()
        samples, output_samples = (round(seconds * wanted.rate) for seconds in (EPOCH_SECONDS, output_seconds))
        super().__init__(settings, samples)
        self.signal = signal
        if samples * output_seconds != output_samples * EPOCH_SECONDS:
            raise UserError(
                f"model.name: utime cannot have an output every {output_seconds:g} s at {wanted.rate:g} Hz; prepare "
                "the store at another --rate"
            )
        widths = (settings.bottom_filters, *reversed(settings.filters))
        self.decoder = nn.ModuleList(
            DecoderLevel(before, after, pool, settings)
            for (before, after), pool in zip(pairwise(widths), reversed(settings.pools), strict=True)
        )
        self.dense = nn.Sequential(_pointwise(settings.filters[0], classes), nn.Tanh())
        self.segment_classifier = SegmentClassifier(classes, output_samples)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits (B, n * outputs, classes) of the signal (B, n, samples)."""
        x_BNS = inputs[self.signal]
        x, skips = self.encode(x_BNS.flatten(0, 1).unsqueeze(1))
        for level in self.decoder:
            x = level(x, skips.pop())
        logits_SKO = self.segment_classifier(self.dense(x))
        return logits_SKO.transpose(1, 2).unflatten(0, x_BNS.shape[:2]).flatten(1, 2)


def _pointwise(channels_in: int, channels_out: int) -> nn.Conv1d:
    return _initialised(nn.Conv1d(channels_in, channels_out, 1))


def _initialised(conv: nn.Conv1d) -> nn.Conv1d:
    """The convolution with Xavier-uniform weights and zero biases, as in the released code."""
    nn.init.xavier_uniform_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _normalisation(norm: str, channels: int) -> nn.Module:
    if norm == "group":  # statistics per sample: the same result on any number of processes
        return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels)  # at least eight channels per group
    return nn.BatchNorm1d(channels)  # train_ddp.py converts it for sync_batch
