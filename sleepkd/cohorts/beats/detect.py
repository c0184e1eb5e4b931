"""Beats of an ECG."""

import numpy as np
from sleepecg import detect_heartbeats

from sleepkd.cohorts.condition import resample_night

BLOCK_SECONDS, MARGIN_SECONDS = 300, 10
SLOWEST_HZ, ADVISED_HZ, DENSE_HZ = 30, 100, 200
"""An ECG below the rate that the detector advises is made denser first: it looks at 5 to 30 Hz, so 50 Hz is enough."""


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
    found = []
    for start in range(0, len(ecg), length):
        first = max(0, start - margin)
        block = polarity * ecg[first : start + length + margin]
        if np.ptp(block) > 0:
            dense_hz = rate_hz if rate_hz >= ADVISED_HZ else DENSE_HZ
            beats = detect_heartbeats(resample_night(block, rate_hz, dense_hz), dense_hz) / dense_hz + first / rate_hz
            found.append(beats[(beats >= start / rate_hz) & (beats < (start + length) / rate_hz)])
    return np.concatenate(found) if found else np.zeros(0)
