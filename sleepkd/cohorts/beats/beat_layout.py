"""Where a recording's file of heartbeats is, and the order of beat times that every reader returns."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.errors import UserError


@dataclass(frozen=True)
class BeatLayout:
    """The section `beats` of a dataset YAML.

    files: templates of file names, as `LabelLayout.files`. format: a key of `BEATS`.
    """

    files: tuple[str, ...]
    format: str


def ordered_beats(path: Path, times: np.ndarray) -> np.ndarray:
    """Beat times (beats,) float64 in order, duplicates removed. Raises UserError for no beat, or an infinite time."""
    if not len(times):
        raise UserError(f"{path}: holds no beat")
    if not np.isfinite(times).all():
        raise UserError(f"{path}: holds a beat at no time (NaN or infinite)")
    return np.unique(times.astype(np.float64))
