"""Beats of an ECG."""

import numpy as np
from sleepecg import detect_heartbeats


def detect_beats(ecg: np.ndarray, rate_hz: float) -> np.ndarray:
    """The times of R peaks (beats,) float64 of an upright ECG (samples,), s from its first sample.

    By sleepecg's detector, after Pan and Tompkins (1985): it thresholds the ECG between 5 and 30 Hz and squares its
    slope, so that the unit does not matter, while the polarity decides where in a beat the peak is. It wants more than
    60 Hz, and 100 Hz for the best. Raises ValueError where the ECG is flat or its rate too low.
    """
    return detect_heartbeats(ecg, rate_hz) / rate_hz
