"""Heartbeats as text of watches and chest straps: columns recognised by their names, or by their numbers."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats import time_units as units
from sleepkd.cohorts.beats.beat_columns import BeatColumns, beats_of_columns
from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes, ordered_beats
from sleepkd.cohorts.beats.beat_report import BeatReport, ColumnUse, gaps_of
from sleepkd.cohorts.beats.choose_columns import RATES_BY_NUMBERS, check_one_night, choose_columns, find_column
from sleepkd.cohorts.beats.column_roles import names_beats, role_of
from sleepkd.cohorts.beats.sniff_table import SniffedTable, find_delimiter, number_of, sniff_table, split_line
from sleepkd.cohorts.beats.time_cells import read_date
from sleepkd.cohorts.text import read_lines
from sleepkd.errors import UserError

HEAD_BYTES = 1 << 18
"""So much of a file is read to find out whether it holds heartbeats."""
HEADER_LINES = 20
LEAST_RATE_STEP_S = 0.5
"""Numbers beside times that are nearer than this are samples."""
FILE_NAME = re.compile(
    r"(^|[^a-z])(rr|ibi|nn|rri|hr|beats?|heart[ _-]?(rate|beats?)s?|r-?peaks?)([^a-z]|$)", re.IGNORECASE
)
_kept: tuple[list[str], SniffedTable] | None = None
"""The lines and the table of the file last asked about: it is read next, and is often no longer than its head."""
DELIMITER_NAMES = {"\t": "tabs", " ": "white space", "\0": "one column", ",": "commas", ";": "semicolons"}


@dataclass(frozen=True)
class BeatTextLayout(BeatLayout):
    """The section `beats` of a dataset YAML, of format "text".

    from_first: times count from the first beat; false keeps those of the file, which must be seconds of the labels.
    column: name or number of the column to read; "" recognises it. rate_hz: samples per second of sample numbers, or of
    a heart rate without times.
    """

    from_first: bool = True
    column: str = ""
    rate_hz: float = 0.0


def read_beat_text(path: Path, layout: BeatTextLayout) -> BeatTimes:
    """The beats of a text of beat times, RR intervals or heart rates, with a report of what each column was taken for.

    The first line names the columns, or holds numbers already. Units (s, ms, us, ns) are recognised by the numbers.
    Raises UserError for columns that hold no beats.
    """
    lines = read_lines(path)
    try:
        table = _sniffed(lines)
        columns, chosen = choose_columns(table, layout.column, layout.rate_hz)
        return reported_beats(path, table, columns, chosen.column_uses, tuple(chosen.notes), layout.from_first)
    except UserError as error:
        raise UserError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None


def reported_beats(
    path: Path,
    table: SniffedTable,
    columns: BeatColumns,
    uses: tuple[ColumnUse, ...],
    notes: tuple[str, ...] = (),
    from_first: bool = True,
    longest_gap_s: float | None = None,
) -> BeatTimes:
    """The beats of columns in order, with their start and a report. Raises UserError as `beats_of_columns` does."""
    read = beats_of_columns(columns, longest_gap_s)
    if from_first and len(read.times) < 2:
        raise UserError("holds no beats")
    first = float(read.times.min()) if from_first and len(read.times) else 0.0
    ordered = ordered_beats(path, read.times - first, read.cadence_s)
    # Times that do not count from the first beat are those of the labels, whose zero is not a date of this file.
    start = columns.times.start(first) if columns.times is not None and from_first else None
    header = f"line {table.header_line} names the columns" if table.names else "without names"
    about = f"{len(table.rows)} rows, {DELIMITER_NAMES.get(table.delimiter, table.delimiter)}, {header}"
    report = BeatReport(
        table=about,
        columns=uses,
        beats=len(ordered.times),
        first_s=float(ordered.times[0]),
        last_s=float(ordered.times[-1]),
        cadence_s=ordered.cadence_s,
        gaps=gaps_of(ordered.times),
        start=start,
        notes=(*table.notes, *notes, *read.notes),
    )
    return ordered._replace(start=start, report=report, zero_s=0.0 if start else first)


def text_holds_beats(path: Path, column: str = "", rate_hz: float | None = None) -> bool:
    """Whether a text file holds RR intervals or heart rates rather than samples, by its names or its first numbers.

    column: name of the column that a user wants. rate_hz: samples per second, if a user states them.
    Raises UserError: a column of numbers without a name, which may be either.
    """
    lines = read_lines(path, HEAD_BYTES)
    try:
        table = _sniffed(lines, keep=True)
    except UserError:  # the reader of heartbeats says what is wrong with a table of heartbeats
        return any(names_beats(split_line(line, find_delimiter([line]))) for line in lines[:HEADER_LINES] if line)
    if column:
        try:
            wanted = find_column(table, column)
        except UserError:
            return False
        return bool(table.names) and role_of(table.names[wanted]) in ("interval", "rate", "beat")
    roles = [role_of(name) for name in table.names]
    try:
        check_one_night(table)
    except UserError:
        return "value" in roles or names_beats(table.names)
    if table.names:
        if {"interval", "rate", "beat"} & set(roles):
            return "ecg" not in roles
        return "value" in roles and _are_rates(table)
    if rate_hz is not None:
        return False
    if table.width == 1 and any(table.column(0)) and not any(np.isinf(number_of(text)) for text in table.column(0)):
        if FILE_NAME.search(path.name):
            return True
        raise UserError(
            f"{path}: holds one column of numbers without a name: --beats for RR intervals or beat times, --fs HZ for "
            "the samples of an ECG"
        )
    is_dated = table.width == 3 and bool(table.rows) and read_date(table.rows[0][1][0]) is not None
    return (table.width == 2 or is_dated) and _are_rates(table)


def _sniffed(lines: list[str], keep: bool = False) -> SniffedTable:
    """`sniff_table`, once for a file that is short enough to be recognised by all of its lines."""
    global _kept
    if _kept is not None and _kept[0] == lines:
        return _kept[1]
    table = sniff_table(lines)
    if keep:
        _kept = lines, table
    return table


def _are_rates(table: SniffedTable) -> bool:
    """Whether a table without telling names holds heart rates or RR intervals at times too far apart for samples."""
    try:
        columns, _ = choose_columns(table)
    except UserError:
        return False
    values = columns.values[:, 0]
    if columns.times is None or not np.isfinite(values).any():
        return False
    steps = np.abs(np.diff(columns.times.seconds))
    step = units.median(steps[steps > 0])
    if columns.content == "rate":
        low, high = RATES_BY_NUMBERS
        plausible = np.mean((values[values > 0] >= low) & (values[values > 0] <= high)) > 0.9
        return bool(step >= LEAST_RATE_STEP_S and plausible)
    return bool(columns.content == "intervals" and 0.5 <= step / units.median(values) <= 2)
