"""Heartbeats as text of watches and chest straps: columns recognised by their names, or by their numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats.beat_columns import BeatColumns, beats_of_columns, cadence_of_columns
from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes, ordered_beats
from sleepkd.cohorts.text import as_number, delimiter_of, read_lines, split_cells
from sleepkd.errors import UserError

INTERVAL_NAME = re.compile(r"(rr|ibi|nn|r-r).*|.*\b(rr|ibi|r-r)[ _-]?(interval)?s?\b.*", re.IGNORECASE)
RATE_NAME = re.compile(r"(hr|bpm|heart[ _]?rate|pulse|value).*", re.IGNORECASE)
TIME_NAME = re.compile(r"(phone timestamp|time|t|timestamp|seconds|unix.*|date.*|beat.*|start.*)\b.*", re.IGNORECASE)
RATES_PER_MINUTE = (30, 220)
"""Numbers beside times, in a file without names: with a median in this range they are heart rates, else intervals."""

LONGEST_CADENCE_S, DAYS_S = 900.0, 5e5
"""Heart rates this far apart, in a recording of less than this, are in seconds: in ms they would be more than one a
second in less than 10 minutes."""

Row = tuple[int, list[str]]
"""A line's number and its cells."""


@dataclass(frozen=True)
class BeatTextLayout(BeatLayout):
    """The section `beats` of a dataset YAML, of format "text".

    from_first: times count from the first beat; false keeps those of the file, which must be seconds of the labels.
    """

    from_first: bool = True


def read_beat_text(path: Path, layout: BeatTextLayout) -> BeatTimes:
    """The beats of a text of beat times, RR intervals or heart rates.

    The first line names the columns, or holds numbers already. Units (s, ms, ns) are recognised by the numbers.
    Raises UserError for columns that hold no beats.
    """
    columns = recognized_columns(path)
    beats = beats_of_columns(path, columns, None)
    if len(beats) < 2:
        raise UserError(f"{path}: holds no beats")
    beats = beats - beats.min() if layout.from_first else beats
    return ordered_beats(path, beats, cadence_of_columns(columns))


def names_beats(path: Path) -> bool:
    """Whether the first line of a text file names a column of RR intervals or of heart rates."""
    names = _column_names(read_lines(path)[:1])
    return any(INTERVAL_NAME.fullmatch(name) or RATE_NAME.fullmatch(name) for name in names)


def recognized_columns(path: Path) -> BeatColumns:
    """The columns of beats in a text file, in seconds. Raises UserError where none is recognised."""
    lines = [(number, line) for number, line in enumerate(read_lines(path), 1) if _holds_data(line)]
    if not lines:
        raise UserError(f"{path}: is empty")
    delimiter = delimiter_of(lines[0][1])
    names = _column_names([lines[0][1]])
    rows = [(number, split_cells(line, delimiter)) for number, line in (lines[1:] if names else lines)]
    return _of_names(path, names, rows) if names else _of_numbers(path, rows)


def _holds_data(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _column_names(first_line: Sequence[str]) -> list[str]:
    """The names of the columns, [] where the first line holds numbers."""
    cells = split_cells(first_line[0], delimiter_of(first_line[0])) if first_line else []
    is_name = [re.search(r"[A-Za-z]", cell) and not re.fullmatch(r"nan|\d.*", cell, re.IGNORECASE) for cell in cells]
    return cells if any(is_name) else []


def _of_names(path: Path, names: Sequence[str], rows: Sequence[Row]) -> BeatColumns:
    """The columns by their names: RR intervals before heart rates before beat times."""
    interval, rate = (_first_named(names, pattern) for pattern in (INTERVAL_NAME, RATE_NAME))
    time = _first_named(names, TIME_NAME, besides=(interval, rate))
    are_rates = interval is None and rate is not None
    times = None if time is None else _times(path, _column(rows, time), names[time], are_rates)
    if interval is not None:
        return BeatColumns("intervals", _intervals(path, _numbers(path, _column(rows, interval))), times)
    if rate is not None:
        if times is None:
            raise UserError(f"{path}: has a heart rate but no column of times ({', '.join(names)})")
        return BeatColumns("rate", _numbers(path, _column(rows, rate)), times)
    if times is None:
        raise UserError(f"{path}: none of its columns is one of beats: {', '.join(names)}; call it rr, hr or time")
    return BeatColumns("times", times)


def _first_named(names: Sequence[str], pattern: re.Pattern[str], besides: Sequence[int | None] = ()) -> int | None:
    return next((i for i, name in enumerate(names) if pattern.fullmatch(name) and i not in besides), None)


def _of_numbers(path: Path, rows: Sequence[Row]) -> BeatColumns:
    """Columns without names: rising numbers are times, others are intervals; of two columns the first holds times."""
    first = _numbers(path, _column(rows, 0))
    rising = len(first) > 2 and bool((np.diff(first[np.isfinite(first)]) > 0).all())
    if max(len(cells) for _, cells in rows) == 1:
        return BeatColumns("times", _seconds(first)) if rising else BeatColumns("intervals", _intervals(path, first))
    if not rising:
        raise UserError(f"{path}: its first column does not rise, so it holds no times; give the columns names")
    values = _numbers(path, _column(rows, 1))
    low, high = RATES_PER_MINUTE
    if low <= float(np.nanmedian(values)) <= high:
        return BeatColumns("rate", values, _seconds(first, of_rates=True))
    return BeatColumns("intervals", _intervals(path, values), _seconds(first))


def _column(rows: Sequence[Row], index: int) -> list[tuple[int, str]]:
    """The cells of a column, each with its line; "" where a row is shorter."""
    return [(number, cells[index] if index < len(cells) else "") for number, cells in rows]


def _numbers(path: Path, cells: Sequence[tuple[int, str]]) -> np.ndarray:
    """(rows,) float64, NaN for a blank cell."""
    return np.array([as_number(path, number, text or "nan", "number") for number, text in cells])


def _intervals(path: Path, values: np.ndarray) -> np.ndarray:
    """RR intervals in s or ms, recognised by their median, in s."""
    median = float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
    if not (0.2 <= median <= 3 or 200 <= median <= 3000):
        raise UserError(f"{path}: its intervals have a median of {median:g}, which is no RR interval in s or in ms")
    return values / 1000 if median > 3 else values


def _seconds(times: np.ndarray, of_rates: bool = False) -> np.ndarray:
    """Times in s, ms or ns, recognised by their median distance, in s.

    of_rates: times of heart rates, which may lie minutes apart.
    """
    if len(times) < 2:
        return times
    step = float(np.nanmedian(np.diff(times)))
    in_seconds = step <= 50 or (of_rates and step < LONGEST_CADENCE_S and np.nanmax(times) - np.nanmin(times) < DAYS_S)
    return times / (1e9 if step > 1e7 else 1.0 if in_seconds else 1e3)


def _times(path: Path, cells: Sequence[tuple[int, str]], name: str, of_rates: bool) -> np.ndarray:
    """A column of numbers, or of dates and times, as seconds. of_rates: as in `_seconds`."""
    try:
        numbers = _numbers(path, cells)
    except UserError:
        return _seconds_of_dates(path, cells)
    if re.search(r"\[ms\]|\(ms\)|_ms$", name):
        return numbers / 1e3
    if re.search(r"\[ns\]|\(ns\)|_ns$", name):
        return numbers / 1e9
    return _seconds(numbers, of_rates)


def _seconds_of_dates(path: Path, cells: Sequence[tuple[int, str]]) -> np.ndarray:
    """Seconds from the first of a column of ISO dates and times."""
    try:
        moments = [datetime.fromisoformat(text) for _, text in cells]
        return np.array([(moment - moments[0]).total_seconds() for moment in moments])
    except (ValueError, TypeError):
        raise UserError(f"{path}: {cells[0][1]!r} is no time: give seconds, or 2024-01-31T23:05:00") from None
