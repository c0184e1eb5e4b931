"""Heartbeats as a table whose columns a dataset YAML names: beat times, RR intervals, or a heart rate."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from sleepkd.cohorts.beats.beat_columns import BeatColumns, Content
from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes
from sleepkd.cohorts.beats.beat_report import ColumnUse
from sleepkd.cohorts.beats.beat_text import reported_beats
from sleepkd.cohorts.beats.sniff_table import SniffedTable, number_of
from sleepkd.cohorts.beats.time_cells import ClockTimes, clock_times, numeric_times
from sleepkd.cohorts.beats.time_units import SECONDS_OF, without_fillers
from sleepkd.cohorts.text import column_index, read_lines, read_table
from sleepkd.errors import UserError


@dataclass(frozen=True)
class BeatTableLayout(BeatLayout):
    """The section `beats` of a dataset YAML, of format "table".

    column: name, or number where the table has no header; without it, every line is a value, and '#' begins a comment.
    values: "times" of beats; "intervals" from the beat before; "rate" in beats per minute, at the times of `time`.
    time: column of these times, s, or dates and times; of intervals, when they had ended; without it, intervals follow
    one another.
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
    table = _table(path, layout)
    try:
        columns, uses = _columns(path, table, layout)
        read = reported_beats(path, table, columns, uses, (), False, layout.longest_gap_seconds)
    except UserError as error:
        raise UserError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    # Times from the first row on begin when it does; others are those of the labels, whose zero has no date here.
    return read._replace(start=columns.times.start(0.0)) if layout.from_first and columns.times else read


def _table(path: Path, layout: BeatTableLayout) -> SniffedTable:
    """The rows of a table of the layout, without comments if every line is a value."""
    if not layout.column:
        lines = ((number, line.partition("#")[0].strip()) for number, line in enumerate(read_lines(path), 1))
        return SniffedTable([], 0, "\0", rows=[(number, [text]) for number, text in lines if text])
    names, rows = read_table(path, layout.delimiter, "" if layout.has_header else None)
    return SniffedTable(names, 1 if layout.has_header else 0, layout.delimiter, rows=rows)


def _columns(path: Path, table: SniffedTable, layout: BeatTableLayout) -> tuple[BeatColumns, tuple[ColumnUse, ...]]:
    """The columns that the layout names, in s, and what they are."""
    index = column_index(path, table.names, layout.column) if layout.column else 0
    time = column_index(path, table.names, layout.time) if layout.time else None
    for number, cells in table.rows:
        if max(index, time or 0) >= len(cells):
            raise UserError(f"line {number} has {len(cells)} columns, the header more")
    values = table.numbers(index)
    if layout.values == "intervals" and layout.column:
        values = without_fillers(values)
    if layout.values != "rate":
        values = values / layout.rate_hz if layout.unit == "samples" else values * SECONDS_OF[layout.unit]
    if layout.from_first and layout.values == "times" and len(values):
        values = values - np.nanmin(values)
    lines = [number for number, _ in table.rows]
    uses = [ColumnUse(layout.column or "1", f"{layout.values}{f', {layout.unit}' * (layout.values != 'rate')}")]
    clock = None
    if time is not None:
        clock = _clock(table, time, lines, layout.from_first)
        if layout.from_first and len(lines) and np.isfinite(clock.seconds).any():
            first = float(np.nanmin(clock.seconds))
            zero = clock.zero and clock.zero + timedelta(seconds=first)
            clock = replace(clock, seconds=clock.seconds - first, zero=zero)
        uses.append(ColumnUse(layout.time, f"time of each row, {clock.kind}"))
    return BeatColumns(layout.values, values[:, None], lines, clock), tuple(uses)


def _clock(table: SniffedTable, time: int, lines: list[int], may_be_unix: bool) -> ClockTimes:
    """A column of seconds, perhaps since 1970, or of dates and times."""
    texts = table.column(time)
    if not any(np.isinf(number_of(text)) for text in texts):
        numbers = table.numbers(time)
        return numeric_times(numbers, numbers, "s") if may_be_unix and len(numbers) else ClockTimes(numbers, "s")
    return clock_times(texts, lines)
