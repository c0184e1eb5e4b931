"""The nearest of sorted times, for benchmarks that compare found events with true ones."""

import numpy as np


def nearest(times: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Indices (n,) of the nearest of `ascending` (at least two) to each of `times` (n,)."""
    right = np.searchsorted(ascending, times).clip(1, len(ascending) - 1)
    return right - (times - ascending[right - 1] < ascending[right] - times)


def to_nearest(times: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """The nearest of `ascending` (at least two) minus each of `times` (n,)."""
    return np.asarray(ascending[nearest(times, ascending)] - times)
