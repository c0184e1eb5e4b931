"""From columns of numbers to the times of heartbeats: beat times, RR intervals, or a heart rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from sleepkd.cohorts.beats.beat_layout import check_span
from sleepkd.cohorts.beats.interval_chain import beats_of_chain
from sleepkd.cohorts.beats.interval_copies import kept_intervals
from sleepkd.cohorts.beats.row_order import WallClock, chronological
from sleepkd.cohorts.beats.time_cells import ClockTimes
from sleepkd.data.averaged_rate import beats_of_rate
from sleepkd.data.heart_rate_input import rate_cadence
from sleepkd.errors import UserError

Content = Literal["times", "intervals", "rate"]
PLAUSIBLE_RATES = (20.0, 250.0)
"""A heart rate outside is missing: devices write 0, 255 or 65535 for none."""
COARSEST_S = 900.0
"""Heart rates farther apart (median) do not show sleep stages."""
TWO_RATES_SHARE, TWO_RATES_DIFFER = 0.5, 3.0
"""Two sources: at so many of the times are two heart rates, which differ by so much (median, per minute)."""
OFFSET_INTERVALS = 5.0
"""The first number of a list of RR intervals is the time of the first beat if it is longer than 3 s and so many
intervals (nsr2db of PhysioNet)."""


@dataclass(frozen=True)
class BeatColumns:
    """The columns of a file of heartbeats, in seconds.

    content: what `values` are: "times" of beats, RR "intervals", or a heart "rate" in beats per minute.
    values: (rows, columns) float64, NaN for a blank cell; several intervals of a row follow one another.
    lines: (rows,) the numbers of the lines. times: of each row: the end of its last interval, or the time of its rate;
    None: intervals follow one another. clock: of beat times that are dates, as in `times`.
    """

    content: Content
    values: np.ndarray
    lines: Sequence[int]
    times: ClockTimes | None = None


class BeatsRead(NamedTuple):
    """Beats (beats,), s, not in order yet; the cadence of their heart rate, None if unknown; decisions as notes."""

    times: np.ndarray
    cadence_s: float | None = None
    notes: tuple[str, ...] = ()


def beats_of_columns(columns: BeatColumns, longest_gap_s: float | None = None) -> BeatsRead:
    """The beats of a file.

    longest_gap_s: heart rates farther apart are interrupted, and no beat is made up between them; None: see
    `averaged_rate.longest_gap`.
    Raises UserError: a rate without times, a blank interval without times, rows of two people or sources, a span of
    more than `beat_layout.LONGEST_SPAN_S`.
    """
    if columns.content == "times":
        return _beats_of_times(columns)
    if columns.content == "intervals":
        return _beats_of_intervals(columns) if columns.times else _beats_of_list(columns)
    return _beats_of_rates(columns, longest_gap_s)


def _beats_of_times(columns: BeatColumns) -> BeatsRead:
    times = columns.values.ravel()
    if columns.times is None or not len(times):
        return BeatsRead(times[np.isfinite(times)])
    known = np.isfinite(times)
    lines = [line for line, is_known in zip(columns.lines, known, strict=True) if is_known]
    order = chronological(times[known], np.diff(times[known], prepend=np.nan), lines, _wall_clock(columns.times))
    return BeatsRead(order.times, notes=order.notes)


def _beats_of_list(columns: BeatColumns) -> BeatsRead:
    """Beats of RR intervals, s, that follow one another."""
    intervals = columns.values.ravel()
    wide = columns.values.shape[1] > 1
    notes = []
    if wide:
        intervals = intervals[np.isfinite(intervals)]
    elif not np.isfinite(intervals).all():
        line = columns.lines[int(np.argmin(np.isfinite(intervals)))]
        raise UserError(f"line {line}: has a blank interval and no times to place what follows it")
    begin = 0.0
    if len(intervals) > 2 and intervals[0] > max(3.0, OFFSET_INTERVALS * float(np.median(intervals[1:]))):
        begin, intervals = float(intervals[0]), intervals[1:]
        notes.append(f"the first number is the time of the first beat, {begin:.6g} s")
    return BeatsRead(begin + np.concatenate([[0.0], np.cumsum(intervals)]), notes=tuple(notes))


def _beats_of_intervals(columns: BeatColumns) -> BeatsRead:
    """Beats of RR intervals, s, whose rows have a clock."""
    clock = columns.times
    assert clock is not None
    known = np.isfinite(columns.values).any(axis=1)
    if not known.any():
        return BeatsRead(np.zeros(0))
    rows = np.flatnonzero(known)
    values, lines = columns.values[rows], [columns.lines[int(k)] for k in rows]
    order = chronological(clock.seconds[rows], np.nansum(values, axis=1), lines, _wall_clock(clock))
    intervals = values[order.rows]
    times = np.where(np.isfinite(clock.seconds[rows][order.rows]), order.times, np.nan)
    if intervals.shape[1] > 1:  # several intervals of a row end one after the other, the last at its time
        held = np.isfinite(intervals)
        times = np.repeat(times, held.sum(axis=1))
        row_of = np.repeat(np.arange(len(intervals)), held.sum(axis=1))
        flat, ordered_lines = intervals[held], [lines[order.rows[k]] for k in row_of]
    else:
        flat, ordered_lines = intervals[:, 0], [lines[k] for k in order.rows]
    kept, note = kept_intervals(flat, times, ordered_lines)
    beats = beats_of_chain(flat[kept], times[kept])
    return BeatsRead(beats, notes=(*order.notes, *filter(None, [note])))


def _beats_of_rates(columns: BeatColumns, longest_gap_s: float | None) -> BeatsRead:
    clock, rates = columns.times, columns.values[:, 0]
    if clock is None:
        raise UserError("has a heart rate but no column of times")
    low, high = PLAUSIBLE_RATES
    odd = np.isfinite(rates) & (rates != 0) & ~((rates >= low) & (rates <= high))
    notes = [f"{odd.sum()} heart rates outside {low:g} to {high:g} per minute are left out"] if odd.any() else []
    rates = np.where(odd, np.nan, rates)
    known = np.isfinite(clock.seconds)
    if not known.any():
        return BeatsRead(np.zeros(0))
    rows = np.flatnonzero(known)
    lines = [columns.lines[int(k)] for k in rows]
    order = chronological(clock.seconds[rows], rates[rows], lines, _wall_clock(clock))
    times, rates = order.times, rates[rows][order.rows]
    check_span(float(times.min()), float(times.max()))
    _check_two_rates(times, rates)
    steps = np.diff(np.unique(times))
    if len(steps) and np.median(steps) > COARSEST_S:
        raise UserError(
            f"its heart rates are {np.median(steps) / 60:.3g} min apart (median), too far apart to show sleep stages"
        )
    beats = beats_of_rate(times, rates, longest_gap_s)
    return BeatsRead(beats, rate_cadence(times, rates), (*order.notes, *notes))


def _check_two_rates(times: np.ndarray, rates: np.ndarray) -> None:
    """Raise UserError where most times have two heart rates that differ."""
    order = np.argsort(times, kind="stable")
    same = np.diff(times[order]) == 0
    differ = np.abs(np.diff(rates[order]))[same]
    differ = differ[np.isfinite(differ)]
    distinct = max(1, len(times) - int(same.sum()))
    if len(differ) > TWO_RATES_SHARE * distinct and np.median(differ) >= TWO_RATES_DIFFER:
        raise UserError("has two heart rates at most times, of two people or sources; keep one")


def _wall_clock(times: ClockTimes) -> WallClock:
    return WallClock(times.zero, times.dated, changes=not times.zoned)
