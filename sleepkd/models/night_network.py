"""A network that sees the night: an encoder of each input to 10-s tokens, fused, then convolutions along the night."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sleepkd.config import require
from sleepkd.data.inputs import InputSpec
from sleepkd.data.views import TOKEN_SECONDS, TOKENS_PER_30_S
from sleepkd.errors import UserError
from sleepkd.models.utime import UTimeEncoder, UTimeSettings

KERNEL = 5  # of an encoder's convolutions that keep the rate


@dataclass(frozen=True)
class NightSettings:
    """The size of the network; the defaults have 0.6 M parameters on beats, 0.8 M on ECG and beats.

    width: channels of the tokens. filters: of an encoder's first level, doubled from level to level up to `width`.
    kernel, dilations, repeats: of the convolutions along the night; the defaults see 63 minutes to either side.
    encoder "utime": U-Time's encoder and bottom (sized by `utime`) on every 30 s of a signal, to start from a trained
    one; beats keep the strided one. causal: a token sees nothing later than its end, or than `lookahead_minutes` after.
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

    @property
    def norm(self) -> str:
        """The kind of BatchNorm within it, if any: that of U-Time's encoder."""
        return self.utime.norm if self.encoder == "utime" else ""

    def check(self) -> None:
        """Refuse impossible values by key."""
        for key in ("width", "filters", "repeats"):
            require(getattr(self, key) >= 1, f"model.{key}", f"must be at least 1, is {getattr(self, key)}")
        require(self.kernel >= 1 and self.kernel % 2 == 1, "model.kernel", f"must be odd, is {self.kernel}")
        require(bool(self.dilations) and min(self.dilations) >= 1, "model.dilations", "must all be at least 1")
        require(0 <= self.dropout < 1, "model.dropout", f"must lie from 0 to below 1, is {self.dropout}")
        ahead = self.lookahead_minutes
        whole = 0 <= ahead < math.inf and (60 * ahead / TOKEN_SECONDS).is_integer()
        require(whole, "model.lookahead_minutes", f"must be 0 or more, in steps of {TOKEN_SECONDS:g} s, is {ahead}")
        require(self.causal or not ahead, "model.lookahead_minutes", "goes with model.causal: true")
        future = "utime looks at 30 s at once; model.causal: true needs strided"
        require(not (self.causal and self.encoder == "utime"), "model.encoder", future)
        self.utime.check()


class ChannelNorm(nn.Module):
    """(B, C, L) at unit root mean square over the channels of each position, times a learnt gain per channel.

    No statistics of a batch and none along time: the same on any number of processes, and causal (Zhang & Sennrich,
    arXiv 1910.07467, of every position).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gain_C1 = nn.Parameter(torch.ones(channels, 1))

    def forward(self, x_BCL: Tensor) -> Tensor:
        """In the precision of its input; the mean square in float32 at least."""
        precise = x_BCL.float() if x_BCL.dtype in (torch.float16, torch.bfloat16) else x_BCL
        scale_B1L = torch.rsqrt(precise.square().mean(dim=1, keepdim=True) + 1e-5)
        return (precise * scale_B1L * self.gain_C1).to(x_BCL.dtype)


class Level(nn.Module):
    """A strided convolution, then one more at the lower rate beside a shortcut: (B, C, L) → (B, C_out, L / stride)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, positions: int):
        super().__init__()
        kernel = 2 * stride + stride % 2  # pads alike on both sides
        self.down = nn.Conv1d(channels_in, channels_out, kernel, stride, padding=(kernel - stride) // 2)
        self.refine = nn.Sequential(
            ChannelNorm(channels_out),
            nn.GELU(),
            nn.Conv1d(channels_out, channels_out, KERNEL if positions > 1 else 1, padding="same"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features at the lower rate."""
        x = self.down(x)
        return x + self.refine(x)


class StridedEncoder(nn.Module):
    """Stretches (B, C, samples) of one token each → (B, width): every token by itself, so that it is causal."""

    def __init__(self, channels: int, strides: tuple[int, ...], filters: int, width: int):
        super().__init__()
        widths = [min(width, filters * 2**level) for level in range(len(strides) - 1)] + [width]
        positions = [math.prod(strides[level + 1 :]) for level in range(len(strides))]
        self.samples = math.prod(strides)  # of a token
        levels = []
        for level, stride in enumerate(strides):
            before = widths[level - 1] if level else channels
            levels += [ChannelNorm(before), nn.GELU()] if level else []
            levels.append(Level(before, widths[level], stride, positions[level]))
        self.levels = nn.Sequential(*levels)

    def forward(self, x_BCS: Tensor, tokens: int) -> Tensor:
        """(B, C, tokens * samples) → (B, width, tokens)."""
        cut = x_BCS.unflatten(-1, (tokens, self.samples)).transpose(1, 2).flatten(0, 1)
        return self.levels(cut).squeeze(-1).unflatten(0, (-1, tokens)).transpose(1, 2)


class UTimeTokens(UTimeEncoder):
    """U-Time's encoder and bottom on every 30 s, as it was trained; of each token the mean over its 10 s.

    Its modules are called as U-Time's are: `stage.start_from: {encoders.ecg.encoder: ecg_base:encoder, …}`.
    """

    def __init__(self, settings: UTimeSettings, samples: int, width: int):
        super().__init__(settings, TOKENS_PER_30_S * samples)
        self.samples = samples
        self.narrow = nn.Conv1d(settings.bottom_filters, width, 1)

    def forward(self, x_BCS: Tensor, tokens: int) -> Tensor:
        """(B, 1, tokens * samples) → (B, width, tokens)."""
        x_BCS = F.pad(x_BCS, (0, -tokens % TOKENS_PER_30_S * self.samples))
        cut = x_BCS.unflatten(-1, (-1, TOKENS_PER_30_S * self.samples)).transpose(1, 2).flatten(0, 1)
        bottleneck, _ = self.encode(cut)
        narrow_RWL = self.narrow(F.adaptive_avg_pool1d(bottleneck, TOKENS_PER_30_S))
        return narrow_RWL.unflatten(0, (len(x_BCS), -1)).transpose(1, 2).flatten(2)[..., :tokens]


class Fusion(nn.Module):
    """Tokens of several inputs → their sum (B, width, tokens); where one is absent, a learnt token stands for it."""

    def __init__(self, names: Iterable[str], width: int):
        super().__init__()
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(width, 1)) for name in names})

    def forward(self, tokens: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> Tensor:
        """tokens: of the inputs that were given. there: (B, tokens) bool, where each of them holds signal."""
        given = [torch.where(there[name][:, None], x, self.absent[name].to(x.dtype)) for name, x in tokens.items()]
        return sum(given) + sum(absent.to(given[0].dtype) for name, absent in self.absent.items() if name not in tokens)


class ContextLayer(nn.Module):
    """A dilated convolution along the night beside a shortcut: (B, width, tokens) → the same.

    What is absent counts as what lies beyond the ends: 0. So a night padded to another's length has the same answers.
    """

    def __init__(self, settings: NightSettings, dilation: int):
        super().__init__()
        self.norm = ChannelNorm(settings.width)
        self.conv = nn.Conv1d(settings.width, settings.width, settings.kernel, dilation=dilation)
        self.dropout = nn.Dropout(settings.dropout)
        reach = dilation * (settings.kernel - 1)
        self.pad = (reach, 0) if settings.causal else (reach // 2, reach // 2)

    def forward(self, x_BWT: Tensor, there_B1T: Tensor) -> Tensor:
        """there_B1T: bool, where a token holds signal."""
        wave = F.gelu(self.norm(x_BWT)) * there_B1T
        return x_BWT + self.dropout(self.conv(F.pad(wave, self.pad)))


class NightNetwork(nn.Module):
    """Stretches of a night (B, 1, samples), beats (B, 1, 3, samples) → logits (B, tokens, classes), one every 10 s.

    Any of its inputs may be missing, or be 0 for a stretch: it is absent there, and the others answer. So one network
    trained with `data.augment.drop_input` stages with the ECG, with beats, or with both.
    Raises UserError in view `epochs`, at a rate that 10 s cannot be cut at, and for an input that sees the future of a
    causal network.
    Taps worth hooking: encoders.ecg, encoders.beats, fuse, context.0 … context.11 (the bottleneck is the last).
    """

    may_lack_inputs = True

    def __init__(self, settings: NightSettings, classes: int, inputs: InputSpec, answer_seconds: float):
        super().__init__()
        if answer_seconds != TOKEN_SECONDS:
            raise UserError("model.name: night sees nights; set data.view: night")
        if settings.causal:
            _check_causal(inputs)
        self.samples = {name: _samples_of_token(name, item.rate) for name, item in inputs.items()}
        self.lookahead = round(60 * settings.lookahead_minutes / TOKEN_SECONDS)
        self.encoders = nn.ModuleDict(
            {name: _encoder(settings, item.shape(TOKEN_SECONDS)) for name, item in inputs.items()}
        )
        self.fuse = Fusion(inputs, settings.width)
        self.context = nn.ModuleList(
            ContextLayer(settings, dilation) for _ in range(settings.repeats) for dilation in settings.dilations
        )
        self.classify = nn.Sequential(ChannelNorm(settings.width), nn.GELU(), nn.Conv1d(settings.width, classes, 1))
        self.bottleneck = f"context.{len(self.context) - 1}"

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits (B, tokens, classes) of what is given of its inputs."""
        tokens, there = {}, {}
        for name, encoder in self.encoders.items():
            if name in inputs:
                x_BCS = inputs[name].squeeze(1) if name == "beats" else inputs[name]
                count = x_BCS.shape[-1] // self.samples[name]
                there[name] = (x_BCS != 0).any(dim=1).unflatten(-1, (count, self.samples[name])).any(dim=-1)
                tokens[name] = encoder(x_BCS, count)
        any_B1T = torch.stack(list(there.values())).any(dim=0)[:, None]
        x_BWT = self.fuse(tokens, there) * any_B1T
        if self.lookahead:  # position t holds token t + lookahead, and what follows is causal
            x_BWT, any_B1T = (F.pad(y, (0, self.lookahead))[..., self.lookahead :] for y in (x_BWT, any_B1T))
        for layer in self.context:
            x_BWT = layer(x_BWT, any_B1T)
        return self.classify(x_BWT).transpose(1, 2)


def _encoder(settings: NightSettings, shape: tuple[int, ...]) -> nn.Module:
    """For an input of which a token has a shape (samples,) or (channels, samples)."""
    *channels, samples = shape
    if settings.encoder == "utime" and not channels:
        return UTimeTokens(settings.utime, samples, settings.width)
    return StridedEncoder(math.prod(channels), strides_of(samples), settings.filters, settings.width)


def strides_of(samples: int) -> tuple[int, ...]:
    """Strides of 2 to 13 whose product is the samples of a token, the smallest first: twos in pairs, other primes."""
    left, found = samples, []
    for prime in (2, 3, 5, 7, 11, 13):
        while left % prime == 0:
            left //= prime
            found.append(prime)
    twos = found.count(2)
    strides = (*[2] * (twos % 2), *[4] * (twos // 2), *(prime for prime in found if prime > 2))
    if left > 1 or not strides:
        raise UserError(
            f"model.name: night cannot cut {samples} samples of 10 s by strides up to 13; prepare the store at "
            "another --rate"
        )
    return tuple(sorted(strides))


def _samples_of_token(name: str, rate: float) -> int:
    samples = TOKEN_SECONDS * rate
    if not float(samples).is_integer():
        raise UserError(f"stage.inputs.{name}.rate: 10 s at {rate:g} Hz are no whole number of samples")
    return round(samples)


def _check_causal(inputs: InputSpec) -> None:
    for name, item in inputs.items():
        if not item.causal:
            raise UserError(f"model.causal: {item.sees_future(name)}")
