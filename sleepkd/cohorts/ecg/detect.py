"""Detect the heartbeats of an ECG, and check that heartbeats are physiologically plausible."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.condition import resample_night
from sleepkd.cohorts.ecg.beat_shape import beat_likeness
from sleepkd.cohorts.ecg.detector_rate import means_of, on_recorded_samples, samples_per_mean
from sleepkd.cohorts.ecg.ecg_stretches import bridged_ecg, ecg_stretches, qrs_band
from sleepkd.cohorts.remarks import WARNING
from sleepkd.data.beats import MIN_RR_S, beat_quality, median_interval
from sleepkd.data.heart_rate_input import input_text
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.recording_info import BeatsInfo, digest
from sleepkd.errors import UserError
from sleepkd.extras import require_extra

BLOCK_SECONDS, MARGIN_SECONDS = 300, 10
SLOWEST_HZ, ADVISED_HZ, DENSE_HZ = 30, 100, 200
"""An ECG below the advised rate of the detector is upsampled first. The detector uses 5 to 30 Hz: 50 Hz are enough."""

DETECTED = "sleepecg"
ENOUGH_BEATS = 0.5
"""A warning is due if a smaller share of the night lies between plausible beats."""
ANY_BEATS = 0.05
"""With a smaller share, they are no beats: detections a second apart by chance, 3 % in a slow wave."""
SAME_BEAT_SECONDS = 0.02
"""Two runs of the detector found the same beat if they place it so closely."""
LEARNING_SECONDS = 2.0
"""From which the detector takes its first thresholds."""
CHECKED_SECONDS = 60.0
"""Of a stretch, in which two runs of the detector are compared."""
PIECE_SECONDS, REGULAR_SHARE, ALIKE, LEAST_BEATS = 10, 0.5, 0.7, 4
"""Pieces of about 10 s are noise if less than half of it lies between plausible beats, and their median correlation
with the median beat is lower. White noise reaches 0.35 and 0.5, EEG 0.54 and 0.66; a real ECG has at least
0.87 and 0.82."""


@dataclass(frozen=True)
class FoundBeats:
    """The beats of a night (beats,), s, their quality per sleep epoch (N,), their source, and remarks.

    times, quality, info: None for a night without plausible beats.
    """

    times: np.ndarray | None = None
    quality: np.ndarray | None = None
    info: BeatsInfo | None = None
    remarks: tuple[str, ...] = ()


def find_beats(ecg: np.ndarray, rate_hz: float, polarity: int, hypnogram: Hypnogram) -> FoundBeats:
    """The beats of an ECG (samples,) as recorded; without plausible beats, a warning."""
    try:
        times = detect_beats(ecg, rate_hz, polarity)
    except UserError:
        raise
    except Exception as error:  # an odd ECG may make the detector fail, and the recording is worth keeping
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return FoundBeats(remarks=(f"{WARNING}no beats were detected in the ECG ({what})",))
    return check_beats(times, DETECTED, hypnogram, len(ecg) / rate_hz)


def check_beats(
    times: np.ndarray, source: str, hypnogram: Hypnogram, seconds: float, cadence_s: float = 0.0, signal: str = "ECG"
) -> FoundBeats:
    """Beats (beats,), s, with remarks; `times` is None if they are not physiologically plausible.

    cadence_s: as in `BeatsInfo`. signal: that they were found in, for remarks.
    """
    median = median_interval(times)
    share = plausible_share(times, seconds)
    if np.isnan(median) or share < ANY_BEATS:
        return FoundBeats(remarks=(f"{WARNING}no plausible beats in the {signal}, so none are stored",))
    made = f", of a {input_text(cadence_s)}" if cadence_s else ""
    remarks = [f"{len(times)} beats ({source}{made}), {60 / median:.0f} per minute"]
    if share < ENOUGH_BEATS:
        remarks.append(f"{WARNING}beats are plausible in {share:.0%} of the night only, check the {signal}")
    quality = beat_quality(times, hypnogram.onset_s, hypnogram.duration_s)
    return FoundBeats(times, quality, BeatsInfo(source, len(times), median, digest(times), cadence_s), tuple(remarks))


def plausible_share(times: np.ndarray, seconds: float) -> float:
    """The share of a night that lies between plausible beats."""
    return float(beat_quality(times, np.zeros(1), np.full(1, seconds))[0])


def detect_beats(ecg: np.ndarray, rate_hz: float, polarity: int) -> np.ndarray:
    """The times of R peaks (beats,) float64 of an ECG (samples,), s from its first sample.

    By the detector of sleepecg, after Pan and Tompkins (1985), which thresholds the ECG between 5 and 30 Hz and its
    squared slope. The unit does not matter, but R waves must point up: the ECG is multiplied by `polarity` (1 or -1).
    The ECG is read in blocks of five minutes, with ten seconds to settle. A lost electrode, silence, NaN and noise hold
    no beats, and do not change those around them. Raises ValueError for a rate that is too low.
    """
    return candidate_beats(ecg, rate_hz, polarity).kept


class CandidateBeats(NamedTuple):
    """R peaks (beats,), s, and which of them are in noise (beats,), where beats are neither regular nor alike."""

    times: np.ndarray
    noisy: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """The times of those outside noise."""
        return self.times[~self.noisy]


def candidate_beats(ecg: np.ndarray, rate_hz: float, polarity: int) -> CandidateBeats:
    """What looks like R peaks in an ECG (samples,), as `detect_beats`, those in noise included."""
    if rate_hz <= SLOWEST_HZ:
        raise ValueError(f"an ECG of {rate_hz:g} Hz is too slow for R peaks")
    length, margin = round(BLOCK_SECONDS * rate_hz), round(MARGIN_SECONDS * rate_hz)
    times, noisy = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    for start in range(0, len(ecg), length):
        first = max(0, start - margin)
        found = candidates_in_block(polarity * ecg[first : start + length + margin], rate_hz)
        beats = first / rate_hz + found.times
        inside = (beats >= start / rate_hz) & (beats < (start + length) / rate_hz)
        times.append(beats[inside])
        noisy.append(found.noisy[inside])
    return CandidateBeats(np.concatenate(times), np.concatenate(noisy))


def candidates_in_block(block: np.ndarray, rate_hz: float) -> CandidateBeats:
    """R peaks of a few minutes of an ECG (samples,) whose R waves point up, s from its first sample."""
    n = samples_per_mean(rate_hz)
    ecg, lost = bridged_ecg(np.asarray(block, dtype=np.float64), rate_hz)
    stretches = ecg_stretches(means_of(ecg, n), lost[: len(lost) // n * n : n], rate_hz / n)
    longest = max((stretch.samples for stretch in stretches), key=len, default=np.zeros(0))
    times, noisy = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    for stretch in stretches:
        beats = _detect_in_stretch(stretch.samples, longest, rate_hz / n)
        noisy.append(_in_noise(stretch.samples, rate_hz / n, beats))
        times.append(on_recorded_samples(stretch.first * n / rate_hz + beats, n, ecg, rate_hz))
    return CandidateBeats(np.concatenate(times), np.concatenate(noisy))


def _detect_in_stretch(ecg: np.ndarray, longest: np.ndarray, rate_hz: float) -> np.ndarray:
    """R peaks (beats,) of a stretch of an ECG, s from its first sample.

    The detector learns its thresholds from the first two seconds, and an unlucky beginning spoils the minutes after it.
    So it runs a second time after a lead-in of other seconds of the ECG, for a minute: its memory fades by an eighth
    with each beat, so that runs that agree there agree later. If both runs differ, it runs after several lead-ins, and
    the run with the most regular and most similar beats counts. longest: stretch of the same minutes.
    """
    chosen, lead = _detect(ecg, rate_hz), _lead_in(longest, 0.5, rate_hz)
    if not _begin_alike(chosen, _detect(ecg[: round((CHECKED_SECONDS + LEARNING_SECONDS) * rate_hz)], rate_hz, lead)):
        runs = [chosen, _detect(ecg, rate_hz, lead)]
        leads = [_lead_in(source, at, rate_hz) for source in (ecg, longest) for at in (0.2, 0.8)]
        runs += [_detect(ecg, rate_hz, lead) for lead in leads]
        chosen = max(runs, key=lambda beats: _goodness(ecg, rate_hz, beats))
    return chosen


def _lead_in(ecg: np.ndarray, at: float, rate_hz: float) -> np.ndarray:
    """Ten seconds of an ECG, at a share of it."""
    length = min(len(ecg), round(MARGIN_SECONDS * rate_hz))
    first = round(at * (len(ecg) - length))
    return ecg[first : first + length]


def _begin_alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two runs found the same beats in the first minute, but for the seconds in which one was learning."""
    one, other = (beats[(beats >= LEARNING_SECONDS) & (beats < CHECKED_SECONDS)] for beats in (one, other))
    return len(one) == len(other) and bool((np.abs(one - other) < SAME_BEAT_SECONDS).all())


def _goodness(ecg: np.ndarray, rate_hz: float, beats: np.ndarray) -> float:
    """The plausible share of a stretch times the likeness of its beats: T waves may be as regular as R waves."""
    return plausible_share(beats, len(ecg) / rate_hz) * beat_likeness(qrs_band(ecg, rate_hz), rate_hz, beats)


def _in_noise(ecg: np.ndarray, rate_hz: float, beats: np.ndarray) -> np.ndarray:
    """Which beats (beats,) of a stretch lie in pieces where beats are irregular, and few, too fast or not alike."""
    seconds = len(ecg) / rate_hz
    edges = np.linspace(0, seconds, max(1, round(seconds / PIECE_SECONDS)) + 1)
    irregular = beat_quality(beats, edges[:-1], np.diff(edges)) < REGULAR_SHARE
    noisy, filtered = np.zeros(len(beats), dtype=bool), qrs_band(ecg, rate_hz) if irregular.any() else ecg
    for piece in np.flatnonzero(irregular):
        inside = (beats >= edges[piece]) & (beats < edges[piece + 1])
        few_or_fast = inside.sum() < LEAST_BEATS or np.median(np.diff(beats[inside])) < MIN_RR_S
        noisy[inside] = few_or_fast or beat_likeness(filtered, rate_hz, beats[inside]) < ALIKE
    return noisy


def _detect(ecg: np.ndarray, rate_hz: float, lead: np.ndarray | None = None) -> np.ndarray:
    """R peaks (beats,) of an ECG by sleepecg, s from its first sample. lead: samples put before it."""
    require_extra("sleepecg", "prepare", "detecting heartbeats")
    from sleepecg import detect_heartbeats

    before = np.zeros(0) if lead is None else lead - lead[-1] + ecg[0]  # without a step where they meet
    dense_hz = rate_hz if rate_hz >= ADVISED_HZ else DENSE_HZ
    dense = resample_night(np.concatenate([before, ecg]), rate_hz, dense_hz)
    beats = detect_heartbeats(dense, dense_hz) / dense_hz - len(before) / rate_hz
    return np.asarray(beats[beats >= 0])
