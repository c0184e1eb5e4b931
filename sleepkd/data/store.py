"""The prepared store: continuous signals at one rate and five-class labels, one folder per recording, memory-mapped.

STORE/store.json                         format, cohort, rate, how signals were resampled
STORE/recordings/<recording>/recording.json  whose night, and each signal's derivation, unit, scale, statistics
                             eeg.npy, ecg.npy    int16, physical = scale * value + offset, as recorded
                             hypnogram.tsv       onset_s, duration_s, sleep stage
STORE/splits/<name>/train.txt …          see splits.py
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED, UNSCORED_NAME, Hypnogram
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically

FORMAT = 1


@dataclass(frozen=True)
class StoreSettings:
    """What holds for the whole store. resample "each_window": signals stay at their recorded rate (see windows.py)."""

    cohort: str
    rate_hz: float = 200.0
    resample: Literal["whole_night", "each_window"] = "whole_night"


@dataclass(frozen=True)
class SignalInfo:
    """One stored signal: physical value = scale * stored + offset, in `unit`.

    polarity: -1 where the recording is upside down (ECG), to be applied when reading.
    median, iqr: of the physical signal over the scored part of the night.
    """

    derivation: str
    unit: str
    recorded_hz: float
    rate_hz: float
    samples: int
    scale: float
    offset: float
    median: float
    iqr: float
    polarity: int = 1


@dataclass(frozen=True)
class RecordingInfo:
    """One night: whose, from which files, scored by which standard, and its signals by name ("eeg", "ecg")."""

    recording: str
    subject: str
    subset: str
    standard: str
    source: str
    scoring: str
    signals: dict[str, SignalInfo]
    ignored_annotations: dict[str, int]


@dataclass(frozen=True)
class StoredRecording:
    """A recording of the store, opened: its facts and its hypnogram; signals are mapped when asked for."""

    folder: Path
    info: RecordingInfo
    hypnogram: Hypnogram
    cohort: str

    def signal(self, name: str) -> np.ndarray:
        """The stored int16 samples (samples,), memory-mapped and read-only; a plain ndarray view of the map."""
        path = self.folder / f"{name}.npy"
        try:
            return np.asarray(np.load(path, mmap_mode="r"))
        except (OSError, EOFError, ValueError) as error:
            raise UserError(f"{path}: cannot be read; prepare again with --again: {error}") from None


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
        path = self._folder(recording) / "recording.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            content["signals"] = {name: SignalInfo(**signal) for name, signal in content["signals"].items()}
            return RecordingInfo(**content)
        except FileNotFoundError:
            raise UserError(f"{self.path}: holds no recording {recording}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: is damaged; prepare again with --again") from None

    def open(self, recording: str) -> StoredRecording:
        """One recording with its hypnogram; its signals stay on disk."""
        info = self.info(recording)
        folder = self._folder(recording)
        return StoredRecording(folder, info, _read_hypnogram(folder / "hypnogram.tsv"), self.settings.cohort)

    def _folder(self, recording: str) -> Path:
        return self.path / "recordings" / recording


class Stores:
    """Several stores read as one, for evaluating on several cohorts at once: as much of a `Store` as windows need.

    Raises UserError where two hold signals at different rates, or a recording of the same name.
    """

    def __init__(self, stores: Sequence[Store]):
        self.path = stores[0].path
        self.rate_hz = stores[0].rate_hz
        self._of: dict[str, Store] = {}
        for store in stores:
            if store.rate_hz != self.rate_hz:
                raise UserError(f"{store.path}: holds {store.rate_hz:g} Hz, {self.path} {self.rate_hz:g} Hz")
            for recording in store.recordings:
                if (other := self._of.setdefault(recording, store)) is not store:
                    raise UserError(f"{store.path}: holds a recording {recording}, as {other.path} does; rename one")

    def open(self, recording: str) -> StoredRecording:
        """One recording of any of the stores."""
        return self._of[recording].open(recording)


def read_settings(path: Path) -> StoreSettings:
    """The settings of the store at `path`. Raises UserError where there is none of this format."""
    try:
        content = json.loads((path / "store.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path}: no such store; run python -m sleepkd.prepare, or set data.store") from None
    except ValueError:  # no JSON, or no text
        raise UserError(f"{path / 'store.json'}: is damaged; prepare the store anew") from None
    try:
        if content.pop("format") != FORMAT:
            raise KeyError("format")
        return StoreSettings(**content)
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: was prepared by another version of sleepkd; prepare it anew") from None


def create_store(path: Path, settings: StoreSettings) -> None:
    """Start a store, or check that the one at `path` was started with the same settings (UserError if not)."""
    if (path / "store.json").is_file():
        present = read_settings(path)
        if present != settings:
            raise UserError(f"{path}: holds {asdict(present)}, this asks for {asdict(settings)}; choose another --out")
        return
    try:
        (path / "recordings").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {error.strerror}") from None
    write_text_atomically(path / "store.json", json.dumps({"format": FORMAT, **asdict(settings)}, indent=1) + "\n")


def write_recording(store: Path, info: RecordingInfo, signals: dict[str, np.ndarray], hypnogram: Hypnogram) -> None:
    """Write one recording whole or not at all: a temporary folder beside its place, then a rename.

    signals: int16 arrays (samples,) by name.
    """
    parent = store / "recordings"
    temporary = Path(tempfile.mkdtemp(dir=parent, prefix=f".{info.recording}."))
    try:
        for name, samples in signals.items():
            np.save(temporary / f"{name}.npy", samples)
        _write_hypnogram(temporary / "hypnogram.tsv", hypnogram)
        (temporary / "recording.json").write_text(json.dumps(asdict(info), indent=1) + "\n", encoding="utf-8")
        temporary.chmod(0o755)
        final = parent / info.recording
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


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
