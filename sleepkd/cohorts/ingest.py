"""One recording of a cohort into the store: signals, beats, and labels where there are any."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats import BEATS
from sleepkd.cohorts.beats.detect import FoundBeats, check_beats, find_beats
from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.condition import detect_polarity, night_statistics, resample_night
from sleepkd.cohorts.find import RecordingFiles
from sleepkd.cohorts.labels import LABELS, ScoredFile
from sleepkd.cohorts.layout import NONE, Cohort
from sleepkd.cohorts.pairing import aligned, check_pairing
from sleepkd.cohorts.remarks import WARNING, joined
from sleepkd.cohorts.signals import SIGNALS, DerivedSignal, SignalFile
from sleepkd.cohorts.signals.derivation import find_channels
from sleepkd.data.hypnogram import UNSCORED, Hypnogram, unscored_hypnogram
from sleepkd.data.recording_info import RecordingInfo, SignalInfo, digest
from sleepkd.data.store import StoreSettings
from sleepkd.data.store_writing import to_int16, write_recording
from sleepkd.errors import UserError

# The interquartile range of a scalp EEG over a night; outside it, the unit in the file's header is in doubt.
PLAUSIBLE_EEG_IQR_UV = (2.0, 200.0)
# What an ECG spans, the extreme half per cent on either side left out.
PLAUSIBLE_ECG_SPAN_MV = (0.05, 20.0)
SAME_GRID = 0.9
"""Of another scorer's sleep epochs: fewer that begin where the first one's do, and it is another scoring's grid."""
UNITS = {"eeg": "uV", "ecg": "mV", "eog": "uV", "emg": "uV"}


@dataclass(frozen=True)
class Options:
    """How recordings are prepared.

    beats: store them. allow_unscored: a missing scoring file is no mistake. keep_gaps: nor is an interruption.
    eog_emg: store these too, where a recording has them.
    """

    cohort: Cohort
    settings: StoreSettings
    beats: bool = True
    allow_unscored: bool = False
    keep_gaps: bool = False
    eog_emg: bool = False


def ingest(store: Path, options: Options, files: RecordingFiles) -> str:
    """Read one recording and write it to the store; returns a line on it. Raises UserError naming what is wrong."""
    cohort = options.cohort
    scoring_file = files.scoring_file()
    if scoring_file is None and cohort.scoring and not options.allow_unscored:
        raise files.missing("scoring", files.scoring_names)
    reader = None if cohort.format == NONE else SIGNALS[cohort.format](files.signals)
    remarks = _check_gaps(reader, files.signals, options.keep_gaps) if reader else []
    scored = _read_scoring(cohort, files, scoring_file)
    other_files, others = files.other_scoring_files(), {}
    times, source = _beats_of_file(cohort, files) if options.beats else (None, "")
    seconds = reader.seconds if reader else _end(scored, times)
    if times is not None:
        times = times[(times >= 0) & (times <= seconds)]
    if scored is not None and scoring_file is not None:
        start = reader.start() if reader else None
        hypnogram, more = aligned(scored, start, seconds, cohort.scoring.clock, scoring_file, files.signals)
        remarks += more
        others = {path.name: _other_scoring(cohort, files, path, start, seconds, hypnogram) for path in other_files}
    else:
        hypnogram = unscored_hypnogram(seconds, files.epoch_seconds)
        if not len(hypnogram):
            raise UserError(f"{files.signals}: lasts {seconds:g} s, less than a sleep epoch")

    choices = {"eeg": files.eeg, "ecg": files.ecg}
    if options.eog_emg and reader:
        further = {"eog": files.eog, "emg": files.emg}
        choices |= {name: fits for name, fits in further.items() if find_channels(fits, reader.labels)}
    derived = {name: reader.derive(choices[name], UNITS[name]) for name in choices if reader and choices[name]}
    remarks += [remark for signal in derived.values() for remark in signal.remarks]
    polarity = dict.fromkeys(derived, 1)
    if "ecg" in derived:
        polarity["ecg"] = _polarity(cohort, derived["ecg"])
    found = FoundBeats()
    if times is not None:
        found = check_beats(times, source, hypnogram, seconds)
        if found.times is None:
            raise UserError(f"{files.beat_file()}: holds no beats that a heart could have made")
    elif options.beats and "ecg" in derived:
        ecg = derived["ecg"]
        found = find_beats(ecg.samples, ecg.rate_hz, polarity["ecg"], hypnogram)
    if "ecg" in derived:
        remarks += _check_ecg(derived["ecg"])
    if "eeg" in derived:
        eeg = derived["eeg"]
        remarks += check_pairing(eeg.samples, eeg.rate_hz, hypnogram, found.times)
    gaps = tuple(reader.gaps) if reader else ()
    span = None if scored is None else (float(hypnogram.onset_s[0]), float(_ends(hypnogram)[-1]))
    signals, infos = {}, {}
    for name in list(derived):
        signals[name], infos[name] = stored_signal(
            derived.pop(name), options.settings, span, gaps, polarity[name], f"{files.signals}: {name}"
        )
    unscored = "no scoring file found, so without labels" if cohort.scoring else "without labels"
    note = joined([*_facts(infos, hypnogram, "" if scored else unscored), *found.remarks, *remarks, *_ignored(scored)])
    info = RecordingInfo(
        recording=files.recording,
        subject=files.subject,
        subset=files.subset,
        standard=files.standard,
        source=files.signals.name,
        scoring=scoring_file.name if scoring_file else "",
        seconds=seconds,
        signals=infos,
        ignored_annotations={} if scored is None else scored.ignored,
        beats=found.info,
        gaps=gaps,
        note=note,
        other_scorings=tuple(others),
    )
    scorings = np.stack(list(others.values())) if others else None
    write_recording(store, info, signals, hypnogram, found.times, found.quality, scorings)
    return note


def _check_ecg(ecg: DerivedSignal) -> list[str]:
    """A warning where an ECG in millivolts spans what none does: its unit or range is in doubt."""
    low, high = np.percentile(ecg.samples[::7], (0.5, 99.5))
    least, most = PLAUSIBLE_ECG_SPAN_MV
    if ecg.unit != "mV" or not high > low or least <= high - low <= most:
        return []
    return [f"{WARNING}ECG spans {high - low:.3g} mV, check its unit"]


def _check_gaps(reader: SignalFile, path: Path, keep: bool) -> list[str]:
    """What is odd about a file of signals. Raises UserError where it was interrupted, unless gaps are kept."""
    remarks = list(reader.remarks)
    if reader.gaps:
        start, end = reader.gaps[0]
        more = f" and {len(reader.gaps) - 1} more times" if len(reader.gaps) > 1 else ""
        said = f"was interrupted for {end - start:.4g} s after {start:.6g} s{more}"
        if not keep:
            raise UserError(f"{path}: {said}; --gaps keep prepares it, the gap masked and the rest where it belongs")
        remarks.append(f"{WARNING}{said}: masked")
    return remarks


def _beats_of_file(cohort: Cohort, files: RecordingFiles) -> tuple[np.ndarray | None, str]:
    """The beats that come with a recording, and the name of their file; none where there is no file but an ECG."""
    if cohort.beats is None:
        return None, ""
    path = files.beat_file()
    if path is None:
        if not files.ecg:
            raise files.missing("beats", files.beat_names)
        return None, ""
    return BEATS[cohort.beats.format].read(path, cohort.beats), path.name


def _read_scoring(cohort: Cohort, files: RecordingFiles, path: Path | None) -> ScoredFile | None:
    if cohort.scoring is None or path is None:
        return None
    return LABELS[cohort.scoring.format].read(path, cohort.scoring, files.epoch_seconds)


def _other_scoring(
    cohort: Cohort, files: RecordingFiles, path: Path, start: Start | None, seconds: float, hypnogram: Hypnogram
) -> np.ndarray:
    """(N,) int8: what another scorer said of the hypnogram's sleep epochs, unscored where nothing.

    Raises UserError where that one scored other sleep epochs.
    """
    other, _ = aligned(_read_scoring(cohort, files, path), start, seconds, cohort.scoring.clock, path, files.signals)
    _, ours, theirs = np.intersect1d(
        np.rint(1000 * hypnogram.onset_s), np.rint(1000 * other.onset_s), return_indices=True
    )
    if len(theirs) < SAME_GRID * len(other):
        raise UserError(
            f"{path}: {len(other) - len(theirs)} of its {len(other)} sleep epochs begin where none of the first "
            "scoring's does"
        )
    labels = np.full(len(hypnogram), UNSCORED, dtype=np.int8)
    labels[ours] = other.labels[theirs]
    return labels


def _ends(hypnogram: Hypnogram) -> np.ndarray:
    return hypnogram.onset_s + hypnogram.duration_s


def _end(scored: ScoredFile | None, beats: np.ndarray | None) -> float:
    """Where a recording without signals ends: with its last sleep epoch or its last beat, s."""
    last_beat = 0.0 if beats is None else float(beats[-1])
    return last_beat if scored is None else max(last_beat, float(_ends(scored.hypnogram)[-1]))


def _polarity(cohort: Cohort, ecg: DerivedSignal) -> int:
    fixed = {"as_recorded": 1, "inverted": -1}
    return fixed[cohort.ecg_polarity] if cohort.ecg_polarity in fixed else detect_polarity(ecg.samples, ecg.rate_hz)


def stored_signal(
    signal: DerivedSignal,
    settings: StoreSettings,
    span: tuple[float, float] | None,
    gaps: Sequence[tuple[float, float]],
    polarity: int,
    where: str,
) -> tuple[np.ndarray, SignalInfo]:
    """A signal as it is stored, and its facts; span: the scored part of the night, s, None where nobody scored it."""
    samples, rate = signal.samples, signal.rate_hz
    recorded = digest(samples)
    if settings.resample == "whole_night":
        samples, rate = resample_night(samples, rate, settings.rate_hz), settings.rate_hz
    scored_median = scored_iqr = None
    if span:
        scored = _without(samples, gaps, rate, *span)
        low, middle, high = np.percentile(scored, (25, 50, 75))
        scored_median, scored_iqr = float(middle), float(high - low)
    median, iqr = night_statistics(_without(samples, gaps, rate), rate)
    stored, scale, offset = to_int16(samples)
    if (iqr if scored_iqr is None else scored_iqr) < scale:
        raise UserError(f"{where}: {signal.derivation} is flat")
    return stored, SignalInfo(
        derivation=signal.derivation,
        unit=signal.unit,
        recorded_hz=signal.rate_hz,
        rate_hz=rate,
        samples=len(stored),
        scale=scale,
        offset=offset,
        median=median,
        iqr=iqr,
        scored_median=scored_median,
        scored_iqr=scored_iqr,
        polarity=polarity,
        digest=recorded,
    )


def _without(
    samples: np.ndarray, gaps: Sequence[tuple[float, float]], rate: float, start: float = 0.0, end: float | None = None
) -> np.ndarray:
    """The samples of a stretch, s, that were recorded."""
    first, last = max(0, round(start * rate)), len(samples) if end is None else max(0, round(end * rate))
    if not gaps:
        return samples[first:last]
    recorded = np.ones(len(samples), dtype=bool)
    for begin, stop in gaps:
        recorded[round(begin * rate) : round(stop * rate)] = False
    return samples[first:last][recorded[first:last]]


def _facts(signals: dict[str, SignalInfo], hypnogram: Hypnogram, unscored: str) -> list[str]:
    """What a recording holds; unscored: why it has no labels."""
    eeg, ecg = signals.get("eeg"), signals.get("ecg")
    named = [f"EEG {eeg.derivation}"] if eeg else []
    named += [f"ECG {ecg.derivation} ({'upside down' if ecg.polarity < 0 else 'upright'})"] if ecg else []
    named += [f"{name.upper()} {signals[name].derivation}" for name in ("eog", "emg") if name in signals]
    rates = dict.fromkeys(f"{signal.recorded_hz:g}" for signal in signals.values())
    parts = [", ".join(named), " and ".join(rates) + " Hz"] if named else ["no signals"]
    scored = np.count_nonzero(hypnogram.labels != UNSCORED)
    parts.append(
        f"{unscored}: {len(hypnogram)} sleep epochs"
        if unscored
        else f"{scored} of {len(hypnogram)} sleep epochs scored"
    )
    if eeg:
        low, high = PLAUSIBLE_EEG_IQR_UV
        iqr = eeg.iqr if eeg.scored_iqr is None else eeg.scored_iqr
        if eeg.unit != "uV" or not low <= iqr <= high:
            parts.append(f"{WARNING}EEG spans {iqr:.3g} {eeg.unit}, check its unit")
    return parts


def _ignored(scored: ScoredFile | None) -> list[str]:
    return [f"{sum(scored.ignored.values())} other annotations ignored"] if scored and scored.ignored else []
