"""Detect the heartbeats of an ECG, and check that heartbeats are physiologically plausible."""

from dataclasses import dataclass

import numpy as np

from sleepkd.cohorts.condition import resample_night
from sleepkd.cohorts.remarks import WARNING
from sleepkd.data.beats import beat_quality, median_interval
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
ANY_BEATS = 0.01
"""With a smaller share, they are no beats: two detections a second apart by chance."""


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
    times: np.ndarray, source: str, hypnogram: Hypnogram, seconds: float, cadence_s: float = 0.0
) -> FoundBeats:
    """Beats (beats,), s, with remarks; `times` is None if they are not physiologically plausible.

    cadence_s: as in `BeatsInfo`.
    """
    median = median_interval(times)
    share = plausible_share(times, seconds)
    if np.isnan(median) or share < ANY_BEATS:
        return FoundBeats(remarks=(f"{WARNING}no plausible beats in the ECG, so none are stored",))
    made = f", of a {input_text(cadence_s)}" if cadence_s else ""
    remarks = [f"{len(times)} beats ({source}{made}), {60 / median:.0f} per minute"]
    if share < ENOUGH_BEATS:
        remarks.append(f"{WARNING}beats are plausible in {share:.0%} of the night only, check the ECG")
    quality = beat_quality(times, hypnogram.onset_s, hypnogram.duration_s)
    return FoundBeats(times, quality, BeatsInfo(source, len(times), median, digest(times), cadence_s), tuple(remarks))


def plausible_share(times: np.ndarray, seconds: float) -> float:
    """The share of a night that lies between plausible beats."""
    return float(beat_quality(times, np.zeros(1), np.full(1, seconds))[0])


def detect_beats(ecg: np.ndarray, rate_hz: float, polarity: int) -> np.ndarray:
    """The times of R peaks (beats,) float64 of an ECG (samples,), s from its first sample.

    By the detector of sleepecg, after Pan and Tompkins (1985), which thresholds the ECG between 5 and 30 Hz and its
    squared slope. The unit does not matter, but R waves must point up: the ECG is multiplied by `polarity` (1 or -1).
    The thresholds start again every five minutes, with ten seconds to settle; otherwise an hour of loud hum would hide
    every beat after it. Raises ValueError for a rate that is too low.
    """
    if rate_hz <= SLOWEST_HZ:
        raise ValueError(f"an ECG of {rate_hz:g} Hz is too slow for R peaks")
    length, margin = round(BLOCK_SECONDS * rate_hz), round(MARGIN_SECONDS * rate_hz)
    found = [np.zeros(0)]
    for start in range(0, len(ecg), length):
        first = max(0, start - margin)
        beats = first / rate_hz + detect_in_block(polarity * ecg[first : start + length + margin], rate_hz)
        found.append(beats[(beats >= start / rate_hz) & (beats < (start + length) / rate_hz)])
    return np.concatenate(found)


def detect_in_block(block: np.ndarray, rate_hz: float) -> np.ndarray:
    """R peaks (beats,) of a stretch of an ECG (samples,) whose R waves point up, s from its first sample."""
    if not np.ptp(block) > 0:
        return np.zeros(0)
    require_extra("sleepecg", "prepare", "detecting heartbeats")
    from sleepecg import detect_heartbeats

    dense_hz = rate_hz if rate_hz >= ADVISED_HZ else DENSE_HZ
    return detect_heartbeats(resample_night(block, rate_hz, dense_hz), dense_hz) / dense_hz
