"""How alike the beats of an ECG are: the correlation of each with the median beat."""

import numpy as np

AROUND_SECONDS = 0.12
"""On either side of an R peak: the QRS complex."""


def beat_correlations(filtered: np.ndarray, rate_hz: float, beats: np.ndarray) -> np.ndarray:
    """The correlation (beats,) of each QRS complex with the median one; without those at the ends.

    filtered: some minutes of an ECG (samples,) between 5 and 25 Hz. beats: R peaks (beats,), s from its first sample.
    """
    half = max(2, round(AROUND_SECONDS * rate_hz))
    centre = np.rint(beats * rate_hz).astype(int)
    centre = centre[(centre >= half) & (centre < len(filtered) - half)]
    if not len(centre):
        return np.zeros(0)
    complexes = filtered[centre[:, None] + np.arange(-half, half + 1)]
    complexes = complexes - complexes.mean(axis=1, keepdims=True)
    shape = np.median(complexes, axis=0)
    size = np.linalg.norm(complexes, axis=1) * np.linalg.norm(shape)
    return np.asarray(complexes @ shape / np.maximum(size, 1e-12))


def beat_likeness(filtered: np.ndarray, rate_hz: float, beats: np.ndarray) -> float:
    """The median of `beat_correlations`; 0 without beats."""
    found = beat_correlations(filtered, rate_hz, beats)
    return float(np.median(found)) if len(found) else 0.0
