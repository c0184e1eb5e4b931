"""Detect the pulse waves of a PPG (photoplethysmogram): heartbeats of a night without an ECG."""

import numpy as np

from sleepkd.cohorts.condition import resample_night
from sleepkd.cohorts.ecg.detect import FoundBeats, check_beats
from sleepkd.cohorts.missing import lasting, missing_samples, runs
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.signals import DerivedSignal
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError
from sleepkd.extras import require_extra

DETECTED = "neurokit2, PPG"
METHOD = "charlton2024"
"""MSPTDfast (Charlton et al. 2024). Of the methods of neurokit2 and HeartPy it agreed best with R peaks, see
docs/cohorts.md."""
DETECTION_HZ = 100.0
SLOWEST_HZ = 20.0
LEAST_SECONDS = 10.0
"""Of a stretch without missing samples; a shorter one has too few pulse waves."""
BLOCK_SECONDS, MARGIN_SECONDS = 300.0, 10.0


def find_pulse_beats(signal: DerivedSignal, hypnogram: Hypnogram) -> FoundBeats:
    """The pulse waves of a PPG as heartbeats, with their quality per sleep epoch; without plausible ones, a warning.

    Each is the time of a systolic peak: 0.2 to 0.5 s after its R peak, which does not change RR intervals.
    """
    try:
        times = detect_pulses(signal)
    except UserError:
        raise
    except Exception as error:  # an odd PPG may make the detector fail, and the recording is worth keeping
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return FoundBeats(remarks=(f"{WARNING}no pulse was detected in the PPG ({what})",))
    seconds = len(signal.samples) / signal.rate_hz
    return check_beats(times, DETECTED, hypnogram, seconds, signal="PPG")


def detect_pulses(signal: DerivedSignal) -> np.ndarray:
    """The times of the systolic peaks (beats,) float64 of a PPG, s from its first sample.

    The PPG is read at 100 samples per second in blocks of five minutes; missing and unchanging stretches hold none.
    Raises ValueError for a PPG of 20 samples per second or less, UserError where neurokit2 is not installed.
    """
    if signal.rate_hz <= SLOWEST_HZ:
        raise ValueError(f"a PPG of {signal.rate_hz:g} Hz is too slow for pulse waves")
    require_extra("neurokit2", "ppg", "heartbeats from a PPG")
    gone = lasting(missing_samples(signal, SIGNAL_KINDS["ppg"]), signal.rate_hz)
    times = [np.zeros(0)]
    for first, last in runs(~gone):
        if last - first < LEAST_SECONDS * signal.rate_hz:
            continue
        samples = resample_night(signal.samples[first:last], signal.rate_hz, DETECTION_HZ)
        times.append(first / signal.rate_hz + _in_blocks(np.asarray(samples)))
    return np.concatenate(times)


def _in_blocks(ppg: np.ndarray) -> np.ndarray:
    """Systolic peaks (beats,), s, of a stretch (samples,) at `DETECTION_HZ`."""
    length, margin = round(BLOCK_SECONDS * DETECTION_HZ), round(MARGIN_SECONDS * DETECTION_HZ)
    times = [np.zeros(0)]
    for start in range(0, len(ppg), length):
        first, last = max(0, start - margin), start + length + margin
        if len(ppg) - start < margin:  # the rest is too short by itself
            first = max(0, start - length)
        peaks = first + _peaks(ppg[first:last])
        times.append(peaks[(peaks >= start) & (peaks < start + length)] / DETECTION_HZ)
    return np.concatenate(times)


def _peaks(ppg: np.ndarray) -> np.ndarray:
    """Indices of systolic peaks (beats,)."""
    import neurokit2

    clean = neurokit2.ppg_clean(ppg, sampling_rate=int(DETECTION_HZ))
    found = neurokit2.ppg_findpeaks(clean, sampling_rate=int(DETECTION_HZ), method=METHOD)
    return np.asarray(found["PPG_Peaks"], dtype=np.int64)
