"""Counts of movement as the input of a network: how much the wrist moved, and whether that was measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from sleepkd.data.augment import MAX_DROPOUT, Augment
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.inputs import Input
from sleepkd.data.recording_info import MISSING
from sleepkd.data.signal_kinds import SignalKind
from sleepkd.data.store import Night
from sleepkd.errors import UserError


@dataclass(frozen=True)
class CountsInput(Input):
    """Activity counts as two series: float32 (2, samples).

    Channel 0 is log(1 + count / unit), because counts span four orders of magnitude. Channel 1 is 1 where a count was
    measured: a rest is (0, 1), and a missing count is (0, 0), no signal.

    rate: samples per second.
    normalisation: the unit is the mean of the night (mean_night), because devices differ, or `scale` (physical), which
    is the only one that a causal network can use.
    scale: unit of normalisation "physical", in counts per 30 s.
    """

    normalisation: Literal["mean_night", "physical"] = "mean_night"
    scale: float = 1.0

    channels: ClassVar[int] = 2

    @classmethod
    def defaults(cls, kind: SignalKind, data: DataConfig, rate_hz: float) -> dict[str, Any]:
        """The rate and the scale of the kind; normalised by the night unless `data.normalisation` is physical."""
        by_night = data.normalisation != "physical"
        normalisation = "mean_night" if by_night else "physical"
        return {"rate": kind.rate_hz or rate_hz, "normalisation": normalisation, "scale": kind.scale}

    @property
    def is_causal(self) -> bool:
        """Whether it is normalised without the mean of the night."""
        return self.normalisation == "physical"

    def why_not_causal(self, name: str) -> str:
        """Which setting makes it causal."""
        return (
            f"{name} is divided by the mean of the whole night; set data.normalisation or "
            f"stage.inputs.{name}.normalisation to physical"
        )

    def shape(self, seconds: float) -> tuple[int, ...]:
        """(2, samples)."""
        return (self.channels, round(seconds * self.rate))

    def check(self, name: str, night: Night) -> None:
        """Raise UserError: no counts, counts at another rate, or no mean of the night."""
        info = night.info.signals.get(name)
        if info is None:
            raise UserError(f"{night.folder}: holds no {name}; prepare it with --signals {name}")
        if self.rate != info.rate_hz:
            raise UserError(
                f"{night.folder}: {name} is stored at {info.rate_hz:g} Hz, the network was made for {self.rate:g} Hz"
            )
        if self.normalisation == "mean_night" and not info.mean:
            raise UserError(f"{night.folder}: {name} has no mean of the night; prepare it again with --overwrite")

    def seconds(self, name: str, night: Night) -> float:
        """Stored samples divided by the stored rate, s."""
        info = night.info.signals[name]
        return info.samples / info.rate_hz

    def usable(self, name: str, night: Night, onset_s: np.ndarray, lead_s: np.ndarray, seconds: float) -> np.ndarray:
        """(N,) bool: whether all samples of a segment are stored."""
        info = night.info.signals[name]
        first = np.rint((onset_s + lead_s) * info.rate_hz)
        return (first >= 0) & (first + round(seconds * info.rate_hz) <= info.samples)

    def read(
        self, name: str, nights: Sequence[Night], onset_s: np.ndarray, lead_s: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Segments float32 (M, 2, samples), 0 before the first and after the last count, and where one is missing."""
        x = np.zeros((len(nights), *self.shape(seconds)), dtype=np.float32)
        for x_2S, night, start_s in zip(x, nights, onset_s + lead_s, strict=True):
            info = night.info.signals[name]
            first = round(float(start_s) * info.rate_hz)
            low, high = max(first, 0), min(first + x_2S.shape[1], info.samples)
            stored = np.asarray(night.signal(name)[low : max(low, high)])
            unit = self.scale if self.normalisation == "physical" else info.mean or 1.0
            counts = np.maximum(stored * info.scale + info.offset, 0.0)
            inside = slice(low - first, low - first + len(stored))
            x_2S[1, inside] = stored != MISSING
            x_2S[0, inside] = np.log1p(counts / unit) * x_2S[1, inside]
        return x

    def read_augmented(self, name: str, night: Night, start_s: float, seconds: float, augment: Augment) -> np.ndarray:
        """One segment with a random gain of the counts, and without them for a random time: float32 (2, samples)."""
        x_2S = self.read(name, [night], np.array([start_s]), np.zeros(1), seconds)[0]
        settings, rng = augment.settings, augment.rng
        gain = np.float32(np.exp(settings.gain * rng.standard_normal()))
        x_2S[0] = np.log1p(gain * np.expm1(x_2S[0]))
        if rng.random() < settings.electrode_dropout:
            length = round(MAX_DROPOUT * x_2S.shape[1] * rng.random())
            begin = rng.integers(0, x_2S.shape[1] - length + 1)
            x_2S[:, begin : begin + length] = 0
        return x_2S
