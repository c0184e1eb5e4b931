"""Some columns of numbers of a large text table, and times among them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.beats.time_cells import ClockTimes, clock_times, numeric_times
from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.signals.sample_times import LONGEST_SECONDS
from sleepkd.cohorts.text import column_index, is_number, read_lines, read_table, split_cells
from sleepkd.errors import UserError

HEAD_BYTES = 1 << 16


class TimedValues(NamedTuple):
    """Rows of a table in order of their times. clock: times (rows,), s. values: (rows,) float64, NaN for a blank."""

    clock: ClockTimes
    values: np.ndarray


def timed_values(path: Path, time: str, value: str, delimiter: str, has_header: bool) -> TimedValues:
    """Two columns of a table by name, or by number without a header: times and values, sorted by time.

    Times are numbers (s, from the start of the recording or since 1970), or dates and times.
    Raises UserError: a missing column, no number, a span of more than a month.
    """
    names, first = _names(path, delimiter, has_header)
    columns = [column_index(path, names, name) for name in (time, value)]
    if columns[0] >= len(first) or not is_number(first[columns[0]]):
        clock, values = _dated(path, columns, delimiter, has_header)
    else:
        numbers = _numbers(path, columns, delimiter, has_header)
        clock, values = numeric_times(numbers[:, 0], numbers[:, 0], "s"), numbers[:, 1]
    order = np.argsort(clock.seconds, kind="stable")  # NaN last
    order = order[np.isfinite(clock.seconds[order])]
    seconds = clock.seconds[order]
    if len(seconds) < 2:
        raise UserError(f"{path}: holds less than two rows with a time in column {time}")
    if seconds[-1] - seconds[0] > LONGEST_SECONDS:
        raise UserError(f"{path}: its times span {(seconds[-1] - seconds[0]) / 86400:.0f} days; are they in s?")
    return TimedValues(ClockTimes(seconds, clock.kind, clock.zero, clock.dated, clock.utc), values[order])


def beginning(clock: ClockTimes, seconds: float) -> tuple[float, Start | None]:
    """When a sensor began: s from the zero of the recording, or 0 and the date and time that the file states."""
    start = clock.start(seconds)
    return (seconds, None) if start is None else (0.0, start)


def _names(path: Path, delimiter: str, has_header: bool) -> tuple[list[str], list[str]]:
    """The names of the columns, 1, 2, … without a header, and the cells of the first row."""
    lines = [line for line in read_lines(path, HEAD_BYTES) if line.strip()]
    if len(lines) <= has_header:
        raise UserError(f"{path}: holds no rows")
    rows = [split_cells(line, delimiter) for line in lines[:2]]
    return (rows[0], rows[1]) if has_header else ([str(k + 1) for k in range(len(rows[0]))], rows[0])


def _numbers(path: Path, columns: Sequence[int], delimiter: str, has_header: bool) -> np.ndarray:
    """(rows, columns) float64; NaN for what is not a number."""
    mark, used, skipped = None if delimiter == " " else delimiter, list(columns), int(has_header)
    try:
        return np.loadtxt(path, skiprows=skipped, delimiter=mark, usecols=used, ndmin=2)
    except ValueError:  # blank cells, texts, a line that was cut off: slower
        try:
            read = np.genfromtxt(path, skip_header=skipped, delimiter=mark, usecols=used, invalid_raise=False, ndmin=2)
            return np.asarray(read, dtype=np.float64)
        except (ValueError, IndexError) as error:
            raise UserError(f"{path}: cannot be read as a table of numbers: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def _dated(path: Path, columns: Sequence[int], delimiter: str, has_header: bool) -> tuple[ClockTimes, np.ndarray]:
    """Times of dates and times of day, and values."""
    _, rows = read_table(path, delimiter, "" if has_header else None)
    rows = [(number, cells) for number, cells in rows if len(cells) > max(columns)]
    try:
        clock = clock_times([cells[columns[0]] for _, cells in rows], [number for number, _ in rows])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return clock, np.array([_number(cells[columns[1]]) for _, cells in rows])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
