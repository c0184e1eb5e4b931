"""Columns of samples in a text file (CSV, TSV, OpenSignals): names, numbers, times, sampling rate of the header."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats.column_roles import column_name, role_of, unit_of
from sleepkd.cohorts.beats.sniff_table import COMMENTS, MISSING, SniffedTable, number_of, sniff_table, split_line
from sleepkd.cohorts.text import read_lines
from sleepkd.errors import UserError

SNIFFED_LINES = 400


@dataclass
class SignalColumns:
    """The columns of a text file.

    values: numbers (rows,) by the number of the column from 0. names: of all columns, their number from 1 without one.
    times: the numbers of columns of times, the likeliest first. texts: cells of those that hold dates and times.
    units: of columns of times, "" if not stated. rate_hz: samples per second as a comment states it.
    """

    names: list[str]
    lines: Sequence[int] = ()
    values: dict[int, np.ndarray] = field(default_factory=dict)
    texts: dict[int, list[str]] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    units: dict[int, str] = field(default_factory=dict)
    rate_hz: float | None = None


def read_signal_columns(path: Path) -> SignalColumns:
    """The columns of a text file of samples. Raises UserError for a file that is not a table of numbers."""
    lines = read_lines(path)
    try:
        return _columns(lines)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _columns(lines: Sequence[str]) -> SignalColumns:
    comments = next((k for k, line in enumerate(lines) if not line.startswith(COMMENTS)), 0)
    table = sniff_table(lines[: comments + SNIFFED_LINES])
    if not table.rows:
        raise UserError("holds no numbers")
    begin = table.rows[0][0] - 1
    body = [(k, line) for k, line in enumerate(lines[begin:], begin + 1) if line.strip() and line[0] not in "#%"]
    if len(body) > 1 and len(split_line(body[-1][1], table.delimiter)) < len(table.rows[0][1]):
        del body[-1]  # a line that was cut off
    names, rate_hz = _names(table, lines[:comments])
    found = SignalColumns(names, [number for number, _ in body], rate_hz=rate_hz)
    numeric = [k for k in range(table.width) if all(np.isfinite(number_of(c)) or not c for c in table.column(k))]
    found.values = _numbers(body, table, numeric)
    _find_times(found, table, body)
    return found


def _names(table: SniffedTable, comments: Sequence[str]) -> tuple[list[str], float | None]:
    """The names of the columns, and samples per second, which OpenSignals writes into a comment as JSON."""
    names = [name or str(k) for k, name in enumerate(table.names, 1)] or [str(k + 1) for k in range(table.width)]
    for comment in comments:
        try:
            devices = json.loads(comment.lstrip("#% "))
            device = next(iter(devices.values()))
            rate = float(device["sampling rate"])
        except (ValueError, AttributeError, KeyError, TypeError, StopIteration):
            continue
        stated = device.get("column")
        if isinstance(stated, list) and len(stated) == len(names) and not table.names:
            names = [str(name) for name in stated]
        return names, rate if rate > 0 and np.isfinite(rate) else None
    return names, None


def _numbers(body: Sequence[tuple[int, str]], table: SniffedTable, columns: Sequence[int]) -> dict[int, np.ndarray]:
    """The columns of numbers (rows,), NaN for a missing one."""
    if not columns:
        return {}
    sampled = [table.column(k)[0] for k in columns]
    comma = table.delimiter != "," and any("," in cell for cell in sampled)
    texts = [line.replace(",", ".") if comma else line for _, line in body]
    delimiter = {" ": None, "\0": None}.get(table.delimiter, table.delimiter)
    try:
        read = np.loadtxt(texts, delimiter=delimiter, usecols=list(columns), ndmin=2, comments=None)
    except ValueError:  # blank or quoted cells, texts, a short line: cell by cell
        read = np.array([_row(number, line, table, columns) for number, line in body])
    return dict(zip(columns, read.T, strict=True))


def _row(number: int, line: str, table: SniffedTable, columns: Sequence[int]) -> list[float]:
    cells, row = split_line(line, table.delimiter), []
    if len(cells) > table.width:
        raise UserError(f"line {number}: lines differ in their number of columns: {len(cells)}, and {table.width}")
    for column in columns:
        text = cells[column] if column < len(cells) else ""
        value = number_of("" if text.lower() in MISSING else text)
        if np.isinf(value):
            raise UserError(f"line {number}: {text[:40]!r} is not a number")
        row.append(value)
    return row


def _find_times(found: SignalColumns, table: SniffedTable, body: Sequence[tuple[int, str]]) -> None:
    """Find the columns of times, and read those of dates and times as texts."""
    named = [k for k in range(len(table.names)) if role_of(table.names[k]) in ("time", "date")]
    for column in named:
        stated = table.units[column] if column < len(table.units) else ""
        found.units[column] = column_name(table.names[column]).unit or unit_of(stated)
        if column not in found.values:
            rows = (split_line(line, table.delimiter) for _, line in body)
            found.texts[column] = [cells[column] if column < len(cells) else "" for cells in rows]
    _join_dates(found, table)
    found.times = sorted(
        (k for k in named if k in found.values or k in found.texts),
        key=lambda k: (k not in found.values, not found.units[k]),
    )


def _join_dates(found: SignalColumns, table: SniffedTable) -> None:
    """Put a column of dates before one of times of day."""
    dates = [k for k in found.texts if role_of(table.names[k]) == "date"]
    clocks = [k for k in found.texts if role_of(table.names[k]) == "time"]
    if not dates or not clocks or not found.texts[dates[0]]:
        return
    if any(re.search(r"\d:\d", cell) for cell in found.texts[dates[0]][:1]):
        return
    days = found.texts.pop(dates[0])
    if not re.search(r"\d[-/.]\d+[-/.]\d", found.texts[clocks[0]][0]):
        both = zip(days, found.texts[clocks[0]], strict=True)
        found.texts[clocks[0]] = [f"{day} {clock}" for day, clock in both]
