"""Anyone's recording as a night in memory: signals at the rates a network wants, beats, and a grid of sleep epochs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.describe import ECG, EEG
from sleepkd.cohorts.ingest import UNITS, stored_signal
from sleepkd.cohorts.signals import SIGNALS, Derivation, DerivedSignal, SignalFile
from sleepkd.cohorts.signals.table import TableFile
from sleepkd.data.beats import median_interval
from sleepkd.data.hypnogram import EPOCH_SECONDS, Hypnogram, unscored_hypnogram
from sleepkd.data.inputs import InputSpec, SignalInput
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo, SignalInfo
from sleepkd.data.store import Night, StoreSettings
from sleepkd.errors import UserError
from sleepkd.prediction.beat_files import is_beat_file, read_beats
from sleepkd.prediction.heart import Heart, flat_or_clipped, heart_of

FORMATS = {  # by the end of a file's name
    ".edf": "edf", ".bdf": "edf", ".rec": "edf", ".hea": "wfdb", ".csv": "table", ".tsv": "table", ".txt": "table",
    ".npz": "table", ".npy": "table",
}  # fmt: skip
LEAST_SECONDS = 600.0
"""A recording shorter than ten minutes is no night."""
PATTERNS = {"ecg": ECG, "eeg": EEG}


@dataclass(frozen=True)
class Reading:
    """What a user says of the files. channel: a name, or a regular expression for it; rate_hz: of tables without times;
    beats: they hold beats; start_s: where the first sleep epoch begins."""

    channel: str = ""
    rate_hz: float | None = None
    beats: bool = False
    start_s: float = 0.0


@dataclass(frozen=True)
class Recorded:
    """A night, and when it began if its file says so. lost: of an ECG, (N, 2) shares flat and clipped."""

    night: Night
    start: Start | None = None
    lost: np.ndarray | None = None


def read_recording(path: Path, inputs: InputSpec, reading: Reading) -> Recorded:
    """A file as a night with what a network that sees `inputs` can have of it.

    Raises UserError: a file of no known kind, no fitting channel, no heart in it, too short a recording.
    """
    if reading.beats or is_beat_file(path):
        if "beats" not in inputs:
            raise UserError(f"{path}: holds beats, the network sees {', '.join(inputs)}")
        return Recorded(night_of_beats(path, read_beats(path), reading.start_s))
    file = open_signals(path, reading.rate_hz)
    name = "eeg" if "eeg" in inputs else "ecg"
    label = channel_of(file, reading.channel, name)
    signal = file.derive([Derivation(re.escape(label.strip()))], UNITS[name])
    night = night_of_signal(path, name, signal, inputs, reading.start_s, file.gaps)
    epochs = night.hypnogram.onset_s, night.hypnogram.duration_s
    lost = flat_or_clipped(signal.samples, signal.rate_hz, *epochs) if name == "ecg" else None
    return Recorded(night, file.start(), lost)


def open_signals(path: Path, rate_hz: float | None = None) -> SignalFile:
    """A file of signals by the end of its name. Raises UserError where it is of no known kind."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(FORMATS)
        raise UserError(f"{path}: is no kind of file that is read here: {known}; beats as text: --beats")
    return TableFile(path, rate_hz) if kind == "table" else SIGNALS[kind](path)


def channel_of(file: SignalFile, wanted: str, name: str) -> str:
    """The channel that a user means, or the first that looks like an ECG, or the only one."""
    pattern = wanted or PATTERNS[name]
    for matches in (lambda x: x.strip() == wanted, lambda x: re.fullmatch(pattern, x.strip(), re.IGNORECASE)):
        found = [label for label in file.labels if matches(label)]
        if found:
            return found[0]
    if not wanted and len(file.labels) == 1:
        return file.labels[0]
    said = f"no channel {wanted}" if wanted else f"no channel that looks like {name.upper()}"
    raise UserError(f"{file.path}: has {said}; --channel names one of {', '.join(file.labels)}")


def night_of_signal(
    path: Path,
    name: str,
    signal: DerivedSignal,
    inputs: InputSpec,
    start_s: float = 0.0,
    gaps: tuple[tuple[float, float], ...] = (),
) -> Night:
    """A night that holds one signal and, of an ECG, its beats."""
    where = f"{path}: {signal.derivation}"
    seconds = len(signal.samples) / signal.rate_hz
    _check_length(path, seconds, start_s)
    heart = heart_of(signal.samples, signal.rate_hz, where) if name == "ecg" else None
    rate_hz, signals, stored = 0.0, {}, {}
    if name in inputs:
        item = inputs[name]
        rate_hz = float(item.rate) if isinstance(item, SignalInput) else 0.0
        polarity = heart.polarity if heart else 1
        samples, info = stored_signal(signal, StoreSettings("", rate_hz), None, gaps, polarity, where)
        signals[name], stored[f"{name}.npy"] = info, samples
    return _night(path, seconds, signals, stored, heart, rate_hz, start_s, gaps)


def night_of_beats(path: Path, times: np.ndarray, start_s: float = 0.0) -> Night:
    """A night that holds beats alone (beats,), s. Raises UserError where no heart can have made them."""
    seconds = float(times[-1]) if len(times) else 0.0
    _check_length(path, seconds, start_s)
    if np.isnan(median_interval(times)):
        raise UserError(f"{path}: holds no beats that a heart could have made")
    return _night(path, seconds, {}, {}, Heart(times, 1, 1.0), 0.0, start_s)


def _night(
    path: Path,
    seconds: float,
    signals: Mapping[str, SignalInfo],
    stored: Mapping[str, np.ndarray],
    heart: Heart | None,
    rate_hz: float,
    start_s: float,
    gaps: tuple[tuple[float, float], ...] = (),
) -> Night:
    grid = unscored_hypnogram(seconds - start_s, EPOCH_SECONDS)
    hypnogram = Hypnogram(grid.onset_s + start_s, grid.duration_s, grid.labels)
    maps, beats = dict(stored), None
    if heart:
        maps["beats.npy"] = heart.times
        beats = BeatsInfo("", len(heart.times), median_interval(heart.times))
    info = RecordingInfo(path.stem, path.stem, "", "aasm", path.name, "", seconds, dict(signals), {}, beats, gaps)
    return Night(path, info, hypnogram, "", rate_hz, _maps=maps)


def _check_length(path: Path, seconds: float, start_s: float) -> None:
    if not seconds - start_s >= LEAST_SECONDS:
        raise UserError(f"{path}: lasts {max(0.0, seconds - start_s) / 60:.1f} min, too short to be staged")
