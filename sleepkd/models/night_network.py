"""The night network: an encoder per input to 10-s tokens, their fusion, then dilated convolutions along the night."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sleepkd.config import require
from sleepkd.data.inputs import InputSpec
from sleepkd.data.views import TOKEN_SECONDS, TOKENS_PER_30_S
from sleepkd.errors import UserError
from sleepkd.models.fast_cpu import NightConv, TokenConv, is_fast, rms_norm, soft_ranks
from sleepkd.models.utime import UTimeEncoder, UTimeSettings

REFINING_KERNEL = 5
"""Kernel of an encoder's convolutions of stride 1."""


@dataclass(frozen=True)
class NightSettings:
    """Settings of the night network. The defaults have 0.6 M parameters on heartbeats, 0.8 M on ECG and heartbeats.

    name: selects the network.
    width: channels of the tokens.
    filters: channels of an encoder's first level, doubled at each level up to `width`.
    encoder: strided convolutions, or U-Time's encoder and bottom (sized by `utime`) on every 30 s of a signal, to
    start from a trained one. Heartbeats always have the strided encoder.
    kernel: length of the convolutions along the night.
    dilations: of the convolutions along the night.
    repeats: how often the dilations are repeated. With the defaults the network sees 63 minutes to either side.
    dropout: after each convolution along the night.
    causal: an output depends on no signal later than `lookahead_minutes` after the end of its token.
    lookahead_minutes: with `causal`, how much later signal an output may use, in steps of 10 s.
    night_ranks: every token also gets the ranks of its heart rate and of its variability within the segment, and the
    time since its start, see `NightRanks`; needs the input `beats` and whole nights (`data.segment_minutes: 0`).
    """

    name: str = "night"
    width: int = 80
    filters: int = 16
    encoder: Literal["strided", "utime"] = "strided"
    utime: UTimeSettings = field(default_factory=UTimeSettings)
    kernel: int = 7
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    repeats: int = 2
    dropout: float = 0.2
    causal: bool = False
    lookahead_minutes: float = 0.0
    night_ranks: bool = False

    @property
    def norm(self) -> str:
        """The normalisation of U-Time's encoder; "" with the strided encoder, which has none over the batch."""
        return self.utime.norm if self.encoder == "utime" else ""

    def check(self) -> None:
        """Raise UserError naming the key of an impossible value."""
        for key in ("width", "filters", "repeats"):
            require(getattr(self, key) >= 1, f"model.{key}", f"must be at least 1, is {getattr(self, key)}")
        require(self.kernel >= 1 and self.kernel % 2 == 1, "model.kernel", f"must be odd, is {self.kernel}")
        require(bool(self.dilations) and min(self.dilations) >= 1, "model.dilations", "must all be at least 1")
        require(0 <= self.dropout < 1, "model.dropout", f"must be at least 0 and below 1, is {self.dropout}")
        ahead = self.lookahead_minutes
        whole = 0 <= ahead < math.inf and (60 * ahead / TOKEN_SECONDS).is_integer()
        require(whole, "model.lookahead_minutes", f"must be 0 or more, in steps of {TOKEN_SECONDS:g} s, is {ahead}")
        require(self.causal or not ahead, "model.lookahead_minutes", "needs model.causal: true")
        require(not (self.causal and self.night_ranks), "model.night_ranks", "reads the whole night; not with causal")
        future = "utime reads 30 s at once; model.causal: true needs strided"
        require(not (self.causal and self.encoder == "utime"), "model.encoder", future)
        self.utime.check()


class ChannelNorm(nn.Module):
    """Root mean square normalisation over the channels of each position, times a learnt gain per channel.

    RMSNorm (Zhang & Sennrich, arXiv 1910.07467) at every position. It has no statistics over the batch or over time, so
    it is causal and does not depend on the number of processes.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gain_C1 = nn.Parameter(torch.ones(channels, 1))

    def forward(self, x_BCL: Tensor) -> Tensor:
        """The normalised x (B, C, L) in the dtype of x; the mean square is computed in float32 or float64."""
        x_full_BCL = _at_least_float32(x_BCL)
        if is_fast(x_BCL) and not torch.is_grad_enabled():
            return rms_norm(x_full_BCL, self.gain_C1).to(x_BCL.dtype)
        scale_B1L = torch.rsqrt(x_full_BCL.square().mean(dim=1, keepdim=True) + 1e-5)
        return (x_full_BCL * scale_B1L * self.gain_C1).to(x_BCL.dtype)


class Level(nn.Module):
    """A strided convolution, then a residual convolution of stride 1: (B, C, L) → (B, C_out, L / stride)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, positions: int):
        super().__init__()
        kernel = 2 * stride + stride % 2  # pads both sides equally
        self.down = TokenConv(channels_in, channels_out, kernel, stride, padding=(kernel - stride) // 2)
        self.refine = nn.Sequential(
            ChannelNorm(channels_out),
            nn.GELU(),
            TokenConv(channels_out, channels_out, REFINING_KERNEL if positions > 1 else 1, padding="same"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C_out, L / stride)."""
        x = self.down(x)
        return x + self.refine(x)


class StridedEncoder(nn.Module):
    """Signal (B, C, tokens * samples) → (B, width, tokens). Tokens are encoded separately, so that it is causal."""

    def __init__(self, channels: int, strides: tuple[int, ...], filters: int, width: int):
        super().__init__()
        widths = [min(width, filters * 2**level) for level in range(len(strides) - 1)] + [width]
        positions = [math.prod(strides[level + 1 :]) for level in range(len(strides))]
        self.samples = math.prod(strides)  # per token
        levels = []
        for level, stride in enumerate(strides):
            before = widths[level - 1] if level else channels
            levels += [ChannelNorm(before), nn.GELU()] if level else []
            levels.append(Level(before, widths[level], stride, positions[level]))
        self.levels = nn.Sequential(*levels)

    def forward(self, x_BCS: Tensor, tokens: int) -> Tensor:
        """(B, C, tokens * samples) → (B, width, tokens)."""
        per_token = x_BCS.unflatten(-1, (tokens, self.samples)).transpose(1, 2).flatten(0, 1)
        return self.levels(per_token).squeeze(-1).unflatten(0, (-1, tokens)).transpose(1, 2)


class UTimeTokens(UTimeEncoder):
    """U-Time's encoder and bottom on every 30 s; a token is the mean over its 10 s.

    Its modules have U-Time's names, to start from a trained one:
    `stage.start_from: {encoders.ecg.encoder: ecg_base:encoder, …}`.
    """

    def __init__(self, settings: UTimeSettings, samples: int, width: int):
        super().__init__(settings, TOKENS_PER_30_S * samples)
        self.samples = samples
        self.narrow = nn.Conv1d(settings.bottom_filters, width, 1)

    def forward(self, x_BCS: Tensor, tokens: int) -> Tensor:
        """(B, 1, tokens * samples) → (B, width, tokens)."""
        x_BCS = F.pad(x_BCS, (0, -tokens % TOKENS_PER_30_S * self.samples))
        per_30_s = x_BCS.unflatten(-1, (-1, TOKENS_PER_30_S * self.samples)).transpose(1, 2).flatten(0, 1)
        bottleneck, _ = self.encode(per_30_s)
        narrow_SWT = self.narrow(F.adaptive_avg_pool1d(bottleneck, TOKENS_PER_30_S))
        return narrow_SWT.unflatten(0, (len(x_BCS), -1)).transpose(1, 2).flatten(2)[..., :tokens]


class Fusion(nn.Module):
    """The sum of the tokens of several inputs (B, width, tokens). A learnt token replaces an absent one."""

    def __init__(self, names: Iterable[str], width: int):
        super().__init__()
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(width, 1)) for name in names})

    def forward(self, tokens: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> Tensor:
        """tokens: (B, width, tokens) of each input present. masks: bool (B, tokens), where it holds signal."""
        given = [torch.where(masks[name][:, None], x, self.absent[name].to(x.dtype)) for name, x in tokens.items()]
        return sum(given) + sum(absent.to(given[0].dtype) for name, absent in self.absent.items() if name not in tokens)


class NightRanks(nn.Module):
    """Ranks of heart rate and its variability within the night, and the time: (B, 3, samples) → (B, width, tokens).

    Sleep stages differ in heart rate within a person and overlap between people, so a rank tells more than a rate.
    Heart rate is the mean of channel 0 of `beats.beat_series` over a token, negated. Variability is the logarithm of
    the standard deviation of channel 1. Both are averaged over `SPANS`; features are ordered by span. A rank is the
    share of lower values less that of higher ones, among every `EVERY`th token of the night. A difference of less
    than `SOFT` counts in part, so that rounding changes a rank little.
    """

    SPANS = (3, 51)
    """Tokens: 30 s, the scored sleep epoch, and 8.5 min."""
    EVERY, SOFT = 18, 0.1
    HOURS = 4.0
    """Hours of half a night: the time since the start of the segment is -1 there and 1 after twice as many."""

    def __init__(self, samples: int, width: int):
        super().__init__()
        self.samples = samples  # per token
        self.embed = nn.Conv1d(2 * len(self.SPANS) + 1, width, 1)

    def forward(self, x_BCS: Tensor, mask_BT: Tensor) -> Tensor:
        """mask_BT: bool, where a token holds heartbeats; elsewhere the result is 0."""
        ranks_BFT = self.ranks(x_BCS, mask_BT)
        hours_T = torch.arange(mask_BT.shape[-1], device=x_BCS.device) * (TOKEN_SECONDS / 3600)
        time_B1T = (hours_T / self.HOURS - 1).to(ranks_BFT.dtype).expand_as(ranks_BFT[:, :1])
        return self.embed(torch.cat([ranks_BFT, time_B1T], dim=1).to(x_BCS.dtype)) * mask_BT[:, None]

    @torch.no_grad()
    def ranks(self, x_BCS: Tensor, mask_BT: Tensor) -> Tensor:
        """Ranks (B, 2 * spans, tokens), -1 to 1, in float32 or float64."""
        x_BCTn = _at_least_float32(x_BCS).unflatten(-1, (mask_BT.shape[-1], self.samples))
        variability_BT = torch.log(x_BCTn[:, 1].std(dim=-1, unbiased=False) + 0.01)
        values_B2T = torch.stack([-x_BCTn[:, 0].mean(dim=-1), variability_BT], dim=1)
        mask_B1T = mask_BT[:, None].to(values_B2T.dtype)
        values_BFT = torch.cat([_masked_mean(values_B2T, mask_B1T, span) for span in self.SPANS], dim=1)
        others_BFR, known_B1R = values_BFT[..., :: self.EVERY], mask_B1T[..., :: self.EVERY]
        if is_fast(x_BCS):
            return soft_ranks(values_BFT, others_BFR, known_B1R, self.SOFT)
        below_BFTR = ((values_BFT[..., None] - others_BFR[..., None, :]) / self.SOFT).clamp(-1, 1)
        return (below_BFTR * known_B1R[..., None, :]).sum(dim=-1) / known_B1R.sum(dim=-1, keepdim=True).clamp(min=1)


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _masked_mean(x_BFT: Tensor, mask_B1T: Tensor, span: int) -> Tensor:
    """The mean over `span` tokens around each token, of those that the mask holds; 0 where it holds none."""
    total, count = (F.avg_pool1d(y, span, stride=1, padding=span // 2) for y in (x_BFT * mask_B1T, mask_B1T))
    return total / count.clamp(min=0.5 / span)


class ContextLayer(nn.Module):
    """A residual dilated convolution along the night: (B, width, tokens) → (B, width, tokens).

    Masked tokens are zero, as beyond the ends of the night, so that padding a night does not change its outputs.
    """

    def __init__(self, settings: NightSettings, dilation: int):
        super().__init__()
        self.norm = ChannelNorm(settings.width)
        reach = dilation * (settings.kernel - 1)
        pad = (reach, 0) if settings.causal else (reach // 2, reach // 2)
        self.conv = NightConv(settings.width, settings.width, settings.kernel, dilation, pad)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x_BWT: Tensor, mask_B1T: Tensor) -> Tensor:
        """mask_B1T: bool, where a token holds signal."""
        masked_BWT = F.gelu(self.norm(x_BWT)) * mask_B1T
        return x_BWT + self.dropout(self.conv(masked_BWT))


class NightNetwork(nn.Module):
    """Signals (B, 1, samples) or (B, 1, channels, samples) → logits (B, tokens, classes), one token per 10 s.

    Any input may be missing from the dict, or be 0 over a part of the segment, where it counts as absent. A network
    trained with `data.augment.drop_input` therefore stages with the ECG, with heartbeats, or with both.
    Raises UserError in view `epochs`, where 10 s are no whole number of samples, and where a causal network has an
    input that is not causal.
    Modules to tap: encoders.ecg, encoders.beats, fuse, context.0 … context.11 (the last one is the bottleneck).
    """

    may_lack_inputs = True

    def __init__(self, settings: NightSettings, classes: int, inputs: InputSpec, output_seconds: float):
        super().__init__()
        if output_seconds != TOKEN_SECONDS:
            raise UserError("model.name: night needs data.view: night")
        if settings.causal:
            _check_causal(inputs)
        self.samples = {name: _samples_of_token(name, item.rate) for name, item in inputs.items()}
        self.lookahead = round(60 * settings.lookahead_minutes / TOKEN_SECONDS)
        self.encoders = nn.ModuleDict(
            {name: _encoder(settings, item.shape(TOKEN_SECONDS)) for name, item in inputs.items()}
        )
        self.fuse = Fusion(inputs, settings.width)
        self.ranks = _night_ranks(settings, inputs) if settings.night_ranks else None
        self.context = nn.ModuleList(
            ContextLayer(settings, dilation) for _ in range(settings.repeats) for dilation in settings.dilations
        )
        self.classify = nn.Sequential(ChannelNorm(settings.width), nn.GELU(), nn.Conv1d(settings.width, classes, 1))
        self.bottleneck = f"context.{len(self.context) - 1}"

    @torch.no_grad()
    def drop_inputs(self, names: Collection[str]) -> None:
        """Remove encoders, in place: the logits are those of the network before without these inputs.

        The learnt tokens of the removed inputs, which are added to every position, become part of another encoder.
        Raises ValueError where none is left, UserError for the heartbeats of a network with `night_ranks`.
        """
        if self.ranks is not None and "beats" in names:
            raise UserError("a network with model.night_ranks cannot lose its input beats")
        kept = next((name for name in self.encoders if name not in names), None)
        if kept is None:
            raise ValueError("no input is left")
        for name in names:
            absent = self.fuse.absent.pop(name)
            last = [layer for layer in self.encoders[kept].modules() if isinstance(layer, nn.Conv1d)][-1]
            last.bias += absent[:, 0]
            self.fuse.absent[kept] += absent
            del self.encoders[name], self.samples[name]

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits (B, tokens, classes) of the inputs present."""
        tokens, masks = {}, {}
        for name, encoder in self.encoders.items():
            if name in inputs:
                x_BCS = inputs[name].flatten(1, -2)
                count = x_BCS.shape[-1] // self.samples[name]
                masks[name] = (x_BCS != 0).any(dim=1).unflatten(-1, (count, self.samples[name])).any(dim=-1)
                tokens[name] = encoder(x_BCS, count)
        mask_B1T = torch.stack(list(masks.values())).any(dim=0)[:, None]
        x_BWT = self.fuse(tokens, masks) * mask_B1T
        if self.ranks is not None and "beats" in inputs:
            x_BWT = x_BWT + self.ranks(inputs["beats"].flatten(1, -2), masks["beats"])
        if self.lookahead:  # shift by the lookahead: position t holds token t + lookahead, and all layers stay causal
            x_BWT, mask_B1T = (F.pad(y, (0, self.lookahead))[..., self.lookahead :] for y in (x_BWT, mask_B1T))
        for layer in self.context:
            x_BWT = layer(x_BWT, mask_B1T)
        return self.classify(x_BWT).transpose(1, 2)


def _encoder(settings: NightSettings, shape: tuple[int, ...]) -> nn.Module:
    """The encoder of an input. shape: of one token, (samples,) or (channels, samples)."""
    *channels, samples = shape
    if settings.encoder == "utime" and not channels:
        return UTimeTokens(settings.utime, samples, settings.width)
    return StridedEncoder(math.prod(channels), strides_of(samples), settings.filters, settings.width)


def _night_ranks(settings: NightSettings, inputs: InputSpec) -> NightRanks:
    if "beats" not in inputs:
        raise UserError("model.night_ranks: needs the input beats (stage.inputs.beats)")
    return NightRanks(_samples_of_token("beats", inputs["beats"].rate), settings.width)


def strides_of(samples: int) -> tuple[int, ...]:
    """Strides of 2 to 13, ascending, whose product is the samples of a token: pairs of twos as 4, and other primes.

    Raises UserError where the samples have a larger prime factor.
    """
    left, found = samples, []
    for prime in (2, 3, 5, 7, 11, 13):
        while left % prime == 0:
            left //= prime
            found.append(prime)
    twos = found.count(2)
    strides = (*[2] * (twos % 2), *[4] * (twos // 2), *(prime for prime in found if prime > 2))
    if left > 1 or not strides:
        raise UserError(
            f"model.name: night needs 10 s of 2 or more samples with prime factors up to 13, not {samples}; prepare "
            "the store at another --rate"
        )
    return tuple(sorted(strides))


def _samples_of_token(name: str, rate: float) -> int:
    samples = TOKEN_SECONDS * rate
    if not float(samples).is_integer():
        raise UserError(f"stage.inputs.{name}.rate: 10 s at {rate:g} Hz are no whole number of samples")
    return round(samples)


def _check_causal(inputs: InputSpec) -> None:
    for name, item in inputs.items():
        if not item.is_causal:
            raise UserError(f"model.causal: {item.why_not_causal(name)}")
