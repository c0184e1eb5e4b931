"""Beats as text: times, intervals between beats, or a heart rate; one a line, or columns of a table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sleepkd.cohorts.beats.found import BeatLayout, in_order
from sleepkd.cohorts.text import as_number, cell, column, read_lines, read_table
from sleepkd.errors import UserError

TO_SECONDS = {"s": 1.0, "ms": 1e-3}
TWICE = 0.1
"""Two beats nearer than this, s, are one that two intervals name."""


@dataclass(frozen=True)
class TableLayout(BeatLayout):
    """What a column holds, and where it is.

    column: by name, or by number where the table has no header; without it each line is a value and '#' begins a
    comment. values "times": of beats; "intervals": between a beat and the one before; "rate": beats per minute at
    times of its own. time: the column of those times, s; intervals without it follow one another. unit: of times or
    intervals; "samples" goes with rate_hz. from_first: times count from the first row, as where they are of the clock.
    longest_gap_seconds: rates further apart are interrupted, and no beat is made up between.
    """

    column: str = ""
    delimiter: str = ","
    has_header: bool = True
    values: Literal["times", "intervals", "rate"] = "times"
    time: str = ""
    unit: Literal["s", "ms", "samples"] = "s"
    rate_hz: float = 0.0
    from_first: bool = False
    longest_gap_seconds: float = 20.0


def read_beat_table(path: Path, layout: TableLayout) -> np.ndarray:
    """The times of beats, s. Raises UserError where a column is missing or a line holds no number."""
    values, times = _columns(path, layout)
    if layout.values == "rate":
        if times is None:
            raise UserError(f"{path}: beats.values: rate needs beats.time, the column of its times")
        return in_order(path, beats_of_rate(_from_first(times, layout), values, layout.longest_gap_seconds))
    if layout.unit == "samples" and layout.rate_hz <= 0:
        raise UserError(f"{path}: beats.unit: samples needs beats.rate_hz")
    seconds = values / layout.rate_hz if layout.unit == "samples" else values * TO_SECONDS[layout.unit]
    if layout.values == "times":
        return in_order(path, _from_first(seconds, layout))
    if times is None:
        if not np.isfinite(seconds).all():
            raise UserError(f"{path}: holds an interval that is none, and no time column to place what follows it")
        return in_order(path, np.concatenate([[0.0], np.cumsum(seconds)]))
    known = np.isfinite(seconds) & np.isfinite(times)
    ends = _from_first(times, layout)[known]
    both = np.sort(np.concatenate([ends, ends - seconds[known]]))
    return in_order(path, both[np.diff(both, prepend=-np.inf) >= TWICE])


def beats_of_rate(times: np.ndarray, per_minute: np.ndarray, longest_gap: float) -> np.ndarray:
    """Beats (beats,) that go with a heart rate (N,) at times (N,), s: one for each whole turn of its integral.

    No rate for longer than `longest_gap`, or none at all (NaN, 0), and no beat is made up; the turns begin anew.
    """
    order = np.argsort(times, kind="stable")
    times, per_minute = times[order], per_minute[order]
    known = np.isfinite(times) & np.isfinite(per_minute) & (per_minute > 0)
    runs = np.split(
        np.arange(len(times)), np.flatnonzero(~known[1:] | ~known[:-1] | (np.diff(times) > longest_gap)) + 1
    )
    beats = []
    for run in runs:
        if len(run) > 1:
            rate = per_minute[run] / 60
            turns = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(times[run]))])
            beats.append(np.interp(np.arange(int(turns[-1]) + 1), turns, times[run]))
    return np.concatenate(beats) if beats else np.zeros(0)


def _from_first(times: np.ndarray, layout: TableLayout) -> np.ndarray:
    return times - np.nanmin(times) if layout.from_first and len(times) else times


def _columns(path: Path, layout: TableLayout) -> tuple[np.ndarray, np.ndarray | None]:
    """The column of values, and that of times if there is one; NaN for a blank or "nan"."""
    if not layout.column:
        texts = ((number, line.partition("#")[0].strip()) for number, line in enumerate(read_lines(path), 1))
        return np.array([as_number(path, number, text, "number") for number, text in texts if text]), None
    names, rows = read_table(path, layout.delimiter, "" if layout.has_header else None)
    wanted = [layout.column, *([layout.time] if layout.time else [])]
    indices = [column(path, names, name) for name in wanted]
    texts = [(number, cell(path, number, row, i) or "nan") for number, row in rows for i in indices]
    read = np.array([as_number(path, number, text, "number") for number, text in texts]).reshape(-1, len(indices))
    if layout.values == "times":
        read = read[np.isfinite(read[:, 0])]
    return read[:, 0], read[:, 1] if layout.time else None
