"""Windows of n consecutive sleep epochs, read from the store in batches."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.signal import resample
from torch import Tensor
from torch.utils.data import Dataset

from sleepkd.config import DataConfig
from sleepkd.data.hypnogram import EPOCH_SECONDS, UNSCORED, Hypnogram, merge_labels
from sleepkd.data.store import SignalInfo, Store, StoredRecording, Stores
from sleepkd.errors import UserError

CONTIGUOUS_SECONDS = 0.05
"""How far the end of one sleep epoch may lie from the next one's onset for the two to count as consecutive."""


class Batch(NamedTuple):
    """B windows of n sleep epochs.

    signals: float32 (B, n, samples) by name; labels: int64 (B, n), -1 unscored;
    present: bool (B, n), false where a window reaches past the end of a run of sleep epochs (signal 0, unscored);
    extras: rows (B, …) of the arrays that `Windows.extras` names, if any.
    """

    signals: dict[str, Tensor]
    labels: Tensor
    present: Tensor
    extras: dict[str, Tensor]

    def to(self, device: torch.device, dtype: torch.dtype) -> "Batch":
        """The batch on a device, its signals in a dtype; copies from pinned memory do not wait."""

        def move(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: x.to(device, dtype, non_blocking=True) for name, x in tensors.items()}

        labels, present = (x.to(device, non_blocking=True) for x in (self.labels, self.present))
        return Batch(move(self.signals), labels, present, move(self.extras))


@dataclass(frozen=True)
class WindowTable:
    """Where every window lies: W windows of n sleep epochs, -1 (or unscored) where a window is padded.

    recording: (W,) index into the recordings; sleep_epoch: (W, n) index into that night's hypnogram;
    start_s: (W, n) float64, where the 30 s that a network sees begin; labels: (W, n) int8.
    """

    recording: np.ndarray
    sleep_epoch: np.ndarray
    start_s: np.ndarray
    labels: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """(W, n) bool, false where a window is padded."""
        return self.sleep_epoch >= 0

    def scored(self) -> "WindowTable":
        """Only the windows that hold at least one scored sleep epoch."""
        return self.take(np.flatnonzero((self.labels != UNSCORED).any(axis=1)))

    def take(self, chosen: np.ndarray) -> "WindowTable":
        """Some of the windows, by index."""
        return WindowTable(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


class Windows(Dataset):
    """The windows of some recordings. Index it with an array of window numbers to get a `Batch`.

    Holds indices only: signals are memory-mapped, and mapped anew in every loader process.
    """

    def __init__(
        self,
        store: Store | Stores,
        recordings: tuple[str, ...],
        config: DataConfig,
        signals: tuple[str, ...],
        scored_only: bool = True,
    ):
        self.nights = [store.open(recording) for recording in recordings]
        self.config = config
        self.signals = signals
        self.samples = round(EPOCH_SECONDS * store.rate_hz)
        for night in self.nights:
            for signal in signals:
                if signal not in night.info.signals:
                    raise UserError(f"{night.folder}: holds no {signal}; prepare it with a channel for it")
        table = _concatenate([_windows_of(i, night, config, signals) for i, night in enumerate(self.nights)])
        self.table = table.scored() if scored_only else table
        if scored_only and not len(self):
            raise UserError(f"{store.path}: none of {', '.join(recordings)} holds a scored sleep epoch to use")
        self.extras: dict[str, Path] = {}  # .npy arrays with a row per window, to be read beside the signals
        self._maps: dict[Any, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.table.recording)

    def __getitem__(self, chosen: np.ndarray) -> Batch:
        rows = self.table.take(np.asarray(chosen))
        return Batch(
            signals={name: torch.from_numpy(self._read(name, rows)) for name in self.signals},
            labels=torch.from_numpy(rows.labels.astype(np.int64)),
            present=torch.from_numpy(rows.present),
            extras={name: torch.from_numpy(self._extra(name)[chosen]) for name in self.extras},
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": {}}  # a map pickles as all of its bytes

    def _read(self, name: str, rows: WindowTable) -> np.ndarray:
        """One signal of some windows, normalised: float32 (B, n, samples)."""
        infos = [self.nights[night].info.signals[name] for night in rows.recording]
        lengths = np.array([round(EPOCH_SECONDS * info.rate_hz) for info in infos])
        if (lengths == self.samples).all():
            x = self._normalise(self._cut(name, rows, infos, self.samples), name, infos)
        else:  # a store that keeps the recorded rate: each window is resampled by itself, as the release does
            x = np.empty((*rows.start_s.shape, self.samples), dtype=np.float32)
            for length in np.unique(lengths):
                same = np.flatnonzero(lengths == length)
                chosen = [infos[i] for i in same]
                raw = self._cut(name, rows.take(same), chosen, length)
                x[same] = resample(self._normalise(raw, name, chosen), self.samples, axis=-1)
        x[~rows.present] = 0
        return x

    def _cut(self, name: str, rows: WindowTable, infos: list[SignalInfo], length: int) -> np.ndarray:
        """Stored samples int16 (B, n, length); 0 where a window is padded."""
        raw = np.zeros((*rows.start_s.shape, length), dtype=np.int16)
        rates = np.array([_index_rate(info, self.config) for info in infos])
        starts = np.rint(rows.start_s * rates[:, None]).astype(np.int64)
        for b, k in np.argwhere(rows.present):
            start = starts[b, k]
            raw[b, k] = self._track(rows.recording[b], name)[start : start + length]
        return raw

    def _normalise(self, raw: np.ndarray, name: str, infos: list[SignalInfo]) -> np.ndarray:
        """Stored int16 (B, n, length) → float32, turned the right way up and scaled as data.normalisation says."""
        stored = torch.from_numpy(raw)
        signs = [self._sign(name, info) for info in infos]
        if self.config.normalisation == "minmax_window":
            low, high = (bound.float() for bound in torch.aminmax(stored, dim=-1, keepdim=True))
            span = (high - low).clamp_min(1)  # a flat window gives 0
            # upside down, the highest value is the least
            gain = _column(signs) / span
            return stored.float().mul_(gain).sub_(torch.where(gain > 0, low, high) * gain).numpy()
        gain = _column([sign * info.scale / info.iqr for sign, info in zip(signs, infos, strict=True)])
        shift = _column([sign * (i.offset - i.median) / i.iqr for sign, i in zip(signs, infos, strict=True)])
        return stored.float().mul_(gain).add_(shift).clamp_(-self.config.clip, self.config.clip).numpy()

    def _sign(self, name: str, info: SignalInfo) -> int:
        if name != "ecg":
            return 1
        return {"corrected": info.polarity, "as_recorded": 1, "inverted": -1}[self.config.ecg_polarity]

    def _track(self, night: int, name: str) -> np.ndarray:
        if (night, name) not in self._maps:
            self._maps[night, name] = self.nights[night].signal(name)
        return self._maps[night, name]

    def _extra(self, name: str) -> np.ndarray:
        if name not in self._maps:
            self._maps[name] = np.load(self.extras[name], mmap_mode="r")
        return self._maps[name]


def usable_starts(night: StoredRecording, config: DataConfig, signals: tuple[str, ...]) -> np.ndarray:
    """Where the 30 s of each sleep epoch of a night begin, (N,) float64 seconds; NaN where it cannot be used.

    A sleep epoch is cut to 30 s around its middle, so a 20-s one is widened by 5 s on either side, and the first and
    last of such a night are dropped (Joshi et al.). One that reaches beyond the signal is dropped too.
    """
    hypnogram = night.hypnogram
    onset = np.floor(hypnogram.onset_s) if config.alignment == "truncated" else hypnogram.onset_s
    start = onset + hypnogram.duration_s / 2 - EPOCH_SECONDS / 2
    usable = np.ones(len(hypnogram), dtype=bool)
    if len(hypnogram) and np.median(hypnogram.duration_s) < EPOCH_SECONDS:
        usable[[0, -1]] = False
    for name in signals:
        info = night.info.signals[name]
        first = np.rint(start * _index_rate(info, config))
        usable &= (first >= 0) & (first + round(EPOCH_SECONDS * info.rate_hz) <= info.samples)
    return np.where(usable, start, np.nan)


def _windows_of(index: int, night: StoredRecording, config: DataConfig, signals: tuple[str, ...]) -> WindowTable:
    start = usable_starts(night, config, signals)
    labels = merge_labels(night.hypnogram.labels, config.classes)
    runs = _consecutive_runs(night.hypnogram, np.flatnonzero(~np.isnan(start)))
    chunks = [run[i : i + config.window] for run in runs for i in range(0, len(run), config.window)]
    sleep_epoch = np.full((len(chunks), config.window), -1, dtype=np.int32)
    for row, chunk in zip(sleep_epoch, chunks, strict=True):
        row[: len(chunk)] = chunk
    present = sleep_epoch >= 0
    return WindowTable(
        recording=np.full(len(chunks), index, dtype=np.int32),
        sleep_epoch=sleep_epoch,
        start_s=np.where(present, start[sleep_epoch], 0.0),
        labels=np.where(present, labels[sleep_epoch], UNSCORED).astype(np.int8),
    )


def _consecutive_runs(hypnogram: Hypnogram, usable: np.ndarray) -> list[np.ndarray]:
    end = hypnogram.onset_s + hypnogram.duration_s
    gap = np.abs(hypnogram.onset_s[usable[1:]] - end[usable[:-1]]) > CONTIGUOUS_SECONDS
    return [run for run in np.split(usable, np.flatnonzero(gap) + 1) if len(run)]


def _concatenate(tables: list[WindowTable]) -> WindowTable:
    columns = WindowTable.__dataclass_fields__
    return WindowTable(*(np.concatenate([getattr(table, name) for table in tables]) for name in columns))


def _index_rate(info: SignalInfo, config: DataConfig) -> float:
    """The rate that turns seconds into sample numbers; the release truncates it to an integer."""
    return float(int(info.rate_hz)) if config.alignment == "truncated" else info.rate_hz


def _column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
