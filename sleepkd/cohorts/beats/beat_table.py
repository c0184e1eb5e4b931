"""Heartbeats as a table whose columns a dataset YAML names: beat times, RR intervals, or a heart rate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sleepkd.cohorts.beats.beat_columns import BeatColumns, Content, beats_of_columns, cadence_of_columns
from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes, ordered_beats
from sleepkd.cohorts.text import as_number, cell, column_index, read_lines, read_table
from sleepkd.errors import UserError

SECONDS_OF = {"s": 1.0, "ms": 1e-3}


@dataclass(frozen=True)
class BeatTableLayout(BeatLayout):
    """The section `beats` of a dataset YAML, of format "table".

    column: name, or number where the table has no header; without it, every line is a value, and '#' begins a comment.
    values: "times" of beats; "intervals" from the beat before; "rate" in beats per minute, at the times of `time`.
    time: column of these times, s; of intervals, their ends; without it, intervals follow one another.
    unit: of beat times or intervals; "samples" needs rate_hz.
    from_first: times count from the first row, for times of the clock.
    longest_gap_seconds: heart rates farther apart are interrupted, and no beat is made up between them;
    default by their cadence, see `averaged_rate.longest_gap`.
    """

    column: str = ""
    delimiter: str = ","
    has_header: bool = True
    values: Content = "times"
    time: str = ""
    unit: Literal["s", "ms", "samples"] = "s"
    rate_hz: float = 0.0
    from_first: bool = False
    longest_gap_seconds: float | None = None


def read_beat_table(path: Path, layout: BeatTableLayout) -> BeatTimes:
    """The beats of a table. Raises UserError for a missing column, or a line that holds no number."""
    if layout.values == "rate" and not layout.time:
        raise UserError(f"{path}: beats.values: rate needs beats.time, the column of its times")
    if layout.unit == "samples" and layout.rate_hz <= 0:
        raise UserError(f"{path}: beats.unit: samples needs beats.rate_hz")
    values, times = _columns(path, layout)
    if layout.values != "rate":
        values = values / layout.rate_hz if layout.unit == "samples" else values * SECONDS_OF[layout.unit]
    if layout.from_first and layout.values == "times":
        values = _from_first(values)
    if layout.from_first and times is not None:
        times = _from_first(times)
    columns = BeatColumns(layout.values, values, times)
    beats = beats_of_columns(path, columns, layout.longest_gap_seconds)
    return ordered_beats(path, beats, cadence_of_columns(columns))


def _from_first(times: np.ndarray) -> np.ndarray:
    return times - np.nanmin(times) if len(times) else times


def _columns(path: Path, layout: BeatTableLayout) -> tuple[np.ndarray, np.ndarray | None]:
    """The column of values, and the column of times if the layout names one; NaN for a blank cell."""
    if not layout.column:
        lines = ((number, line.partition("#")[0].strip()) for number, line in enumerate(read_lines(path), 1))
        return np.array([as_number(path, number, text, "number") for number, text in lines if text]), None
    names, rows = read_table(path, layout.delimiter, "" if layout.has_header else None)
    indices = [column_index(path, names, name) for name in (layout.column, layout.time) if name]
    texts = [(number, cell(path, number, row, i) or "nan") for number, row in rows for i in indices]
    read = np.array([as_number(path, number, text, "number") for number, text in texts]).reshape(-1, len(indices))
    return read[:, 0], read[:, 1] if layout.time else None
