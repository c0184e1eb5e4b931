"""Sleep stages, the class schemes that merge them, and the scored night."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Standard = Literal["aasm", "rk"]

SLEEP_STAGES = ("W", "N1", "N2", "N3", "REM")
UNSCORED = -1
UNSCORED_NAME = "unscored"  # in dataset YAMLs, stores and predictions
EPOCH_SECONDS = 30.0
"""Seconds of signal a network sees per sleep epoch, whatever the standard; R&K's 20-s ones are widened to it."""

CLASS_NAMES: dict[int, tuple[str, ...]] = {
    3: ("W", "NREM", "REM"),
    4: ("W", "light", "deep", "REM"),
    5: SLEEP_STAGES,
}
# Joshi et al. 2021: light = N1+N2 (S1+S2), deep = N3 (S3+S4).
_MERGED: dict[int, tuple[int, ...]] = {3: (0, 1, 1, 1, 2), 4: (0, 1, 1, 2, 3), 5: (0, 1, 2, 3, 4)}


def merge_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """Five-class labels (any shape, int, -1 unscored) as labels of a 3-, 4- or 5-class scheme; unscored stays so."""
    lookup = np.array([*_MERGED[classes], UNSCORED], dtype=np.int8)  # index -1 reaches the last entry
    return lookup[labels]


@dataclass(frozen=True)
class Hypnogram:
    """The sleep epochs of one night, in time order; all unscored where nobody scored it.

    onset_s: (N,) float64, seconds from the first sample of the recording, fractions kept.
    duration_s: (N,) float64, 30 for AASM and 20 for most R&K nights.
    labels: (N,) int8, index into `SLEEP_STAGES`, or `UNSCORED`.
    """

    onset_s: np.ndarray
    duration_s: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.onset_s) == len(self.duration_s) == len(self.labels):
            raise ValueError("onset_s, duration_s and labels differ in length")
        if np.any(np.diff(self.onset_s) <= 0):
            raise ValueError("sleep epochs are not in time order")

    def __len__(self) -> int:
        return len(self.labels)


def unscored_night(seconds: float, epoch_seconds: float) -> Hypnogram:
    """The hypnogram of a night without labels: whole sleep epochs from its first sample to its end, all unscored."""
    n = int(seconds / epoch_seconds + 1e-6)
    return Hypnogram(
        np.arange(n) * float(epoch_seconds), np.full(n, float(epoch_seconds)), np.full(n, UNSCORED, np.int8)
    )
