"""Sleep stages, the class schemes that merge them, and the hypnogram of a night."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sleepkd.errors import UserError

Standard = Literal["aasm", "rk"]

SLEEP_STAGES = ("W", "N1", "N2", "N3", "REM")
UNSCORED = -1
UNSCORED_NAME = "unscored"  # in dataset YAMLs, stores and predictions
EPOCH_SECONDS = 30.0
"""Length of the input for one sleep epoch in view `epochs`; R&K sleep epochs of 20 s are widened to it."""

CLASS_NAMES: dict[int, tuple[str, ...]] = {
    3: ("W", "NREM", "REM"),
    4: ("W", "light", "deep", "REM"),
    5: SLEEP_STAGES,
}
# Joshi et al. 2021: light = N1+N2 (S1+S2), deep = N3 (S3+S4).
_MERGED: dict[int, tuple[int, ...]] = {3: (0, 1, 1, 1, 2), 4: (0, 1, 1, 2, 3), 5: (0, 1, 2, 3, 4)}


def merge_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """Five-class labels (any shape, int, -1 unscored) merged to 3, 4 or 5 classes, int8; unscored stays -1."""
    lookup = np.array([*_MERGED[classes], UNSCORED], dtype=np.int8)  # index -1 reaches the last entry
    return lookup[labels]


def merged_classes(classes: int, fewer: int) -> tuple[int, ...]:
    """For every class of a 3-, 4- or 5-class scheme, the class of one of fewer (or as many) that it belongs to."""
    return tuple(_MERGED[fewer][_MERGED[classes].index(label)] for label in range(classes))


@dataclass(frozen=True)
class Hypnogram:
    """The sleep epochs of one night in time order; all are unscored in an unlabelled recording.

    Attributes
    ----------
    onset_s
        (N,) float64, seconds from the first sample of the recording, fractions kept.
    duration_s
        (N,) float64, 30 for AASM and 20 for most R&K nights.
    labels
        (N,) int8, index into `SLEEP_STAGES`, or `UNSCORED`.

    Raises
    ------
    ValueError
        Columns of different lengths, sleep epochs out of order.

    Examples
    --------
    >>> night = Hypnogram(np.array([0.0, 30.0]), np.array([30.0, 30.0]), np.array([0, UNSCORED], dtype=np.int8))
    >>> [SLEEP_STAGES[label] for label in night.labels if label != UNSCORED]
    ['W']
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


def unscored_hypnogram(seconds: float, epoch_seconds: float) -> Hypnogram:
    """The hypnogram of an unlabelled recording: complete sleep epochs from the first sample on, all unscored."""
    n = int(seconds / epoch_seconds + 1e-6)
    return Hypnogram(
        np.arange(n) * float(epoch_seconds), np.full(n, float(epoch_seconds)), np.full(n, UNSCORED, np.int8)
    )


def write_hypnogram(path: Path, hypnogram: Hypnogram) -> None:
    """Write hypnogram.tsv of a store; onsets and durations are read back to the last bit."""
    lines = ["onset_s\tduration_s\tsleep_stage"]
    for onset, duration, label in zip(hypnogram.onset_s, hypnogram.duration_s, hypnogram.labels, strict=True):
        name = UNSCORED_NAME if label == UNSCORED else SLEEP_STAGES[label]
        lines.append(f"{float(onset)!r}\t{float(duration)!r}\t{name}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_hypnogram(path: Path) -> Hypnogram:
    """Read hypnogram.tsv of a store. Raises UserError where it is damaged."""
    label_of = {name: k for k, name in enumerate(SLEEP_STAGES)} | {UNSCORED_NAME: UNSCORED}
    try:
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
        return Hypnogram(
            onset_s=np.array([float(line[0]) for line in lines]),
            duration_s=np.array([float(line[1]) for line in lines]),
            labels=np.array([label_of[line[2]] for line in lines], dtype=np.int8),
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path}: cannot be read as a hypnogram: {error}") from None
