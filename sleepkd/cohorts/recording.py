"""Read the files of one night: signals by kind, heartbeats, labels. `prepare` and `predict` both read through here."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sleepkd.cohorts.alignment import align_scoring
from sleepkd.cohorts.beats import BEATS, BeatLayout
from sleepkd.cohorts.beats.beat_report import BeatReport
from sleepkd.cohorts.clock import Start, seconds_between
from sleepkd.cohorts.condition import counts_at_rate
from sleepkd.cohorts.labels import LABELS, LabelLayout, ScoredFile
from sleepkd.cohorts.labels.foreign import foreign_scoring
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.sensors import SENSORS, SensorLayout, SensorReading
from sleepkd.cohorts.signals import Derivation, DerivedSignal, SignalFile
from sleepkd.cohorts.sleeper import Sleeper
from sleepkd.cohorts.wfdb_header import HEADER_ENDING, read_record_facts
from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError

SAME_GRID = 0.9
"""Share of another scorer's sleep epochs that must begin with one of the first scorer's."""


@dataclass(frozen=True)
class BeatFile:
    """A file of heartbeats, and the section `beats` that describes it."""

    path: Path
    layout: BeatLayout


@dataclass(frozen=True)
class SensorFile:
    """A file of a sensor, and the entry of `sensor_files` that describes it."""

    path: Path
    layout: SensorLayout


@dataclass(frozen=True)
class LabelFile:
    """A scoring file, the section `scoring` that describes it, and the files of further scorers."""

    path: Path
    layout: LabelLayout
    epoch_seconds: float
    others: tuple[Path, ...] = ()

    def read(self, path: Path) -> ScoredFile:
        """One of these files. Raises UserError, naming the program that wrote a file of another format."""
        try:
            return LABELS[self.layout.format].read(path, self.layout, self.epoch_seconds)
        except UserError as error:
            if written := foreign_scoring(path, self.layout.format):
                raise UserError(f"{path}: is {written} ({str(error).removeprefix(f'{path}: ')})") from None
            raise


@dataclass(frozen=True)
class Recording:
    """The files of one night, read.

    path: the file that names the recording.
    seconds: from the first sample to the last; without signals, to the end of the last sleep epoch or the last beat.
    signals: by kind, at the recorded rate and in the unit of the kind.
    beats: times of R peaks (beats,), s from the first sample, from a file of heartbeats; None without one.
    cadence_s: of the averaged heart rate that they were made from, s; 0 for heartbeats.
    hypnogram: the sleep epochs within the signals; None for an unlabelled recording.
    other_scorings: labels (N,) int8 of further scorers for the sleep epochs of the hypnogram, by file name.
    ignored_annotations: texts in the scoring file that are no sleep stages, and how often each occurs.
    start: when the recording starts, if its file states it. sleeper: age and sex by the file that names the recording.
    beat_report: what the columns of a table of heartbeats were taken for; None for other files.
    gaps: (start, end), s, where nothing was recorded.
    remarks: what is odd, with "WARNING: " before what a person should look at.
    """

    path: Path
    seconds: float
    signals: dict[str, DerivedSignal] = field(default_factory=dict)
    beats: np.ndarray | None = None
    cadence_s: float = 0.0
    hypnogram: Hypnogram | None = None
    other_scorings: dict[str, np.ndarray] = field(default_factory=dict)
    ignored_annotations: dict[str, int] = field(default_factory=dict)
    start: Start | None = None
    sleeper: Sleeper = field(default_factory=Sleeper)
    beat_report: BeatReport | None = None
    gaps: tuple[tuple[float, float], ...] = ()
    remarks: tuple[str, ...] = ()


def read_recording(
    path: Path,
    signal_file: SignalFile | None = None,
    derivations: Mapping[str, Sequence[Derivation]] | None = None,
    beat_file: BeatFile | None = None,
    label_file: LabelFile | None = None,
    sensor_files: Mapping[str, SensorFile] | None = None,
    optional: Collection[str] = (),
) -> Recording:
    """The files of one night, read.

    path: the file that names the recording. signal_file: opened; None for a recording without signals.
    derivations: by kind, of the signals to read. sensor_files: by kind. optional: kinds whose errors are remarks.
    Raises UserError: a file that cannot be read, a derivation that no channel fits, labels of another night.
    """
    scored = label_file.read(label_file.path) if label_file else None
    read = BEATS[beat_file.layout.format].read(beat_file.path, beat_file.layout) if beat_file else None
    beats = read.times if read else None
    lost: list[str] = []
    sensors: dict[str, SensorReading] = {}
    for name, file in (sensor_files or {}).items():
        with _as_remark(lost, name in optional, name):
            sensors[name] = SENSORS[file.layout.format].read(file.path, file.layout)
    start = signal_file.start() if signal_file else read.start if read else None
    if signal_file is None and read is None and sensors:
        start = next(iter(sensors.values())).start
    shifts = _shifts(sensors, start, path, lost, optional)
    ends = [sensors[name].end_s + shift for name, shift in shifts.items()]
    seconds = signal_file.seconds if signal_file else _end(scored, beats, ends)
    if beats is not None:
        beats = beats[(beats >= 0) & (beats <= seconds)]
    remarks = [*signal_file.remarks, *_gap_remarks(signal_file)] if signal_file else []
    remarks += read.report.notes if read and read.report else ()
    hypnogram, others = None, {}
    if label_file and scored:
        zone = scored.start.zone if scored.start else ""
        place = start if start is None or start.zone == zone else None  # most scorings have the clock of the place
        if zone and start is not None and place is None:
            raise UserError(f"{label_file.path}: its clock is {zone}, and that of {path.name} is not")
        hypnogram, more = align_scoring(scored, place, seconds, label_file.layout.clock, label_file.path, path)
        remarks += more
        for other in label_file.others:
            others[other.name] = _other_labels(label_file, other, place, seconds, hypnogram, path)
    signals = {}
    if signal_file:
        for name, choices in (derivations or {}).items():
            with _as_remark(lost, name in optional, name):
                signals[name] = signal_file.derive(choices, SIGNAL_KINDS[name].unit)
    for name, shift in shifts.items():
        signals[name] = _placed(sensors[name], name, shift, seconds)
    return Recording(
        path=path,
        seconds=seconds,
        signals=signals,
        beats=beats,
        cadence_s=read.cadence_s if read else 0.0,
        hypnogram=hypnogram,
        other_scorings=others,
        ignored_annotations=scored.ignored if scored else {},
        start=start or (read.start if read else None),
        sleeper=signal_file.sleeper() if signal_file else _header_sleeper(path),
        beat_report=read.report if read else None,
        gaps=tuple(signal_file.gaps) if signal_file else (),
        remarks=(*remarks, *lost, *(_signal_remark(name, text) for name, x in signals.items() for text in x.remarks)),
    )


def _header_sleeper(path: Path) -> Sleeper:
    """Age and sex by the file that names a recording without signals: unknown, unless it is a header of WFDB."""
    return read_record_facts(path).sleeper if path.suffix.lower() == HEADER_ENDING else Sleeper()


@contextmanager
def _as_remark(lost: list[str], is_optional: bool, name: str) -> Iterator[None]:
    """Turn the error of an optional kind of signal into a warning in `lost`."""
    try:
        yield
    except UserError as error:
        if not is_optional:
            raise
        lost.append(f"{WARNING}without {SIGNAL_KINDS[name].label}: {error}")


def _shifts(
    sensors: Mapping[str, SensorReading], start: Start | None, path: Path, lost: list[str], optional: Collection[str]
) -> dict[str, float]:
    """By kind, the zero of a sensor's times in s from the first sample of the recording."""
    shifts = {}
    for name, reading in sensors.items():
        with _as_remark(lost, name in optional, name):
            if reading.start is not None and start is None:
                label = SIGNAL_KINDS[name].label
                lost.append(f"{WARNING}{path.name} has no date and time, so {label} is taken to begin with it")
            if reading.start and start and reading.start.zone != start.zone:
                raise UserError(f"{path}: its clock and that of its {name} are of different zones")
            shifts[name], remark = seconds_between(start, reading.start, "date_and_time", f"{path} and its {name}")
            lost += [remark] if remark else []
    return shifts


def _placed(reading: SensorReading, name: str, shift_s: float, seconds: float) -> DerivedSignal:
    """A series of counts as a signal that begins and ends with the recording."""
    rate_hz = SIGNAL_KINDS[name].rate_hz or reading.rate_hz
    samples = counts_at_rate(reading.samples, reading.rate_hz, rate_hz, reading.first_s + shift_s, seconds)
    return DerivedSignal(samples, rate_hz, reading.name, "arbitrary", reading.remarks)


def _signal_remark(name: str, remark: str) -> str:
    """Missing samples of some kinds are not filled by straight lines when they are stored."""
    return remark.removesuffix(", filled") if SIGNAL_KINDS[name].keeps_missing else remark


def gap_text(gaps: Sequence[tuple[float, float]]) -> str:
    """The gaps of a recording in words."""
    start, end = gaps[0]
    more = f" and {len(gaps) - 1} more times" if len(gaps) > 1 else ""
    return f"was interrupted for {end - start:.4g} s after {start:.6g} s{more}"


def _gap_remarks(signal_file: SignalFile) -> list[str]:
    return [f"{WARNING}{gap_text(signal_file.gaps)}: masked"] if signal_file.gaps else []


def _end(scored: ScoredFile | None, beats: np.ndarray | None, sensor_ends: Sequence[float]) -> float:
    """The end of the last sleep epoch, or the last beat, s; without both, the end of the sensors."""
    if scored is None and beats is None:
        return max(sensor_ends, default=0.0)
    last_beat = 0.0 if beats is None else float(beats[-1])
    if scored is None:
        return last_beat
    return max(last_beat, float(scored.hypnogram.onset_s[-1] + scored.hypnogram.duration_s[-1]))


def _other_labels(
    label_file: LabelFile, other: Path, start: Start | None, seconds: float, hypnogram: Hypnogram, path: Path
) -> np.ndarray:
    """(N,) int8: the labels of another scorer for the sleep epochs of a hypnogram, unscored without one.

    Raises UserError for a scorer with other sleep epochs.
    """
    scored, _ = align_scoring(label_file.read(other), start, seconds, label_file.layout.clock, other, path)
    _, ours, theirs = np.intersect1d(
        np.rint(1000 * hypnogram.onset_s), np.rint(1000 * scored.onset_s), return_indices=True
    )
    if len(theirs) < SAME_GRID * len(scored):
        raise UserError(
            f"{other}: {len(scored) - len(theirs)} of its {len(scored)} sleep epochs begin where none of the first "
            "scoring's does"
        )
    labels = np.full(len(hypnogram), UNSCORED, dtype=np.int8)
    labels[ours] = scored.labels[theirs]
    return labels
