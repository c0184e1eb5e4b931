"""U-Time (Perslev et al., arXiv 1910.11162) in the size and with the names of Joshi et al. (arXiv 2211.13125)."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from sleepkd.config import ModelConfig
from sleepkd.errors import UserError


class ConvBlock(nn.Sequential):
    """Convolution to the same length → ReLU → normalisation: (B, C_in, L) → (B, C_out, L)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dilation: int, norm: str):
        conv = nn.Conv1d(channels_in, channels_out, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2)
        nn.init.xavier_uniform_(conv.weight)
        nn.init.zeros_(conv.bias)
        super().__init__(conv, nn.ReLU(), _normalisation(norm, channels_out))


class EncoderLevel(nn.Module):
    """Two blocks, then max-pooling: (B, C_in, L) → the pooled (B, C_out, L / pool) and the skip (B, C_out, L)."""

    def __init__(self, channels_in: int, channels_out: int, pool: int, config: ModelConfig):
        super().__init__()
        self.blocks = nn.Sequential(
            ConvBlock(channels_in, channels_out, config.kernel, config.dilation, config.norm),
            ConvBlock(channels_out, channels_out, config.kernel, config.dilation, config.norm),
        )
        self.pool = nn.MaxPool1d(pool)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features and the skip."""
        skip = self.blocks(x)
        return self.pool(skip), skip


class DecoderLevel(nn.Module):
    """Nearest upsampling, a block to the skip's channels, the skip beside it, two blocks: → (B, C_out, L * pool)."""

    def __init__(self, channels_in: int, channels_out: int, pool: int, config: ModelConfig):
        super().__init__()
        self.up = nn.Upsample(scale_factor=pool, mode="nearest")
        self.narrow = ConvBlock(channels_in, channels_out, config.kernel, 1, config.norm)
        self.blocks = nn.Sequential(
            ConvBlock(2 * channels_out, channels_out, config.kernel, 1, config.norm),
            ConvBlock(channels_out, channels_out, config.kernel, 1, config.norm),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features at the skip's length and width."""
        return self.blocks(torch.cat([self.narrow(self.up(x)), skip], dim=1))


class SegmentClassifier(nn.Module):
    """Mean over each sleep epoch, then a 1x1 convolution: (B, K, n * samples) → (B, K, n)."""

    def __init__(self, classes: int, samples: int):
        super().__init__()
        self.mean = nn.AvgPool1d(samples)
        self.classify = _pointwise(classes, classes)

    def forward(self, dense: Tensor) -> Tensor:
        """Logits per sleep epoch."""
        return self.classify(self.mean(dense))


class UTime(nn.Module):
    """Windows (B, n, samples) of one signal → logits (B, n, classes); fully convolutional over the n sleep epochs.

    `samples` is the number of samples of one sleep epoch, a multiple of the product of the pools (UserError if not).
    Taps worth hooking: encoder.0.pool … encoder.4.pool, bottom (the bottleneck), decoder.0 … decoder.4, dense.
    """

    def __init__(self, classes: int, samples: int, config: ModelConfig):
        super().__init__()
        shrink = 1
        for pool in config.pools:
            shrink *= pool
        if samples % shrink:
            raise UserError(
                f"model.pools: {list(config.pools)} shrink a sleep epoch {shrink}-fold, which does not divide its "
                f"{samples} samples; choose other pools or prepare the store at another --rate"
            )
        widths = (1, *config.filters)
        self.encoder = nn.ModuleList(
            EncoderLevel(before, after, pool, config)
            for (before, after), pool in zip(pairwise(widths), config.pools, strict=True)
        )
        self.bottom = nn.Sequential(
            ConvBlock(config.filters[-1], config.bottom_filters, config.kernel, 1, config.norm),
            ConvBlock(config.bottom_filters, config.bottom_filters, config.kernel, 1, config.norm),
        )
        widths = (config.bottom_filters, *reversed(config.filters))
        self.decoder = nn.ModuleList(
            DecoderLevel(before, after, pool, config)
            for (before, after), pool in zip(pairwise(widths), reversed(config.pools), strict=True)
        )
        self.dense = nn.Sequential(_pointwise(config.filters[0], classes), nn.Tanh())
        self.segment_classifier = SegmentClassifier(classes, samples)

    def forward(self, x_BNS: Tensor) -> Tensor:
        """Logits (B, n, classes) of windows (B, n, samples)."""
        x = x_BNS.flatten(1).unsqueeze(1)
        skips = []
        for level in self.encoder:
            x, skip = level(x)
            skips.append(skip)
        x = self.bottom(x)
        for level in self.decoder:
            x = level(x, skips.pop())
        logits_BKN = self.segment_classifier(self.dense(x))
        return logits_BKN.transpose(1, 2)


def _pointwise(channels_in: int, channels_out: int) -> nn.Conv1d:
    conv = nn.Conv1d(channels_in, channels_out, 1)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


def _normalisation(norm: str, channels: int) -> nn.Module:
    if norm == "group":  # statistics of one window alone: the same result on any number of processes
        return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels)  # eight channels or more a group
    return nn.BatchNorm1d(channels)  # sync_batch is converted from it when the model is wrapped for training
