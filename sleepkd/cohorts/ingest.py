"""One recording of a cohort into the store: signals, beats, and labels where there are any."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats import BEATS
from sleepkd.cohorts.beats.detect import detect_beats
from sleepkd.cohorts.condition import detect_polarity, night_statistics, resample_night
from sleepkd.cohorts.labels import LABELS, ScoredFile
from sleepkd.cohorts.layout import NONE, Cohort, RecordingFiles
from sleepkd.cohorts.signals import SIGNALS, DerivedSignal
from sleepkd.data.beats import beat_quality, median_interval
from sleepkd.data.hypnogram import UNSCORED, Hypnogram, unscored_night
from sleepkd.data.store import BeatsInfo, RecordingInfo, SignalInfo, StoreSettings, to_int16, write_recording
from sleepkd.errors import UserError

WARNING = "WARNING: "
DETECTED = "sleepecg"
# The interquartile range of a scalp EEG over a night; outside it, the unit in the file's header is in doubt.
PLAUSIBLE_EEG_IQR_UV = (2.0, 200.0)
# Less of the night than this between plausible beats, and the ECG is in doubt.
ENOUGH_BEATS = 0.5
# Less than this, and they are no beats: two marks a second apart by chance.
ANY_BEATS = 0.01
UNITS = {"eeg": "uV", "ecg": "mV"}


@dataclass(frozen=True)
class Options:
    """How recordings are prepared. beats: store them; allow_unscored: a missing scoring file is no mistake."""

    cohort: Cohort
    settings: StoreSettings
    beats: bool = True
    allow_unscored: bool = False


@dataclass(frozen=True)
class FoundBeats:
    """Beats of a night, where they come from, and what their number says; `times` is None where there are none."""

    times: np.ndarray | None = None
    quality: np.ndarray | None = None
    info: BeatsInfo | None = None
    note: str = ""


def ingest(store: Path, options: Options, files: RecordingFiles) -> str:
    """Read one recording and write it to the store; returns a line on it. Raises UserError naming what is wrong."""
    cohort = options.cohort
    scoring_file = files.scoring_file()
    if scoring_file is None and cohort.scoring and not options.allow_unscored:
        raise files.missing("scoring", files.scoring_names)
    reader = None if cohort.format == NONE else SIGNALS[cohort.format](files.signals)
    scored = _read_scoring(cohort, files, scoring_file)
    times, source = _beats_of_file(cohort, files) if options.beats else (None, "")
    seconds = reader.seconds if reader else _end(scored, times)
    if times is not None:
        times = times[(times >= 0) & (times <= seconds)]
    if scored is not None and scoring_file is not None:
        hypnogram = _align(scored, reader.start() if reader else None, scoring_file, files.signals)
    else:
        hypnogram = unscored_night(seconds, files.epoch_seconds)
        if not len(hypnogram):
            raise UserError(f"{files.signals}: lasts {seconds:g} s, less than a sleep epoch")
    span = None if scored is None else _span(hypnogram)

    choices = {"eeg": files.eeg, "ecg": files.ecg}
    derived = {name: reader.derive(choices[name], UNITS[name]) for name in choices if reader and choices[name]}
    polarity = {"eeg": 1, "ecg": _polarity(cohort, derived["ecg"]) if "ecg" in derived else 1}
    found = FoundBeats()
    if times is not None:
        found = _check_beats(times, source, hypnogram, seconds)
        if found.times is None:
            raise UserError(f"{files.beat_file()}: holds no beats that a heart could have made")
    elif options.beats and "ecg" in derived:
        ecg = derived["ecg"]
        found = find_beats(ecg.samples, ecg.rate_hz, polarity["ecg"], hypnogram)
    signals, infos = {}, {}
    for name in list(derived):
        signals[name], infos[name] = _store_signal(
            derived.pop(name), options.settings, span, polarity[name], f"{files.signals}: {name}"
        )
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
    )
    write_recording(store, info, signals, hypnogram, found.times, found.quality)
    unscored = "no scoring file found, so without labels" if cohort.scoring else "without labels"
    return _describe(info, hypnogram, unscored, found.note)


def find_beats(ecg: np.ndarray, rate_hz: float, polarity: int, hypnogram: Hypnogram) -> FoundBeats:
    """The beats of an ECG (samples,) as recorded; none, and a note that warns, where none can be found."""
    try:
        times = detect_beats(ecg, rate_hz, polarity)
    except Exception as error:  # whatever an odd ECG makes the detector do, the recording is worth keeping
        what = " ".join(f"{type(error).__name__}: {error}".split()).replace(";", ",")
        return FoundBeats(note=f"{WARNING}no beats were detected in the ECG ({what})")
    return _check_beats(times, DETECTED, hypnogram, len(ecg) / rate_hz)


def _check_beats(times: np.ndarray, source: str, hypnogram: Hypnogram, seconds: float) -> FoundBeats:
    median = median_interval(times)
    share = float(beat_quality(times, np.zeros(1), np.full(1, seconds))[0])  # whatever part of it is scored
    if np.isnan(median) or share < ANY_BEATS:
        return FoundBeats(note=f"{WARNING}no plausible beats in the ECG, so none are stored")
    note = f"{len(times)} beats ({source}), {60 / median:.0f} per minute"
    if share < ENOUGH_BEATS:
        note += f"; {WARNING}beats are plausible in {share:.0%} of the night only, check the ECG"
    quality = beat_quality(times, hypnogram.onset_s, hypnogram.duration_s)
    return FoundBeats(times, quality, BeatsInfo(source, len(times), median), note)


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


def _span(hypnogram: Hypnogram) -> tuple[float, float]:
    """From the first sleep epoch to the end of the last, s."""
    return float(hypnogram.onset_s[0]), float(hypnogram.onset_s[-1] + hypnogram.duration_s[-1])


def _end(scored: ScoredFile | None, beats: np.ndarray | None) -> float:
    """Where a recording without signals ends: with its last sleep epoch or its last beat, s."""
    last_beat = 0.0 if beats is None else float(beats[-1])
    return last_beat if scored is None else max(last_beat, _span(scored.hypnogram)[1])


def _align(scored: ScoredFile, start: datetime | None, scoring_file: Path, signals: Path) -> Hypnogram:
    """The hypnogram in seconds from the first sample; the scoring file may start at another time than the signals."""
    if scored.start is None or start is None or scored.start == start:
        return scored.hypnogram
    shift = (scored.start - start).total_seconds()
    if abs(shift) > 12 * 3600:
        raise UserError(
            f"{scoring_file}: starts {shift / 3600:+.1f} h from {signals.name}; are they of the same night?"
        )
    return replace(scored.hypnogram, onset_s=scored.hypnogram.onset_s + shift)


def _polarity(cohort: Cohort, ecg: DerivedSignal) -> int:
    fixed = {"as_recorded": 1, "inverted": -1}
    return fixed[cohort.ecg_polarity] if cohort.ecg_polarity in fixed else detect_polarity(ecg.samples, ecg.rate_hz)


def _store_signal(
    signal: DerivedSignal, settings: StoreSettings, span: tuple[float, float] | None, polarity: int, where: str
) -> tuple[np.ndarray, SignalInfo]:
    """A signal as it is stored, and its facts; span: the scored part of the night, s, None where nobody scored it."""
    samples, rate = signal.samples, signal.rate_hz
    if settings.resample == "whole_night":
        samples, rate = resample_night(samples, rate, settings.rate_hz), settings.rate_hz
    scored_median = scored_iqr = None
    if span:
        scored = samples[max(0, round(span[0] * rate)) : max(0, round(span[1] * rate))]
        if not len(scored):
            raise UserError(f"{where}: no sleep epoch lies within its {len(samples) / rate:.0f} s")
        low, middle, high = np.percentile(scored, (25, 50, 75))
        scored_median, scored_iqr = float(middle), float(high - low)
    median, iqr = night_statistics(samples, rate)
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
    )


def _describe(info: RecordingInfo, hypnogram: Hypnogram, unscored: str, beats: str) -> str:
    eeg, ecg = info.signals.get("eeg"), info.signals.get("ecg")
    named = [f"EEG {eeg.derivation}"] if eeg else []
    named += [f"ECG {ecg.derivation} ({'upside down' if ecg.polarity < 0 else 'upright'})"] if ecg else []
    rates = dict.fromkeys(f"{signal.recorded_hz:g}" for signal in info.signals.values())
    parts = [", ".join(named), " and ".join(rates) + " Hz"] if named else ["no signals"]
    if info.scoring:
        scored = np.count_nonzero(hypnogram.labels != UNSCORED)
        parts.append(f"{scored} of {len(hypnogram)} sleep epochs scored")
    else:
        parts.append(f"{unscored}: {len(hypnogram)} sleep epochs")
    parts += [beats] if beats else []
    if eeg:
        low, high = PLAUSIBLE_EEG_IQR_UV
        iqr = eeg.iqr if eeg.scored_iqr is None else eeg.scored_iqr
        if eeg.unit != "uV" or not low <= iqr <= high:
            parts.append(f"{WARNING}EEG spans {iqr:.3g} {eeg.unit}, check its unit")
    if info.ignored_annotations:
        parts.append(f"{sum(info.ignored_annotations.values())} other annotations ignored")
    return "; ".join(parts)
