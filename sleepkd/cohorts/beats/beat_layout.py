"""Where a recording's file of heartbeats is, and the beat times that every reader returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.beats.beat_report import BeatReport
from sleepkd.cohorts.clock import Start
from sleepkd.data.heart_rate_input import beats_cadence
from sleepkd.errors import UserError


@dataclass(frozen=True)
class BeatLayout:
    """The section `beats` of a dataset YAML.

    files: templates of file names, as `LabelLayout.files`. format: a key of `BEATS`.
    """

    files: tuple[str, ...]
    format: str


LONGEST_SPAN_S = 14 * 86400.0
"""A longer recording is refused before anything is made of it: its times are in another unit, or of two nights."""


class BeatTimes(NamedTuple):
    """The beats of a file. times: (beats,) float64, s, in order, each once.

    cadence_s: time between two values of the averaged heart rate that they were made from; 0 for heartbeats.
    start: date and time of 0 s, if the file states them. report: what the file was taken for, None for some formats.
    zero_s: the time, s, that a file without dates states for 0 s, if its times count from elsewhere.
    """

    times: np.ndarray
    cadence_s: float
    start: Start | None = None
    report: BeatReport | None = None
    zero_s: float = 0.0


def ordered_beats(path: Path, times: np.ndarray, cadence_s: float | None = None) -> BeatTimes:
    """Beat times in any order, put in order, duplicates removed. Raises UserError for no beat, an infinite time, and a
    span of more than `LONGEST_SPAN_S`.

    cadence_s: as in `BeatTimes`; None: recognised from the times.
    """
    if not len(times):
        raise UserError(f"{path}: holds no beat")
    if not np.isfinite(times).all():
        raise UserError(f"{path}: holds a beat at no time (NaN or infinite)")
    try:
        check_span(float(times.min()), float(times.max()))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    times = np.unique(times.astype(np.float64))
    return BeatTimes(times, beats_cadence(times) if cadence_s is None else cadence_s)


def check_span(first_s: float, last_s: float) -> None:
    """Raise UserError for a recording of more than `LONGEST_SPAN_S`."""
    if last_s - first_s > LONGEST_SPAN_S:
        raise UserError(
            f"its first and last time are {(last_s - first_s) / 3600:.6g} h apart, more than "
            f"{LONGEST_SPAN_S / 86400:g} days: are they in another unit than s? give one recording"
        )
