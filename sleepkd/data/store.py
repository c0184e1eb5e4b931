"""The prepared store: continuous signals at one rate, beats and five-class labels, one folder per recording.

STORE/store.json                         format, cohort, rate, how signals were resampled
STORE/recordings/<recording>/recording.json  whose night, and each signal's derivation, unit, scale, statistics
                             eeg.npy, ecg.npy    int16, physical = scale * value + offset, as recorded; eog.npy, emg.npy
                             beats.npy           float64 (beats,): times of R peaks, s from the first sample
                             beat_quality.npy    float32 (N,): per line of the hypnogram, 0 none usable to 1 all
                             stagers/*.npy       what stagers of other libraries said, see distillation/stagers.py
                             hypnogram.tsv       onset_s, duration_s, sleep stage; a night without labels: unscored
STORE/splits/<name>/train.txt …          see splits.py

Signals are memory-mapped. A recording has any of eeg, ecg and beats.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED, UNSCORED_NAME, Hypnogram
from sleepkd.data.index import indexed
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically

FORMAT = 2
MANY = 50
"""Stores of so many recordings keep an index, see index.py."""
WITHOUT_STATISTICS = 1
"""Stores of this format have no statistics but of the scored part, and no beats."""


@dataclass(frozen=True)
class StoreSettings:
    """What holds for the whole store. resample "each_window": signals stay at their recorded rate (see inputs.py)."""

    cohort: str
    rate_hz: float = 200.0
    resample: Literal["whole_night", "each_window"] = "whole_night"


@dataclass(frozen=True)
class SignalInfo:
    """One stored signal: physical value = scale * stored + offset, in `unit`.

    polarity: -1 where the recording is upside down (ECG), to be applied when reading.
    median, iqr: of the physical signal over the night, without labels; None in a store of format 1.
    scored_median, scored_iqr: over the scored part of the night; None for a night without labels.
    digest: of the samples as recorded: the same in two recordings, and they are one. "" where none was taken.
    """

    derivation: str
    unit: str
    recorded_hz: float
    rate_hz: float
    samples: int
    scale: float
    offset: float
    median: float | None
    iqr: float | None
    scored_median: float | None = None
    scored_iqr: float | None = None
    polarity: int = 1
    digest: str = ""


@dataclass(frozen=True)
class BeatsInfo:
    """Where the beats come from, how many there are, and the night's median plausible interval between two, s.

    digest: as in `SignalInfo`.
    """

    source: str
    count: int
    median_s: float
    digest: str = ""


@dataclass(frozen=True)
class RecordingInfo:
    """One night: whose, from which files, scored by which standard, its signals by name ("eeg", "ecg"), its beats.

    scoring: the file of its labels, "" for a night without labels. seconds: from the first sample to the last.
    gaps: (start, end), s, where nothing was recorded and nothing is read. note: what `prepare` said of it.
    other_scorings: the files of further scorers.
    """

    recording: str
    subject: str
    subset: str
    standard: str
    source: str
    scoring: str
    seconds: float
    signals: dict[str, SignalInfo]
    ignored_annotations: dict[str, int]
    beats: BeatsInfo | None = None
    gaps: tuple[tuple[float, float], ...] = ()
    note: str = ""
    other_scorings: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of all that it holds, as in `SIGNAL_KINDS`: its signals, and "beats"."""
        return (*self.signals, *(["beats"] if self.beats else []))

    @property
    def digests(self) -> frozenset[str]:
        """What it shares with a copy of itself under another name."""
        beats = [self.beats.digest] if self.beats else []
        return frozenset(filter(None, [*beats, *(signal.digest for signal in self.signals.values())]))

    def clear_of_gaps(self, start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
        """(N,) bool: whether sequences of the recording, s, hold no gap."""
        clear = np.ones(np.broadcast(start_s, end_s).shape, dtype=bool)
        for begin, end in self.gaps:
            clear &= (end_s <= begin + 1e-6) | (start_s >= end - 1e-6)
        return clear


def digest(samples: np.ndarray) -> str:
    """What tells samples (samples,) from any others; rounded to float32, so that no unit's last bit enters."""
    return hashlib.blake2b(np.ascontiguousarray(samples, dtype=np.float32), digest_size=12).hexdigest()


@dataclass(frozen=True)
class Night:
    """A recording of a store, opened: its facts and its hypnogram; signals and beats are mapped when asked for.

    rate_hz: samples per second at which its signals are read. source: which entry of `data.nights` it belongs to.
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
        """What tells it from every other night: cohort/recording."""
        return f"{self.cohort}/{self.info.recording}"

    @property
    def has_labels(self) -> bool:
        """Whether a person scored it."""
        return bool(self.info.scoring)

    def unscored(self) -> "Night":
        """The same night as if nobody had scored it: on the same lines, without what only labels give."""
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
        """The stored int16 samples (samples,), memory-mapped and read-only; a plain ndarray view of the map."""
        return self._mapped(f"{name}.npy")

    def beats(self) -> np.ndarray:
        """The times of its R peaks (beats,) float64, s from the first sample, memory-mapped and read-only."""
        return self._mapped("beats.npy")

    def beat_quality(self) -> np.ndarray:
        """(N,) float32 per sleep epoch of the hypnogram: which share of it lies between plausible beats."""
        return self._mapped("beat_quality.npy")

    def other_scorings(self) -> np.ndarray:
        """(S, N) int8: the labels that S further scorers gave the sleep epochs of the hypnogram; -1 unscored."""
        if not self.info.other_scorings:
            return np.zeros((0, len(self.hypnogram)), dtype=np.int8)
        return self._mapped("other_scorings.npy")

    def _mapped(self, file: str) -> np.ndarray:
        if file not in self._maps:
            path = self.folder / file
            try:
                self._maps[file] = np.asarray(np.load(path, mmap_mode="r"))
            except (OSError, EOFError, ValueError) as error:
                raise UserError(f"{path}: cannot be read; prepare again with --again: {error}") from None
        return self._maps[file]


class Store:
    """A prepared store, opened for reading. Raises UserError where there is none."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.settings = read_settings(self.path)
        folder = self.path / "recordings"
        whole = (path.parent.name for path in folder.glob("*/recording.json"))
        self.recordings = sorted(name for name in whole if not name.startswith("."))  # a dot: being written
        if not self.recordings:
            raise UserError(f"{self.path}: the store holds no recording; run python -m sleepkd.prepare first")

    @property
    def rate_hz(self) -> float:
        """Samples per second of every window read from this store."""
        return self.settings.rate_hz

    def info(self, recording: str) -> RecordingInfo:
        """The facts of one recording, without its signals. Raises UserError where the store does not hold it."""
        if recording in self._index:
            return _info_of(self._index[recording][0])
        return read_info(self.path, recording)

    def open(self, recording: str, source: int = 0) -> Night:
        """One recording with its hypnogram; its signals stay on disk."""
        info, folder = self.info(recording), self._folder(recording)
        known = self._index.get(recording)
        hypnogram = known[1] if known else _read_hypnogram(folder / "hypnogram.tsv")
        return Night(folder, info, hypnogram, self.settings.cohort, self.rate_hz, source)

    @cached_property
    def _index(self) -> dict[str, tuple[dict[str, Any], Hypnogram]]:
        """The facts and hypnograms of all recordings, where there are many."""
        if len(self.recordings) < MANY:
            return {}

        def read(recording: str) -> tuple[dict[str, Any], Hypnogram]:
            return _facts_of_file(self.path, recording), _read_hypnogram(self._folder(recording) / "hypnogram.tsv")

        return indexed(self.path, self.recordings, read)

    def _folder(self, recording: str) -> Path:
        return self.path / "recordings" / recording


def read_info(store: Path, recording: str) -> RecordingInfo:
    """The facts of one recording of a store, read from its own file. Raises UserError where it has none."""
    return _info_of(_facts_of_file(store, recording))


def _facts_of_file(store: Path, recording: str) -> dict[str, Any]:
    path = store / "recordings" / recording / "recording.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _info_of(content)
        return content
    except FileNotFoundError:
        raise UserError(f"{store}: holds no recording {recording}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is damaged; prepare again with --again") from None


def read_settings(path: Path) -> StoreSettings:
    """The settings of the store at `path`. Raises UserError where there is none of this format or the one before."""
    return _read_settings(path)[1]


def _read_settings(path: Path) -> tuple[int, StoreSettings]:
    """Its format as well."""
    try:
        content = json.loads((path / "store.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such store; run python -m sleepkd.prepare, or set data.store") from None
    except ValueError:  # no JSON, or no text
        raise UserError(f"{path / 'store.json'}: is damaged; prepare the store anew") from None
    try:
        found = content.pop("format")
        if found not in (FORMAT, WITHOUT_STATISTICS):
            raise KeyError("format")
        return found, StoreSettings(**content)
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: was prepared by another version of sleepkd; prepare it anew") from None


def create_store(path: Path, settings: StoreSettings) -> None:
    """Start a store, or check that the one at `path` was started with the same settings (UserError if not)."""
    if (path / "store.json").is_file():
        found, present = _read_settings(path)
        if found == WITHOUT_STATISTICS:
            raise UserError(
                f"{path}: was prepared by an earlier version; mend it first: python -m sleepkd.prepare --mend {path}"
            )
        if present != settings:
            raise UserError(f"{path}: holds {asdict(present)}, this asks for {asdict(settings)}; choose another --out")
        return
    try:
        (path / "recordings").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {error.strerror}") from None
    write_settings(path, settings)


def write_settings(path: Path, settings: StoreSettings) -> None:
    """Say that the store at `path` is of this format, with these settings."""
    write_text_atomically(path / "store.json", json.dumps({"format": FORMAT, **asdict(settings)}, indent=1) + "\n")


def write_recording(
    store: Path,
    info: RecordingInfo,
    signals: dict[str, np.ndarray],
    hypnogram: Hypnogram,
    beats: np.ndarray | None = None,
    beat_quality: np.ndarray | None = None,
    other_scorings: np.ndarray | None = None,
) -> None:
    """Write one recording whole or not at all: a temporary folder beside its place, then a rename.

    signals: int16 arrays (samples,) by name. beats, beat_quality, other_scorings: as `Night` has them.
    """
    parent = store / "recordings"
    temporary = Path(tempfile.mkdtemp(dir=parent, prefix=f".{info.recording}."))
    try:
        for name, samples in signals.items():
            np.save(temporary / f"{name}.npy", samples)
        if beats is not None:
            _save_beats(temporary, beats, beat_quality)
        if info.other_scorings:
            np.save(temporary / "other_scorings.npy", other_scorings)
        _write_hypnogram(temporary / "hypnogram.tsv", hypnogram)
        (temporary / "recording.json").write_text(_facts(info), encoding="utf-8")
        temporary.chmod(0o755)
        final = parent / info.recording
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def add_to_recording(
    folder: Path, info: RecordingInfo, beats: np.ndarray | None = None, beat_quality: np.ndarray | None = None
) -> None:
    """New facts, and beats if given, for a recording that lies in `folder`; its signals and hypnogram stay untouched.

    The facts come last, in one step: until then the recording is what it was.
    """
    if beats is not None:
        _save_beats(folder, beats, beat_quality)
    write_text_atomically(folder / "recording.json", _facts(info))


def _save_beats(folder: Path, beats: np.ndarray, beat_quality: np.ndarray | None) -> None:
    np.save(folder / "beats.npy", np.asarray(beats, dtype=np.float64))
    np.save(folder / "beat_quality.npy", np.asarray(beat_quality, dtype=np.float32))


def _facts(info: RecordingInfo) -> str:
    return json.dumps(asdict(info), indent=1) + "\n"


def _info_of(content: dict[str, Any]) -> RecordingInfo:
    """The facts in a recording.json, of this format or of the one before, whose statistics are of the scored part."""
    content = dict(content)
    signals = {name: dict(signal) for name, signal in content["signals"].items()}
    if "seconds" not in content:
        content["seconds"] = max(signal["samples"] / signal["rate_hz"] for signal in signals.values())
        for signal in signals.values():
            signal |= {"scored_median": signal["median"], "scored_iqr": signal["iqr"], "median": None, "iqr": None}
    content["signals"] = {name: SignalInfo(**signal) for name, signal in signals.items()}
    content["beats"] = BeatsInfo(**content["beats"]) if content.get("beats") else None
    content["other_scorings"] = tuple(content.get("other_scorings", ()))
    content["gaps"] = tuple((float(start), float(end)) for start, end in content.get("gaps", ()))
    return RecordingInfo(**content)


def to_int16(signal: np.ndarray) -> tuple[np.ndarray, float, float]:
    """A physical signal (samples,) as int16 with its scale and offset; the largest deviation takes the full range."""
    offset = float(np.median(signal))
    peak = float(np.max(np.abs(signal - offset)))
    scale = peak / 32767 if peak > 0 else 1.0
    return np.rint((signal - offset) / scale).astype(np.int16), scale, offset


def _write_hypnogram(path: Path, hypnogram: Hypnogram) -> None:
    lines = ["onset_s\tduration_s\tsleep_stage"]
    for onset, duration, label in zip(hypnogram.onset_s, hypnogram.duration_s, hypnogram.labels, strict=True):
        name = UNSCORED_NAME if label == UNSCORED else SLEEP_STAGES[label]
        lines.append(f"{float(onset)!r}\t{float(duration)!r}\t{name}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _read_hypnogram(path: Path) -> Hypnogram:
    index = {name: k for k, name in enumerate(SLEEP_STAGES)} | {UNSCORED_NAME: UNSCORED}
    try:
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        return Hypnogram(
            onset_s=np.array([float(row[0]) for row in rows]),
            duration_s=np.array([float(row[1]) for row in rows]),
            labels=np.array([index[row[2]] for row in rows], dtype=np.int8),
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path}: cannot be read as a hypnogram: {error}") from None
