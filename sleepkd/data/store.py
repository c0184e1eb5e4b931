"""The prepared store, read: continuous signals, heartbeats and five-class labels, a folder per recording.

STORE/store.json                         format, cohort, rate, how signals were resampled
STORE/recordings/<recording>/recording.json      `RecordingInfo`: subject, age, sex, files, each signal's unit, rate …
                             eeg.npy, ecg.npy …  int16 (samples,): physical value = scale * stored value + offset;
                                                 -32768 is a missing sample (of thorax, spo2, motion …)
                             beats.npy           float64 (beats,): times of R peaks, s from the first sample
                             beat_quality.npy    float32 (N,): signal quality of the heartbeats per sleep epoch, 0 to 1
                             hypnogram.tsv       onset_s, duration_s, sleep stage; "unscored" without labels
                             other_scorings.npy  int8 (S, N): labels of S further scorers
                             pseudo_labels/*.npy stages assigned by models, see pseudo_labels.py
STORE/splits/<name>/train.txt …          see splits.py

A recording holds any of the signals of `SIGNAL_KINDS`. Signals are memory-mapped. `store_writing.py` writes stores.
"""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sleepkd.data.heart_rate_input import beats_cadence
from sleepkd.data.hypnogram import UNSCORED, Hypnogram, read_hypnogram
from sleepkd.data.index import indexed
from sleepkd.data.recording_info import MISSING, RecordingInfo, from_json
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError

FORMAT = 2
MIN_INDEXED = 50
"""Stores of at least so many recordings keep an index, see index.py."""


@dataclass(frozen=True)
class StoreSettings:
    """Settings of a whole store.

    rate_hz: samples per second at which signals are read; kinds with a rate of their own keep it.
    resample: whole_night stores signals at rate_hz; each_window stores them at their recorded rate, and each segment is
    resampled when it is read, as in the code released with the paper.
    """

    cohort: str
    rate_hz: float = 200.0
    resample: Literal["whole_night", "each_window"] = "whole_night"


@dataclass(frozen=True)
class Night:
    """An opened recording: its `RecordingInfo` and hypnogram; signals and heartbeats are memory-mapped on demand.

    Attributes
    ----------
    folder
        Of the recording in its store.
    info
        What the store knows of it without its signals.
    hypnogram
        Its sleep epochs and labels.
    cohort, rate_hz
        Of the store.
    source
        Index of its entry in `data.nights`.
    """

    folder: Path
    info: RecordingInfo
    hypnogram: Hypnogram
    cohort: str
    rate_hz: float
    source: int = 0
    _maps: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": {}}  # a map pickles as all of its bytes

    @property
    def key(self) -> str:
        """cohort/recording, which is unique over all stores of a run."""
        return f"{self.cohort}/{self.info.recording}"

    @property
    def has_labels(self) -> bool:
        """Whether the recording is a labelled one."""
        return bool(self.info.scoring)

    def without_labels(self) -> "Night":
        """The same night as an unlabelled recording: its sleep epochs unscored, no statistics of the scored part."""
        signals = {
            name: replace(signal, scored_median=None, scored_iqr=None) for name, signal in self.info.signals.items()
        }
        info = replace(self.info, scoring="", signals=signals, other_scorings=())
        labels = np.full_like(self.hypnogram.labels, UNSCORED)
        return replace(self, info=info, hypnogram=replace(self.hypnogram, labels=labels))

    def reading_rate_hz(self, name: str) -> float:
        """Samples per second at which a network reads a signal: the stored rate if its kind has one, else `rate_hz`."""
        return self.info.signals[name].rate_hz if SIGNAL_KINDS[name].rate_hz else self.rate_hz

    def signal(self, name: str) -> np.ndarray:
        """The stored samples, int16 (samples,), memory-mapped, read-only."""
        return self._mapped(f"{name}.npy")

    def beats(self) -> np.ndarray:
        """The times of R peaks, float64 (beats,), s from the first sample, memory-mapped, read-only."""
        return self._mapped("beats.npy")

    def cadence_s(self) -> float:
        """The cadence of the averaged heart rate that its heartbeats were made from, s; 0 for measured heartbeats.

        It is recognised from the heartbeats where an older store does not hold it. Only for a night with heartbeats.
        """
        known = self.info.beats.cadence_s if self.info.beats else None
        return beats_cadence(self.beats()) if known is None else known

    def beat_quality(self) -> np.ndarray:
        """Float32 (N,): the share of each sleep epoch that lies within plausible RR intervals."""
        return self._mapped("beat_quality.npy")

    def signal_quality(self, name: str) -> np.ndarray:
        """Float32 (N,): the share of each sleep epoch in which a signal has samples, neither missing nor beyond its
        end."""
        info = self.info.signals[name]
        known = np.concatenate([[0], np.cumsum(self.signal(name) != MISSING)])
        first, last = (
            np.rint(edge * info.rate_hz).astype(np.int64)
            for edge in (self.hypnogram.onset_s, self.hypnogram.onset_s + self.hypnogram.duration_s)
        )
        inside = known[last.clip(0, info.samples)] - known[first.clip(0, info.samples)]
        return (inside / np.maximum(last - first, 1)).astype(np.float32)

    def other_scorings(self) -> np.ndarray:
        """Int8 (S, N): the labels of S further scorers for the sleep epochs of the hypnogram; -1 is unscored."""
        if not self.info.other_scorings:
            return np.zeros((0, len(self.hypnogram)), dtype=np.int8)
        return self._mapped("other_scorings.npy")

    def _mapped(self, file: str) -> np.ndarray:
        if file not in self._maps:
            path = self.folder / file
            try:
                self._maps[file] = np.asarray(np.load(path, mmap_mode="r"))
            except (OSError, EOFError, ValueError) as error:
                raise UserError(f"{path}: cannot be read; prepare it again with --overwrite: {error}") from None
        return self._maps[file]


class Store:
    """A prepared store, opened for reading.

    Parameters
    ----------
    path
        Of the folder that `sleepkd prepare` wrote.

    Raises
    ------
    UserError
        No store at this path, no recordings, another format.

    Examples
    --------
    >>> store = Store(path)
    >>> night = store.open(store.recordings[0])
    >>> night.info.kinds
    ('eeg', 'ecg', 'beats')
    >>> signal = night.info.signals["ecg"]
    >>> ecg = signal.scale * night.signal("ecg") + signal.offset  # in signal.unit
    >>> len(ecg) == signal.samples
    True
    >>> len(night.beats()) == night.info.beats.count
    True
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.settings = read_settings(self.path)
        complete = (path.parent.name for path in (self.path / "recordings").glob("*/recording.json"))
        self.recordings = sorted(name for name in complete if not name.startswith("."))  # a dot: being written
        if not self.recordings:
            raise UserError(f"{self.path}: holds no recording; run sleepkd prepare first")

    @property
    def rate_hz(self) -> float:
        """Samples per second at which signals are read; kinds with a rate of their own keep it."""
        return self.settings.rate_hz

    def info(self, recording: str) -> RecordingInfo:
        """The `RecordingInfo` of one recording. Raises UserError where the store does not hold it."""
        if recording in self._index:
            return from_json(self._index[recording][0])
        return read_info(self.path, recording)

    def open(self, recording: str, source: int = 0) -> Night:
        """One recording with its hypnogram; its signals stay on disk. Raises UserError where it is damaged."""
        info, folder = self.info(recording), self._folder(recording)
        entry = self._index.get(recording)
        hypnogram = entry[1] if entry else read_hypnogram(folder / "hypnogram.tsv")
        return Night(folder, info, hypnogram, self.settings.cohort, self.rate_hz, source)

    @cached_property
    def _index(self) -> dict[str, tuple[dict[str, Any], Hypnogram]]:
        """recording.json and hypnogram of all recordings of a large store; {} of a small one."""
        if len(self.recordings) < MIN_INDEXED:
            return {}

        def read(recording: str) -> tuple[dict[str, Any], Hypnogram]:
            return _read_json(self.path, recording), read_hypnogram(self._folder(recording) / "hypnogram.tsv")

        return indexed(self.path, self.recordings, read)

    def _folder(self, recording: str) -> Path:
        return self.path / "recordings" / recording


def read_info(store: Path, recording: str) -> RecordingInfo:
    """The `RecordingInfo` of one recording, from its own file. Raises UserError: no such recording, a damaged file."""
    return from_json(_read_json(store, recording))


def _read_json(store: Path, recording: str) -> dict[str, Any]:
    path = store / "recordings" / recording / "recording.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        from_json(content)
        return content
    except FileNotFoundError:
        raise UserError(f"{store}: holds no recording {recording}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is damaged; prepare it again with --overwrite") from None


def read_settings(path: Path) -> StoreSettings:
    """The settings of the store at a path. Raises UserError: no store, a damaged one, another format."""
    try:
        content = json.loads((path / "store.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such store; run sleepkd prepare, or set data.store") from None
    except ValueError:  # neither JSON nor text
        raise UserError(f"{path / 'store.json'}: is damaged; prepare the store again") from None
    try:
        if content.pop("format") != FORMAT:
            raise KeyError("format")
        return StoreSettings(**content)
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: was prepared by another version of sleepkd; prepare it again") from None
