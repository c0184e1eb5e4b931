"""What a network wants to see of a night, and how it gets it: a pure function of what is stored, never of a label.

An `InputSpec` maps the names of signals to what is wanted of each; it belongs to a network and is kept in its
checkpoint. Teacher and student each have their own, and the reader serves both for the same stretch of the night.
Training, evaluation, prediction and export all read through here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from scipy.signal import resample
from torch import Tensor

from sleepkd.config import from_dict, require
from sleepkd.data import beats as heart
from sleepkd.data.data_settings import Alignment, DataConfig, Normalisation, Polarity
from sleepkd.data.store import Night, SignalInfo
from sleepkd.errors import UserError

UNIT_UV = {"eeg": 20.0, "ecg": 100.0}
"""What `physical` measures a signal in: of the order of its interquartile range in sleep."""
MEND = "python -m sleepkd.prepare --mend {store}"


@dataclass(frozen=True)
class SignalInput:
    """A stored signal as a network sees it: (cuts, samples) at `rate` per second. None: as the store and `data` say.

    normalisation "robust_night": less the night's median, over its interquartile range, within ± clip; "robust_scored":
    the same of the scored part of the night; "minmax_window": each cut to [0, 1]; "physical": in units of `UNIT_UV`,
    within ± clip, whatever the night: the one that a causal network can have. polarity is of the ECG. alignment
    "truncated": onsets and rates cut to whole numbers, as released.
    """

    rate: float | None = None
    normalisation: Normalisation | None = None
    clip: float | None = None
    polarity: Polarity | None = None
    alignment: Alignment | None = None

    def resolved(self, data: DataConfig, rate_hz: float) -> "SignalInput":
        """With every choice made."""
        chosen = SignalInput(rate_hz, data.normalisation, data.clip, data.ecg_polarity, data.alignment)
        return replace(chosen, **{name: value for name, value in asdict(self).items() if value is not None})

    @property
    def causal(self) -> bool:
        """Whether what is read of a moment depends on nothing later (the polarity of the ECG is taken as known)."""
        return self.normalisation == "physical"

    def sees_future(self, name: str) -> str:
        """What to say where that is wanted."""
        return f"{name} is scaled by the whole night; set data.normalisation: physical, or stage.inputs.{name}'s"

    def shape(self, seconds: float) -> tuple[int, ...]:
        """The shape of a cut of so many seconds."""
        return (round(seconds * self.rate),)

    def check(self, name: str, night: Night) -> None:
        """UserError where a night cannot give this."""
        info = night.info.signals.get(name)
        if info is None:
            raise UserError(f"{night.folder}: holds no {name}; prepare it with a channel for it")
        if self.rate != night.rate_hz:
            raise UserError(
                f"{night.folder}: is read at {night.rate_hz:g} Hz, the network was made for {self.rate:g} Hz; prepare "
                f"the recordings with --rate {self.rate:g}"
            )
        if self.normalisation != "minmax_window":
            _statistics(name, info, self.normalisation, night)

    def usable(self, name: str, night: Night, onset_s: np.ndarray, lead_s: np.ndarray, seconds: float) -> np.ndarray:
        """(N,) bool: whether cuts that begin lead_s after an onset lie within the signal."""
        info = night.info.signals[name]
        first = self._first(info, onset_s, lead_s)
        return (first >= 0) & (first + round(seconds * info.rate_hz) <= info.samples)

    def read(
        self, name: str, nights: Sequence[Night], onset_s: np.ndarray, lead_s: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Cuts of `seconds` that begin lead_s after an onset: float32 (M, samples); 0 beyond the signal's ends.

        nights: M, whose each cut is. onset_s, lead_s: (M,).
        """
        infos = [night.info.signals[name] for night in nights]
        samples = round(seconds * self.rate)
        lengths = np.array([round(seconds * info.rate_hz) for info in infos])
        if (lengths == samples).all():
            return self._normalised(name, nights, *self._cut(name, nights, infos, onset_s, lead_s, samples))
        # A store that keeps the recorded rate: each cut is resampled by itself, as the release does.
        x = np.empty((len(nights), samples), dtype=np.float32)
        for length in np.unique(lengths):
            same = np.flatnonzero(lengths == length)
            some = [nights[i] for i in same]
            raw = self._cut(name, some, [infos[i] for i in same], onset_s[same], lead_s[same], length)
            x[same] = resample(self._normalised(name, some, *raw), samples, axis=-1)
        return x

    def _first(self, info: SignalInfo, onset_s: np.ndarray, lead_s: np.ndarray) -> np.ndarray:
        """The number of the first sample of each cut. The release truncates onsets and rate to whole numbers."""
        if self.alignment == "truncated":
            return np.rint((np.floor(onset_s) + lead_s) * float(int(info.rate_hz))).astype(np.int64)
        return np.rint((onset_s + lead_s) * info.rate_hz).astype(np.int64)

    def _cut(
        self,
        name: str,
        nights: Sequence[Night],
        infos: Sequence[SignalInfo],
        onset_s: np.ndarray,
        lead_s: np.ndarray,
        length: int,
    ) -> tuple[np.ndarray, list[slice] | None]:
        """Stored samples int16 (M, length), and which of them lie within the signal (None: all)."""
        raw = np.zeros((len(nights), length), dtype=np.int16)
        inside, whole = [], True
        for m, (night, info) in enumerate(zip(nights, infos, strict=True)):
            first = int(self._first(info, onset_s[m], lead_s[m]))
            low, high = max(first, 0), min(first + length, info.samples)
            inside.append(slice(low - first, max(low, high) - first))
            whole &= low == first and high == first + length
            raw[m, inside[m]] = night.signal(name)[low : max(low, high)]
        return raw, None if whole else inside

    def _normalised(
        self, name: str, nights: Sequence[Night], raw: np.ndarray, inside: list[slice] | None
    ) -> np.ndarray:
        """Stored int16 (M, length) → float32, turned the right way up and scaled; 0 beyond the signal's ends."""
        infos = [night.info.signals[name] for night in nights]
        signs = [self._sign(name, info) for info in infos]
        stored = torch.from_numpy(raw)
        if self.normalisation == "minmax_window":
            low, high = (bound.float() for bound in torch.aminmax(stored, dim=-1, keepdim=True))
            span = (high - low).clamp_min(1)  # a flat window gives 0
            gain = _column(signs) / span
            # upside down, the highest value is the least
            x = stored.float().mul_(gain).sub_(torch.where(gain > 0, low, high) * gain).numpy()
        else:
            stats = [_statistics(name, i, self.normalisation, n) for i, n in zip(infos, nights, strict=True)]
            facts = list(zip(signs, infos, stats, strict=True))
            gain = _column([sign * info.scale / iqr for sign, info, (_, iqr) in facts])
            shift = _column([sign * (info.offset - median) / iqr for sign, info, (median, iqr) in facts])
            x = stored.float().mul_(gain).add_(shift).clamp_(-self.clip, self.clip).numpy()
        for row, part in zip(x, inside or (), strict=False):
            row[: part.start] = 0
            row[part.stop :] = 0
        return x

    def _sign(self, name: str, info: SignalInfo) -> int:
        if name != "ecg":
            return 1
        return {"corrected": info.polarity, "as_recorded": 1, "inverted": -1}[self.polarity]


@dataclass(frozen=True)
class BeatsInput:
    """The heart's beats as three channels at `rate` per second: see `beats.beat_series`.

    causal: by the beats so far alone, see `beats.causal_beat_series`.
    """

    rate: float = 4.0
    causal: bool = False

    def resolved(self, _data: DataConfig, _rate_hz: float) -> "BeatsInput":
        """With every choice made."""
        return self

    def sees_future(self, name: str) -> str:
        """What to say where that is not wanted."""
        return f"{name} are shown with what follows them; set stage.inputs.{name}: {{causal: true}}"

    def shape(self, seconds: float) -> tuple[int, ...]:
        """The shape of a cut of so many seconds."""
        return (heart.CHANNELS, round(seconds * self.rate))

    def check(self, name: str, night: Night) -> None:
        """UserError where a night cannot give this."""
        if night.info.beats is None:
            raise UserError(
                f"{night.folder}: holds no {name}; prepare it without --no-beats, or a store of an earlier version by "
                f"{MEND.format(store=night.folder.parents[1])}"
            )

    def usable(self, _name: str, night: Night, onset_s: np.ndarray, lead_s: np.ndarray, seconds: float) -> np.ndarray:
        """(N,) bool: whether cuts that begin lead_s after an onset lie within the recording."""
        start = onset_s + lead_s
        return (start > -0.5 / self.rate) & (start + seconds < night.info.seconds + 0.5 / self.rate)

    def read(
        self, _name: str, nights: Sequence[Night], onset_s: np.ndarray, lead_s: np.ndarray, seconds: float
    ) -> np.ndarray:
        """Cuts of `seconds` that begin lead_s after an onset: float32 (M, 3, samples); 0 where no beat is near."""
        starts = zip(nights, onset_s + lead_s, strict=True)
        cuts = [self.series(night, night.beats(), start, seconds) for night, start in starts]
        return np.stack(cuts) if cuts else np.zeros((0, *self.shape(seconds)), dtype=np.float32)

    def series(self, night: Night, beats: np.ndarray, start_s: float, seconds: float) -> np.ndarray:
        """One cut (3, samples) of beats that may be others than the night's own."""
        _, samples = self.shape(seconds)
        if self.causal:
            return heart.causal_beat_series(beats, start_s, samples, self.rate)
        return heart.beat_series(beats, night.info.beats.median_s, start_s, samples, self.rate)


InputSpec = dict[str, SignalInput | BeatsInput]
INPUTS: dict[str, type[SignalInput] | type[BeatsInput]] = {"eeg": SignalInput, "ecg": SignalInput, "beats": BeatsInput}


def input_spec(values: Mapping[str, Any], key: str) -> InputSpec:
    """The inputs that YAML or a checkpoint names; UserError names what is no input, or no setting of one."""
    require(isinstance(values, Mapping), key, f"expected inputs by name, got {values!r}")
    for name in values:
        require(name in INPUTS, f"{key}.{name}", f"is no input; there are {', '.join(INPUTS)}")
    wishes = {name: wish or {} for name, wish in values.items() if wish is not False}  # false: not this one, after all
    spec = {name: from_dict(INPUTS[name], wish, f"{key}.{name}.") for name, wish in wishes.items()}
    for name, item in spec.items():
        for field in fields(item):
            value = getattr(item, field.name)
            if isinstance(value, float):
                require(0 < value < float("inf"), f"{key}.{name}.{field.name}", f"must be positive, is {value}")
    return spec


def resolve(spec: InputSpec, data: DataConfig, rate_hz: float) -> InputSpec:
    """The same inputs with every choice made, as they are kept in a checkpoint."""
    resolved = {name: item.resolved(data, rate_hz) for name, item in spec.items()}
    if data.view == "night":
        for name, item in resolved.items():
            for field, only_epochs in (("normalisation", "minmax_window"), ("alignment", "truncated")):
                fits = getattr(item, field, "") != only_epochs
                require(fits, f"stage.inputs.{name}.{field}", f"{only_epochs} goes with data.view: epochs")
    return resolved


def describe_inputs(spec: InputSpec) -> str:
    """What a network sees, in a word: EEG, or ECG + BEATS."""
    return " + ".join(name.upper() for name in spec)


def _statistics(name: str, info: SignalInfo, normalisation: str, night: Night) -> tuple[float, float]:
    """Median and interquartile range that a signal is scaled by, or 0 and the unit that stands for them."""
    if normalisation == "physical":
        return 0.0, UNIT_UV[name]
    if normalisation == "robust_scored":
        if info.scored_iqr is None:
            raise UserError(
                f"{night.folder}: has no labels; data.normalisation robust_scored needs them, robust_night not"
            )
        return info.scored_median, info.scored_iqr
    if info.iqr is None:
        store = night.folder.parents[1]
        raise UserError(
            f"{store}: was prepared by an earlier version, without statistics of the whole night; add them by "
            f"{MEND.format(store=store)}, or set data.normalisation=robust_scored"
        )
    return info.median, info.iqr


def _column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1)
