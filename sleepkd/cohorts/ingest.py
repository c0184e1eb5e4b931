"""Prepare one recording of a cohort: read its files, condition its signals, write it to the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.cohorts.clock import time_of_day
from sleepkd.cohorts.condition import detect_polarity, stored_signal
from sleepkd.cohorts.ecg.detect import FoundBeats, check_beats, find_beats
from sleepkd.cohorts.find import RecordingFiles
from sleepkd.cohorts.layout import NONE, Cohort
from sleepkd.cohorts.pairing import SCORED_SIGNAL, check_pairing
from sleepkd.cohorts.pulse import find_pulse_beats
from sleepkd.cohorts.recording import BeatFile, LabelFile, Recording, SensorFile, gap_text, read_recording
from sleepkd.cohorts.remarks import WARNING, joined
from sleepkd.cohorts.signals import Derivation, DerivedSignal, SignalFile, open_signals
from sleepkd.cohorts.signals.derivation import find_channels
from sleepkd.cohorts.sleeper import Sleeper, first_known
from sleepkd.cohorts.subject_table import PARTICIPANTS, find_sleeper, participants_layout
from sleepkd.data.hypnogram import UNSCORED, Hypnogram, unscored_hypnogram
from sleepkd.data.recording_info import RecordingInfo, SignalInfo
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.store import StoreSettings
from sleepkd.data.store_writing import write_recording
from sleepkd.errors import UserError


@dataclass(frozen=True)
class PrepareOptions:
    """How recordings are prepared.

    beats: store heartbeats. allow_unscored: a recording without its scoring file is unlabelled, not an error.
    keep_gaps: an interruption is masked, not an error. on_request: kinds of signals to store besides those that are
    always stored, of recordings that have them.
    """

    cohort: Cohort
    settings: StoreSettings
    beats: bool = True
    allow_unscored: bool = False
    keep_gaps: bool = False
    on_request: tuple[str, ...] = ()


def ingest(store: Path, options: PrepareOptions, files: RecordingFiles) -> str:
    """Read one recording and write it to the store. Returns remarks in one line. Raises UserError with the problem."""
    recording = _read(options, files)
    if not recording.signals and recording.beats is None:
        raise _nothing(files, recording.remarks)
    hypnogram = recording.hypnogram
    if hypnogram is None:
        hypnogram = unscored_hypnogram(recording.seconds, files.epoch_seconds)
    if not len(hypnogram):
        raise UserError(f"{files.path}: lasts {recording.seconds:g} s, less than a sleep epoch")
    polarity = {name: _polarity(options.cohort, name, signal) for name, signal in recording.signals.items()}
    found = _heartbeats(options, files, recording, polarity, hypnogram)
    odd = [*recording.remarks, *_check_spans(recording.signals)]
    if (scored := recording.signals.get(SCORED_SIGNAL)) is not None:
        odd += check_pairing(scored.samples, scored.rate_hz, hypnogram, found.times)
    for name in _for_beats_alone(options, recording):
        del recording.signals[name]
    signals, infos, lost = _condition(options, files, recording, polarity)
    if not infos and found.times is None and not options.cohort.beats:
        raise _nothing(files, lost)
    odd += [*lost, *_absent(options, files, infos)]
    sleeper = _sleeper(options.cohort, files, recording)
    odd += sleeper.remarks
    facts = [*_signal_names(infos), _label_count(options.cohort, recording, hypnogram), sleeper.text]
    facts += _check_iqrs(infos)
    ignored = sum(recording.ignored_annotations.values())
    note = joined([*facts, *found.remarks, *odd, f"{ignored} other annotations ignored" if ignored else ""])
    scoring_file = files.scoring_file()
    info = RecordingInfo(
        recording=files.recording,
        subject=files.subject,
        subset=files.subset,
        standard=files.standard,
        source=files.path.name,
        scoring=scoring_file.name if scoring_file else "",
        seconds=recording.seconds,
        signals=infos,
        ignored_annotations=recording.ignored_annotations,
        beats=found.info,
        gaps=recording.gaps,
        note=note,
        other_scorings=tuple(recording.other_scorings),
        age=sleeper.age,
        sex=sleeper.sex,
        start_time=time_of_day(recording.start),
    )
    others = np.stack(list(recording.other_scorings.values())) if recording.other_scorings else None
    write_recording(store, info, signals, hypnogram, found.times, found.quality, others)
    return note


def _nothing(files: RecordingFiles, why: Sequence[str]) -> UserError:
    """The error for a recording of which nothing is stored. why: remarks on what was left out."""
    wanted = " ".join(name for name in SIGNAL_KINDS if name in (*files.derivations, *files.sensor_names))
    reasons = ", ".join(why) or f"name signals: --signals {wanted}"
    return UserError(f"{files.path}: nothing is stored; {reasons}")


def _read(options: PrepareOptions, files: RecordingFiles) -> Recording:
    """The files of a recording, read. Raises UserError: a missing file, a gap unless they are kept, a damaged file."""
    cohort, scoring_file = options.cohort, files.scoring_file()
    if scoring_file is None and cohort.scoring and not options.allow_unscored:
        raise files.missing("scoring", files.scoring_names)
    signal_file = None if cohort.format == NONE else open_signals(files.path, cohort.format, cohort.rate_hz)
    if signal_file and signal_file.gaps and not options.keep_gaps:
        raise UserError(
            f"{files.path}: {gap_text(signal_file.gaps)}; --gaps keep prepares it, the gap masked and the "
            "rest where it belongs"
        )
    label_file = None
    if cohort.scoring and scoring_file:
        others = tuple(files.other_scoring_files())
        label_file = LabelFile(scoring_file, cohort.scoring, files.epoch_seconds, others)
    derivations = _chosen_derivations(options, files, signal_file) if signal_file else {}
    optional = {name for name, kind in SIGNAL_KINDS.items() if kind.on_request}
    sensors = _sensor_files(options, files)
    beat_file = _beat_file(options, files)
    return read_recording(files.path, signal_file, derivations, beat_file, label_file, sensors, optional)


def _chosen_derivations(
    options: PrepareOptions, files: RecordingFiles, signal_file: SignalFile
) -> dict[str, tuple[Derivation, ...]]:
    """The derivations of the signals to read, in the order of SIGNAL_KINDS.

    A kind on request is read if it is requested and the file has its channel. So is a PPG whose heartbeats are wanted,
    and then an ECG may be absent.
    """
    from_pulse = options.cohort.pulse_beats and options.beats
    present = {
        name: choices
        for name, choices in files.derivations.items()
        if find_channels(choices, signal_file.labels) is not None
    }
    pulses = [name for name in present if SIGNAL_KINDS[name].has_pulse and from_pulse]
    chosen = {}
    for name, kind in SIGNAL_KINDS.items():
        if kind.on_request:
            is_read = name in present and (name in options.on_request or name in pulses)
        else:
            is_read = name in files.derivations and (name in present or not (kind.has_heartbeats and pulses))
        if is_read:
            chosen[name] = files.derivations[name]
    if any(SIGNAL_KINDS[name].has_heartbeats for name in chosen):
        return {name: choices for name, choices in chosen.items() if name not in pulses or name in options.on_request}
    return chosen


def _for_beats_alone(options: PrepareOptions, recording: Recording) -> list[str]:
    """The kinds that were read for heartbeats alone, and are not stored."""
    return [
        name
        for name in recording.signals
        if SIGNAL_KINDS[name].on_request and SIGNAL_KINDS[name].has_pulse and name not in options.on_request
    ]


def _sensor_files(options: PrepareOptions, files: RecordingFiles) -> dict[str, SensorFile]:
    """The files of the requested sensors that the recording has."""
    found = {}
    for name in options.on_request:
        if present := files.sensor_file(name):
            entry, path = present
            found[name] = SensorFile(path, options.cohort.sensor_files[name][entry])
    return found


def _absent(options: PrepareOptions, files: RecordingFiles, infos: dict[str, SignalInfo]) -> list[str]:
    """Remarks on requested kinds that the recording has no channel or file of."""
    known = (*files.derivations, *files.sensor_names)
    absent = [SIGNAL_KINDS[name].label for name in options.on_request if name in known and name not in infos]
    return [f"without {', '.join(absent)}"] if absent else []


def _beat_file(options: PrepareOptions, files: RecordingFiles) -> BeatFile | None:
    """The file of heartbeats of a recording. Raises UserError if it is missing, and no ECG either."""
    layout = options.cohort.beats
    if layout is None or not options.beats:
        return None
    path = files.beat_file()
    if path is None:
        if not any(SIGNAL_KINDS[name].has_heartbeats for name in files.derivations):
            raise files.missing("beats", files.beat_names)
        return None
    return BeatFile(path, layout)


def _polarity(cohort: Cohort, name: str, signal: DerivedSignal) -> int:
    """1, or -1 for an inverted signal."""
    if not SIGNAL_KINDS[name].has_polarity:
        return 1
    fixed = {"as_recorded": 1, "inverted": -1}.get(cohort.ecg_polarity)
    return fixed or detect_polarity(signal.samples, signal.rate_hz)


def _heartbeats(
    options: PrepareOptions,
    files: RecordingFiles,
    recording: Recording,
    polarity: dict[str, int],
    hypnogram: Hypnogram,
) -> FoundBeats:
    """The beats of the recording's file of heartbeats, else those detected in its ECG, or else in its PPG."""
    if not options.beats:
        return FoundBeats()
    beat_file = files.beat_file()
    if recording.beats is not None and beat_file:
        found = check_beats(recording.beats, beat_file.name, hypnogram, recording.seconds, recording.cadence_s)
        if found.times is None:
            raise UserError(f"{beat_file}: holds no physiologically plausible heartbeats")
        return found
    for name, signal in recording.signals.items():
        if SIGNAL_KINDS[name].has_heartbeats:
            return find_beats(signal.samples, signal.rate_hz, polarity[name], hypnogram)
    if options.cohort.pulse_beats:
        for name, signal in recording.signals.items():
            if SIGNAL_KINDS[name].has_pulse:
                return find_pulse_beats(signal, hypnogram)
    return FoundBeats()


def _condition(
    options: PrepareOptions, files: RecordingFiles, recording: Recording, polarity: dict[str, int]
) -> tuple[dict[str, np.ndarray], dict[str, SignalInfo], list[str]]:
    """The signals as they are stored, int16 by kind, their facts, and warnings of those on request that are left out.

    Takes them out of `recording` to free memory.
    """
    span = None
    if recording.hypnogram is not None:
        onset_s, duration_s = recording.hypnogram.onset_s, recording.hypnogram.duration_s
        span = (float(onset_s[0]), float(onset_s[-1] + duration_s[-1]))
    store_rate = options.settings.rate_hz if options.settings.resample == "whole_night" else None
    signals, infos, lost = {}, {}, []
    for name in list(recording.signals):
        kind = SIGNAL_KINDS[name]
        rate_hz = kind.rate_hz or store_rate
        signal, where = recording.signals.pop(name), f"{files.path}: {name}"
        try:
            stored = stored_signal(signal, kind, rate_hz, span, recording.gaps, polarity[name], where)
        except UserError as error:
            if not kind.on_request:
                raise
            lost.append(f"{WARNING}without {kind.label}: {error}")
            continue
        signals[name], infos[name] = stored
    return signals, infos, lost


def _sleeper(cohort: Cohort, files: RecordingFiles, recording: Recording) -> Sleeper:
    """Age and sex by the cohort's table of subjects, else by the header of the recording."""
    try:
        by_table = _table_sleeper(cohort, files)
    except UserError as error:
        by_table = Sleeper(remarks=(f"{WARNING}age and sex are not read: {error}",))
    return first_known(by_table, recording.sleeper, ("the table of subjects", files.path.name))


def _table_sleeper(cohort: Cohort, files: RecordingFiles) -> Sleeper:
    """Age and sex by the table of subjects, or by a participants.tsv in the raw folder; unknown without either.

    Raises UserError for a table that cannot be read or lacks a column.
    """
    if cohort.subjects:
        table = files.subject_table()
        return find_sleeper(table, cohort.subjects, files.subject_texts) if table else Sleeper()
    table = files.raw / PARTICIPANTS
    layout = participants_layout(table) if table.is_file() else None
    if layout is None:
        return Sleeper()
    named = {"subject": files.subject, "recording": files.recording}
    return find_sleeper(table, layout, {column: text.format(**named) for column, text in layout.match.items()})


def _check_spans(signals: dict[str, DerivedSignal]) -> list[str]:
    """Warnings of signals whose span is implausible in the unit of their kind."""
    warnings = []
    for name, signal in signals.items():
        kind = SIGNAL_KINDS[name]
        if kind.plausible_span is None or signal.unit != kind.unit:
            continue
        low, high = np.percentile(signal.samples[::7], (0.5, 99.5))
        least, most = kind.plausible_span
        if high > low and not least <= high - low <= most:
            warnings.append(f"{WARNING}{kind.label} spans {high - low:.3g} {kind.unit}, check its unit")
    return warnings


def _check_iqrs(infos: dict[str, SignalInfo]) -> list[str]:
    """Warnings of signals whose unit is unknown, or whose interquartile range is implausible in it."""
    warnings = []
    for name, info in infos.items():
        kind, iqr = SIGNAL_KINDS[name], info.iqr if info.scored_iqr is None else info.scored_iqr
        if kind.plausible_iqr is None:
            continue
        low, high = kind.plausible_iqr
        if info.unit != kind.unit or not low <= iqr <= high:
            warnings.append(f"{WARNING}{kind.label} spans {iqr:.3g} {info.unit}, check its unit")
    return warnings


def _signal_names(infos: dict[str, SignalInfo]) -> list[str]:
    """Kinds and channels, and recorded rates, in words."""
    if not infos:
        return ["no signals"]
    named = []
    for name, info in infos.items():
        kind = SIGNAL_KINDS[name]
        polarity = f" ({'inverted' if info.polarity < 0 else 'upright'})" if kind.has_polarity else ""
        missing = f" (missing for {info.missing_s / 60:.1f} min)" if info.missing_s else ""
        named.append(f"{kind.label} {info.derivation}{polarity}{missing}")
    rates = dict.fromkeys(f"{info.recorded_hz:g}" for info in infos.values())
    return [", ".join(named), f"{' and '.join(rates)} Hz"]


def _label_count(cohort: Cohort, recording: Recording, hypnogram: Hypnogram) -> str:
    """How many sleep epochs there are, and how many are scored, in words."""
    if recording.hypnogram is None:
        why = "no scoring file found, so without labels" if cohort.scoring else "without labels"
        return f"{why}: {len(hypnogram)} sleep epochs"
    return f"{np.count_nonzero(hypnogram.labels != UNSCORED)} of {len(hypnogram)} sleep epochs scored"
