"""Where a recording's file of heartbeats is, and the beat times that every reader returns."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.data.heart_rate_input import beats_cadence
from sleepkd.errors import UserError


@dataclass(frozen=True)
class BeatLayout:
    """The section `beats` of a dataset YAML.

    files: templates of file names, as `LabelLayout.files`. format: a key of `BEATS`.
    """

    files: tuple[str, ...]
    format: str


class BeatTimes(NamedTuple):
    """The beats of a file. times: (beats,) float64, s, in order, each once.

    cadence_s: time between two values of the averaged heart rate that they were made from; 0 for heartbeats.
    start: local date and time of second 0, without a time zone; None if the file does not state it.
    """

    times: np.ndarray
    cadence_s: float
    start: datetime | None = None


def ordered_beats(path: Path, times: np.ndarray, cadence_s: float | None = None) -> BeatTimes:
    """Beat times in any order, put in order, duplicates removed. Raises UserError for no beat, or an infinite time.

    cadence_s: as in `BeatTimes`; None: recognised from the times.
    """
    if not len(times):
        raise UserError(f"{path}: holds no beat")
    if not np.isfinite(times).all():
        raise UserError(f"{path}: holds a beat at no time (NaN or infinite)")
    times = np.unique(times.astype(np.float64))
    return BeatTimes(times, beats_cadence(times) if cadence_s is None else cadence_s)
