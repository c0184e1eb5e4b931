"""The inputs of a network: how it reads each signal of a night (rate, normalisation, polarity).

An `InputSpec` maps names of signals to inputs. It belongs to one network and is kept in its checkpoint; teacher and
student each have their own, and the same segment is read for both. What is read is a pure function of the stored signal
and the statistics of its recording: no label enters it. Training, evaluation, prediction and export all read here.
`stage_inputs.py` makes an `InputSpec` of the `stage.inputs` of a config or of a checkpoint.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.signal import resample

from sleepkd.data import beats as heartbeats
from sleepkd.data.augment import Augment
from sleepkd.data.data_settings import Alignment, DataConfig, Normalisation, Polarity
from sleepkd.data.recording_info import MISSING, SignalInfo
from sleepkd.data.signal_kinds import SIGNAL_KINDS, SignalKind
from sleepkd.data.store import Night
from sleepkd.errors import UserError

MEASURED = 1e-4
"""A normalised sample of 0 that was measured, where a 0 means a missing one."""


@dataclass(frozen=True)
class Input(ABC):
    """One signal as a network reads it; a checkpoint keeps the fields.

    rate: samples per second.
    """

    rate: float

    channels: ClassVar[int]

    @classmethod
    @abstractmethod
    def defaults(cls, kind: SignalKind, data: DataConfig, rate_hz: float) -> dict[str, Any]:
        """Values of the fields that `stage.inputs` leaves open; rate_hz: of the store."""

    @property
    @abstractmethod
    def is_causal(self) -> bool:
        """Whether a sample depends on nothing after it; the polarity of a signal counts as known."""

    @abstractmethod
    def why_not_causal(self, name: str) -> str:
        """A clause for an error message: what of this input looks ahead, and which key changes it."""

    @abstractmethod
    def shape(self, seconds: float) -> tuple[int, ...]:
        """The shape of a segment: (samples,), or (channels, samples) of several channels."""

    @abstractmethod
    def check(self, name: str, night: Night) -> None:
        """Raise UserError where a night lacks the signal, or stores it at another rate."""

    @abstractmethod
    def seconds(self, name: str, night: Night) -> float:
        """Length of the signal in a night, s."""

    @abstractmethod
    def usable(self, name: str, night: Night, onset_s: np.ndarray, lead_s: np.ndarray, seconds: float) -> np.ndarray:
        """(N,) bool: whether segments that begin lead_s after an onset lie within the signal."""

    @abstractmethod
    def read(
        self, name: str, nights: Sequence[Night], onset_s: np.ndarray, lead_s: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Segments of `seconds` that begin lead_s after an onset: float32 (M, *shape), 0 where there is no signal.

        nights: the night of each segment, M. onset_s, lead_s: (M,).
        """

    @abstractmethod
    def read_augmented(self, name: str, night: Night, start_s: float, seconds: float, augment: Augment) -> np.ndarray:
        """One augmented segment: float32 of `shape`."""


@dataclass(frozen=True)
class SignalInput(Input):
    """A sampled signal: float32 (samples,), normalised.

    Missing samples (`recording_info.MISSING`) are 0, which networks take for no signal. Of kinds that keep them, a
    sample that is there and would be 0 becomes `MEASURED`.

    normalisation: robust_night subtracts the median of the night and divides by its interquartile range; robust_scored
    takes both from the scored part of the night; minmax_window scales each segment to [0, 1]; physical subtracts
    `centre` and divides by `scale`, and is the only one that a causal network can use.
    clip: largest absolute value after normalisation, except with minmax_window.
    polarity: corrected by the stored polarity (1 for kinds without `has_polarity`), as recorded, or inverted.
    alignment: truncated cuts onsets and rates down to whole numbers, as in the code released with the paper.
    scale, centre: unit and zero of normalisation "physical", in the unit of the stored signal.
    """

    normalisation: Normalisation = "robust_night"
    clip: float = 20.0
    polarity: Polarity = "corrected"
    alignment: Alignment = "exact"
    scale: float = 1.0
    centre: float = 0.0

    channels: ClassVar[int] = 1

    @classmethod
    def defaults(cls, kind: SignalKind, data: DataConfig, rate_hz: float) -> dict[str, Any]:
        """The settings of `data`, the rate of the kind or of the store, the scale of the kind."""
        return {
            "rate": kind.rate_hz or rate_hz,
            "normalisation": kind.normalisation or data.normalisation,
            "clip": data.clip,
            "polarity": data.ecg_polarity if kind.has_polarity else "as_recorded",
            "alignment": data.alignment,
            "scale": kind.scale,
            "centre": kind.centre,
        }

    @property
    def is_causal(self) -> bool:
        """Whether it is normalised without statistics of the night."""
        return self.normalisation == "physical"

    def why_not_causal(self, name: str) -> str:
        """Which setting makes it causal."""
        return (
            f"{name} is normalised by statistics of the whole night; set data.normalisation or "
            f"stage.inputs.{name}.normalisation to physical"
        )

    def shape(self, seconds: float) -> tuple[int, ...]:
        """(samples,)."""
        return (round(seconds * self.rate),)

    def check(self, name: str, night: Night) -> None:
        """Raise UserError: no such signal, another rate, or no statistics for this normalisation."""
        info = night.info.signals.get(name)
        if info is None:
            raise UserError(f"{night.folder}: holds no {name}; prepare it with a channel for it")
        rate_hz = night.reading_rate_hz(name)
        if self.rate != rate_hz:
            raise UserError(
                f"{night.folder}: {name} is read at {rate_hz:g} Hz, the network was made for {self.rate:g} Hz; prepare "
                f"the recordings at that rate (prepare --rate, or rate_hz in signal_kinds.py)"
            )
        if self.normalisation != "minmax_window":
            self._statistics(info, night)

    def seconds(self, name: str, night: Night) -> float:
        """Stored samples divided by the stored rate, s."""
        info = night.info.signals[name]
        return info.samples / info.rate_hz

    def usable(self, name: str, night: Night, onset_s: np.ndarray, lead_s: np.ndarray, seconds: float) -> np.ndarray:
        """(N,) bool: whether all samples of a segment are stored."""
        info = night.info.signals[name]
        first = self._first_sample(info, onset_s, lead_s)
        return (first >= 0) & (first + round(seconds * info.rate_hz) <= info.samples)

    def read(
        self, name: str, nights: Sequence[Night], onset_s: np.ndarray, lead_s: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Normalised segments: float32 (M, samples), 0 before the first and after the last stored sample."""
        infos = [night.info.signals[name] for night in nights]
        samples = round(seconds * self.rate)
        lengths = np.array([round(seconds * info.rate_hz) for info in infos])
        if (lengths == samples).all():
            return self._normalised(name, nights, *self._stored(name, nights, onset_s, lead_s, samples))
        # A store that keeps the recorded rate: each segment is resampled separately, as in the released code.
        x = np.empty((len(nights), samples), dtype=np.float32)
        for length in sorted(set(lengths.tolist())):
            same = np.flatnonzero(lengths == length)
            some = [nights[i] for i in same.tolist()]
            stored = self._stored(name, some, onset_s[same], lead_s[same], length)
            x[same] = resample(self._normalised(name, some, *stored), samples, axis=-1)
        return x

    def read_augmented(self, name: str, night: Night, start_s: float, seconds: float, augment: Augment) -> np.ndarray:
        """One segment with random inversion, gain, noise and electrode dropout: float32 (samples,)."""
        return augment.signal(self.read(name, [night], np.array([start_s]), np.zeros(1), seconds)[0])

    def _first_sample(self, info: SignalInfo, onset_s: np.ndarray, lead_s: np.ndarray) -> np.ndarray:
        """Index of the first stored sample of each segment. Alignment "truncated" truncates onset and rate."""
        if self.alignment == "truncated":
            return np.rint((np.floor(onset_s) + lead_s) * float(int(info.rate_hz))).astype(np.int64)
        return np.rint((onset_s + lead_s) * info.rate_hz).astype(np.int64)

    def _stored(
        self, name: str, nights: Sequence[Night], onset_s: np.ndarray, lead_s: np.ndarray, length: int
    ) -> tuple[np.ndarray, list[slice] | None]:
        """Stored samples int16 (M, length), and the slice of each that lies within the signal (None: all of all)."""
        raw = np.zeros((len(nights), length), dtype=np.int16)
        inside, complete = [], True
        for m, night in enumerate(nights):
            info = night.info.signals[name]
            first = int(self._first_sample(info, onset_s[m], lead_s[m]))
            low, high = max(first, 0), min(first + length, info.samples)
            inside.append(slice(low - first, max(low, high) - first))
            complete &= low == first and high == first + length
            raw[m, inside[m]] = night.signal(name)[low : max(low, high)]
        return raw, None if complete else inside

    def _normalised(
        self, name: str, nights: Sequence[Night], raw: np.ndarray, inside: list[slice] | None
    ) -> np.ndarray:
        """Stored int16 (M, length) → float32, polarity applied and normalised; 0 outside `inside`."""
        infos = [night.info.signals[name] for night in nights]
        signs = [self._sign(info) for info in infos]
        x = raw.astype(np.float32)
        if self.normalisation == "minmax_window":
            low, high = (bound.astype(np.float32) for bound in (raw.min(-1, keepdims=True), raw.max(-1, keepdims=True)))
            gain = _column(signs) / np.maximum(high - low, 1)  # a flat segment gives 0
            x *= gain
            x -= np.where(gain > 0, low, high) * gain  # inverted, the highest value is the lowest
        else:
            stats = [self._statistics(info, night) for info, night in zip(infos, nights, strict=True)]
            facts = list(zip(signs, infos, stats, strict=True))
            x *= _column([sign * info.scale / iqr for sign, info, (_, iqr) in facts])
            x += _column([sign * (info.offset - median) / iqr for sign, info, (median, iqr) in facts])
            np.clip(x, -self.clip, self.clip, out=x)
        if SIGNAL_KINDS[name].keeps_missing:
            x[x == 0] = MEASURED
            x[raw == MISSING] = 0
        for segment, part in zip(x, inside or (), strict=False):
            segment[: part.start] = 0
            segment[part.stop :] = 0
        return x

    def _sign(self, info: SignalInfo) -> int:
        """What the stored signal is multiplied by."""
        return {"corrected": info.polarity, "as_recorded": 1, "inverted": -1}[self.polarity]

    def _statistics(self, info: SignalInfo, night: Night) -> tuple[float, float]:
        """What is subtracted, and what it is divided by, in the physical unit."""
        if self.normalisation == "physical":
            return self.centre, self.scale
        if self.normalisation == "robust_night":
            return info.median, info.iqr
        if info.scored_median is None or info.scored_iqr is None:
            raise UserError(
                f"{night.folder}: has no labels, which normalisation robust_scored needs; set robust_night instead"
            )
        return info.scored_median, info.scored_iqr


@dataclass(frozen=True)
class BeatsInput(Input):
    """Heartbeats as three series at `rate` samples per second: float32 (3, samples), see `beats.beat_series`.

    rate: samples per second.
    causal: computes each sample from the heartbeats before it alone, see `beats.causal_beat_series`.
    """

    rate: float = 4.0
    causal: bool = False

    channels: ClassVar[int] = heartbeats.CHANNELS

    @classmethod
    def defaults(cls, kind: SignalKind, data: DataConfig, rate_hz: float) -> dict[str, Any]:
        """None: the defaults of the fields."""
        return {}

    @property
    def is_causal(self) -> bool:
        """Whether `causal` is set."""
        return self.causal

    def why_not_causal(self, name: str) -> str:
        """Which setting makes it causal."""
        return f"{name} are read with the heartbeats that follow; set stage.inputs.{name}: {{causal: true}}"

    def shape(self, seconds: float) -> tuple[int, ...]:
        """(3, samples)."""
        return (self.channels, round(seconds * self.rate))

    def check(self, name: str, night: Night) -> None:
        """Raise UserError where a night holds no heartbeats."""
        if night.info.beats is None:
            raise UserError(f"{night.folder}: holds no {name}; prepare it without --no-beats")

    def seconds(self, name: str, night: Night) -> float:
        """Length of the recording, s."""
        return night.info.seconds

    def usable(self, name: str, night: Night, onset_s: np.ndarray, lead_s: np.ndarray, seconds: float) -> np.ndarray:
        """(N,) bool: whether a segment lies within the recording."""
        start = onset_s + lead_s
        return (start > -0.5 / self.rate) & (start + seconds < night.info.seconds + 0.5 / self.rate)

    def read(
        self, name: str, nights: Sequence[Night], onset_s: np.ndarray, lead_s: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Series float32 (M, 3, samples), 0 where no heartbeat is near."""
        starts = zip(nights, onset_s + lead_s, strict=True)
        segments = [self._series(night, night.beats(), start, seconds) for night, start in starts]
        return np.stack(segments) if segments else np.zeros((0, *self.shape(seconds)), dtype=np.float32)

    def read_augmented(self, name: str, night: Night, start_s: float, seconds: float, augment: Augment) -> np.ndarray:
        """One segment of augmented heartbeats, with RR intervals scaled: float32 (3, samples)."""
        beats = augment.beats(night.beats(), start_s, seconds, averaged=night.cadence_s() > 0)
        return augment.series(self._series(night, beats, start_s, seconds))

    def _series(self, night: Night, beats: np.ndarray, start_s: float, seconds: float) -> np.ndarray:
        """One segment (3, samples) of heartbeats, which may be others than those of the night."""
        _, samples = self.shape(seconds)
        if self.causal:
            return heartbeats.causal_beat_series(beats, start_s, samples, self.rate)
        median_s = night.info.beats.median_s if night.info.beats else float("nan")
        return heartbeats.beat_series(beats, median_s, start_s, samples, self.rate)


InputSpec = dict[str, Input]
"""The inputs of a network by name of signal."""


def _column(values: Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]
