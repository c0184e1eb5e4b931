"""Run a detector of R peaks on fewer samples than were recorded, and place its beats on the recorded samples."""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import butter, sosfiltfilt

DETECTOR_HZ = (5.0, 30.0)
"""The band in which the detector of sleepecg looks for R peaks."""
ENOUGH_HZ = 120.0
"""The detector needs no more samples per second than this."""
KERNEL_SECONDS = 0.15
"""Half the length of the impulse response of that band: what is left out is below 2 % of its peak."""


def samples_per_mean(rate_hz: float) -> int:
    """Of how many recorded samples a detector may get the mean."""
    return max(1, int(rate_hz // ENOUGH_HZ))


def means_of(ecg: np.ndarray, n: int) -> np.ndarray:
    """The means of n samples each of an ECG (samples,): (samples // n,).

    What they alias into the band of the detector is noise above 90 Hz, at less than 0.4 of its amplitude.
    """
    if n == 1:
        return ecg
    total = ecg[: len(ecg) // n * n : n].copy()
    for first in range(1, n):
        total += ecg[first::n][: len(total)]
    total *= 1 / n
    return total


def on_recorded_samples(times: np.ndarray, n: int, ecg: np.ndarray, rate_hz: float) -> np.ndarray:
    """R peaks (beats,), s, of an ECG (samples,), of those found in means of n samples: each on a recorded sample.

    An R peak is the highest of the samples between 5 and 30 Hz that are n or fewer away.
    """
    if n == 1 or not len(times):
        return times
    kernel = _kernel(rate_hz)
    half = len(kernel) // 2
    middle_of_mean = n * np.rint(times * rate_hz / n).astype(int) + n // 2
    peaks = np.minimum(middle_of_mean, len(ecg) - 1)
    near = sliding_window_view(np.pad(ecg, half + n, mode="edge"), len(kernel) + 2 * n)[peaks]
    heights = [np.einsum("bk,k->b", near[:, first : first + len(kernel)], kernel) for first in range(2 * n + 1)]
    return np.asarray(np.clip(peaks + np.argmax(heights, axis=0) - n, 0, len(ecg) - 1) / rate_hz)


@lru_cache
def _kernel(rate_hz: float) -> np.ndarray:
    """The impulse response of the detector's filter (samples,), symmetric."""
    half = round(KERNEL_SECONDS * rate_hz)
    impulse = np.zeros(8 * half + 1)
    impulse[4 * half] = 1
    response = sosfiltfilt(butter(2, DETECTOR_HZ, btype="bandpass", output="sos", fs=rate_hz), impulse)
    return np.asarray(response[3 * half : 5 * half + 1])
