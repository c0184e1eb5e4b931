"""Beats of an ECG, and whether to believe them."""

from dataclasses import dataclass

import numpy as np

from sleepkd.cohorts.condition import resample_night
from sleepkd.cohorts.remarks import WARNING
from sleepkd.data.beats import beat_quality, median_interval
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.recording_info import BeatsInfo, digest
from sleepkd.errors import UserError

BLOCK_SECONDS, MARGIN_SECONDS = 300, 10
SLOWEST_HZ, ADVISED_HZ, DENSE_HZ = 30, 100, 200
"""An ECG below the rate that the detector advises is made denser first: it looks at 5 to 30 Hz, so 50 Hz is enough."""

DETECTED = "sleepecg"
ENOUGH_BEATS = 0.5
"""Less of the night than this between plausible beats, and the ECG is in doubt."""
ANY_BEATS = 0.01
"""Less than this, and they are no beats: two marks a second apart by chance."""


@dataclass(frozen=True)
class FoundBeats:
    """Beats of a night, where they come from, and remarks on them; `times` is None where there are none."""

    times: np.ndarray | None = None
    quality: np.ndarray | None = None
    info: BeatsInfo | None = None
    remarks: tuple[str, ...] = ()


def find_beats(ecg: np.ndarray, rate_hz: float, polarity: int, hypnogram: Hypnogram) -> FoundBeats:
    """The beats of an ECG (samples,) as recorded; none, and a remark that warns, where none can be found."""
    try:
        times = detect_beats(ecg, rate_hz, polarity)
    except UserError:  # the detector is not installed: no fault of the ECG
        raise
    except Exception as error:  # whatever an odd ECG makes the detector do, the recording is worth keeping
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return FoundBeats(remarks=(f"{WARNING}no beats were detected in the ECG ({what})",))
    return check_beats(times, DETECTED, hypnogram, len(ecg) / rate_hz)


def check_beats(times: np.ndarray, source: str, hypnogram: Hypnogram, seconds: float) -> FoundBeats:
    """Beats (beats,), s, with what is to be said of them; none where no heart can have made them."""
    median = median_interval(times)
    share = plausible_share(times, seconds)
    if np.isnan(median) or share < ANY_BEATS:
        return FoundBeats(remarks=(f"{WARNING}no plausible beats in the ECG, so none are stored",))
    remarks = [f"{len(times)} beats ({source}), {60 / median:.0f} per minute"]
    if share < ENOUGH_BEATS:
        remarks.append(f"{WARNING}beats are plausible in {share:.0%} of the night only, check the ECG")
    quality = beat_quality(times, hypnogram.onset_s, hypnogram.duration_s)
    return FoundBeats(times, quality, BeatsInfo(source, len(times), median, digest(times)), tuple(remarks))


def plausible_share(times: np.ndarray, seconds: float) -> float:
    """Which share of a night lies between plausible beats, whatever part of it is scored."""
    return float(beat_quality(times, np.zeros(1), np.full(1, seconds))[0])


def detect_beats(ecg: np.ndarray, rate_hz: float, polarity: int) -> np.ndarray:
    """The times of R peaks (beats,) float64 of an ECG (samples,), s from its first sample.

    By sleepecg's detector, after Pan and Tompkins (1985), which thresholds the ECG between 5 and 30 Hz and its squared
    slope: the unit does not matter, but R waves must point up, so the ECG is turned by `polarity` (1 or -1). Every
    five minutes its thresholds start anew, with ten seconds to settle: carried through the night, an hour of loud hum
    hides every beat after it. Raises ValueError where the rate is too low.
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
    """R peaks (beats,) of a piece of an ECG (samples,) whose R waves point up, s from its first sample."""
    if not np.ptp(block) > 0:
        return np.zeros(0)
    dense_hz = rate_hz if rate_hz >= ADVISED_HZ else DENSE_HZ
    try:
        from sleepecg import detect_heartbeats
    except ImportError:
        raise UserError("R-peak detection: the package sleepecg is not installed; pip install sleepecg") from None
    return detect_heartbeats(resample_night(block, rate_hz, dense_hz), dense_hz) / dense_hz
