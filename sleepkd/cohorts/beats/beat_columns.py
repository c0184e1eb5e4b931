"""From columns of numbers to the times of heartbeats: beat times, RR intervals, or a heart rate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sleepkd.data.averaged_rate import beats_of_rate
from sleepkd.data.heart_rate_input import rate_cadence
from sleepkd.errors import UserError

Content = Literal["times", "intervals", "rate"]
SAME_BEAT_S = 0.15
"""Two beats closer than this are one beat that two RR intervals name."""


@dataclass(frozen=True)
class BeatColumns:
    """The columns of a file of heartbeats, in seconds.

    content: what `values` are: "times" of beats, RR "intervals", or a heart "rate" in beats per minute.
    values: (rows,) float64, NaN for a blank cell.
    times: (rows,) float64, the end of each interval or the time of each rate; None: intervals follow one another.
    """

    content: Content
    values: np.ndarray
    times: np.ndarray | None = None


def beats_of_columns(path: Path, columns: BeatColumns, longest_gap_s: float | None) -> np.ndarray:
    """The times of beats (beats,), s, not in order yet.

    longest_gap_s: heart rates farther apart are interrupted, and no beat is made up between them; None: see
    `averaged_rate.longest_gap`.
    Raises UserError: a rate without times, a blank interval without times.
    """
    values, times = columns.values, columns.times
    if columns.content == "times":
        return values[~np.isnan(values)]
    if columns.content == "intervals":
        return _beats_of_intervals(path, values, times)
    if times is None:
        raise UserError(f"{path}: has a heart rate but no column of times")
    return beats_of_rate(times, values, longest_gap_s)


def cadence_of_columns(columns: BeatColumns) -> float | None:
    """The cadence of a heart rate, s, 0 if it has one row per heartbeat; None for beat times and RR intervals."""
    if columns.content != "rate" or columns.times is None:
        return None
    return rate_cadence(columns.times, columns.values)


def _beats_of_intervals(path: Path, intervals: np.ndarray, ends: np.ndarray | None) -> np.ndarray:
    """Beats of RR intervals (rows,), s, that follow one another, or that end at times of their own."""
    if ends is None:
        if not np.isfinite(intervals).all():
            raise UserError(f"{path}: has a blank interval and no times to place what follows it")
        return np.concatenate([[0.0], np.cumsum(intervals)])
    known = np.isfinite(intervals) & np.isfinite(ends)
    order = np.argsort(ends[known], kind="stable")
    intervals, ends = intervals[known][order], ends[known][order]
    # Chest straps send several intervals with one time stamp: those of a packet follow one another up to it.
    beats, first = [np.zeros(0)], 0
    for last in map(int, np.flatnonzero(np.diff(ends, append=np.inf) > 0)):
        before_the_end = np.cumsum(intervals[first : last + 1][::-1])
        beats.append(ends[last] - np.concatenate([[0.0], before_the_end])[::-1])
        first = last + 1
    both = np.sort(np.concatenate(beats))
    return both[np.diff(both, prepend=-np.inf) > SAME_BEAT_S]
