"""Sleep stages as a table: CSV, tabs or white space; one row per sleep epoch, per run, or per change."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Literal

from sleepkd.cohorts.clock import DAY, Start
from sleepkd.cohorts.labels.marks import as_sleep_epochs
from sleepkd.cohorts.labels.scored import LabelLayout, Mark, ScoredFile
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.text import as_number, cell, column_index, read_table
from sleepkd.config import require
from sleepkd.errors import UserError

_CLOCK = re.compile(r"(\d{1,2})[:.](\d{2})[:.](\d{2}(?:[.,]\d+)?)\s*([AaPp][Mm])?")


CHANGE_UNTIL_S = 4 * 3600.0
"""Clocks are changed between midnight and 3:00, at a full hour, in most countries at 2:00 or 3:00."""
CHANGE_WITHIN_S = 61.0
"""A sleep epoch that ends so near to a full hour may be the last one before the change."""


@dataclass(frozen=True)
class StageTableLayout(LabelLayout):
    """The section `scoring` of a dataset YAML, of format "table".

    stage, onset, duration: columns by name, or by number (from 1) in a table without a header. stage also chooses one
    of several scorers. onset "": each row is one sleep epoch, in order. duration "": rows have no duration.
    time: the unit of onsets; "clock" is a time of day, which may pass midnight once; "sleep_epochs" is the number of
    the sleep epoch, from 1.
    header: what the line of names begins with; "" is the first line.
    """

    stage: str = "stage"
    onset: str = "onset"
    duration: str = ""
    time: Literal["seconds", "clock", "sleep_epochs"] = "seconds"
    delimiter: str = ","
    header: str = ""
    has_header: bool = True

    def check(self, epoch_seconds: Sequence[float]) -> None:
        """As `LabelLayout.check`."""
        super().check(epoch_seconds)
        require(len(self.delimiter) == 1, "scoring.delimiter", "must be one character; ' ' is any white space")
        require(bool(self.stage), "scoring.stage", "names no column")


def read_stage_table(path: Path, layout: StageTableLayout, epoch_seconds: float) -> ScoredFile:
    """A table with a column of sleep stages, and perhaps columns of onsets and durations.

    Rows without a sleep stage are counted and ignored; rows that are too short to hold one are warned of.
    Raises UserError: a missing column, a sleep stage without a valid onset or duration, no sleep stage.
    """
    names, rows = read_table(path, layout.delimiter, layout.header if layout.has_header else None)
    stage = column_index(path, names, layout.stage)
    onset = column_index(path, names, layout.onset) if layout.onset else None
    duration = column_index(path, names, layout.duration) if layout.duration else None
    marks: list[Mark] = []
    first: float | None = None
    before, unplaced, short = 0.0, Counter[str](), list[int]()
    ends = math.nan
    for k, (number, cells) in enumerate(rows):
        if stage >= len(cells):
            short.append(number)
            continue
        text = cells[stage]
        try:
            at = k * epoch_seconds if onset is None else _onset(path, number, cells, onset, layout, epoch_seconds)
            lasts = 0.0 if duration is None else _duration(path, number, cells, duration)
        except UserError:
            if text in layout.labels:
                raise
            unplaced[text] += 1
            continue
        if layout.onset and layout.time == "clock":
            first = at if first is None else first
            if text in layout.labels:
                _check_summer_time(path, number, ends, at)
                ends = (at + (lasts or epoch_seconds)) % DAY
            at += DAY if at < before - DAY / 2 else 0.0
            before = at
        marks.append(Mark(at - (first or 0.0), lasts, text))
    scored = as_sleep_epochs(path, marks, layout, epoch_seconds)
    remarks = list(scored.remarks)
    if short:
        remarks.append(f"{WARNING}{len(short)} rows are too short to hold a sleep stage, the first is line {short[0]}")
    ignored = dict(Counter(scored.ignored) + unplaced)
    start = None if first is None else _start(first)
    return scored._replace(start=start, ignored=ignored, remarks=tuple(remarks))


def _check_summer_time(path: Path, number: int, ends: float, onset: float) -> None:
    """Raise UserError for times of day that jump by an hour when clocks are changed.

    ends: of the sleep stage before, s from midnight; NaN without one. onset: of this one.
    """
    jump, since_hour = onset - ends, ends % 3600
    at_an_hour = min(since_hour, 3600 - since_hour) < CHANGE_WITHIN_S
    if abs(abs(jump) - 3600) <= 1 and ends < CHANGE_UNTIL_S and at_an_hour:
        forward = jump > 0
        raise UserError(
            f"{path}: line {number}: times jump {'forward' if forward else 'back'} by an hour to {_start(onset).time}: "
            f"the clock was changed {'to' if forward else 'from'} summer time (daylight saving time); "
            f"{'subtract an hour from' if forward else 'add an hour to'} this and all later times"
        )


def _onset(
    path: Path, number: int, cells: Sequence[str], index: int, layout: StageTableLayout, epoch_seconds: float
) -> float:
    """Seconds; from midnight for times of the clock."""
    text = cell(path, number, cells, index)
    if layout.time == "clock":
        return _time_of_day(path, number, text)
    if layout.time == "seconds":
        return _finite(path, number, text, "onset in seconds")
    which = _finite(path, number, text, "number of a sleep epoch")
    if which != int(which) or which < 1:
        raise UserError(f"{path}: line {number}: {text!r} is not the number of a sleep epoch; the first is 1")
    return (which - 1) * epoch_seconds


def _duration(path: Path, number: int, cells: Sequence[str], index: int) -> float:
    """Seconds; 0 if the row gives none."""
    text = cell(path, number, cells, index)
    return 0.0 if text.lower() in ("", "n/a") else _finite(path, number, text, "duration in seconds")


def _finite(path: Path, number: int, text: str, what: str) -> float:
    value = as_number(path, number, text, what)
    if not math.isfinite(value):
        raise UserError(f"{path}: line {number}: {text!r} is no {what}")
    return value


def _time_of_day(path: Path, number: int, text: str) -> float:
    """Seconds from midnight of 22:30:05, 22.30.05 or 10:30:05 PM."""
    match = _CLOCK.fullmatch(text.strip())
    if not match or int(match[1]) > 24 or int(match[2]) > 59 or float(match[3].replace(",", ".")) >= 60:
        raise UserError(f"{path}: line {number}: {text!r} is not a time of day")
    hours = int(match[1]) % 24
    if match[4]:
        hours = hours % 12 + 12 * (match[4].lower() == "pm")
    return 3600.0 * hours + 60.0 * int(match[2]) + float(match[3].replace(",", "."))


def _start(seconds: float) -> Start:
    whole = int(seconds)
    clock = time(whole // 3600 % 24, whole // 60 % 60, whole % 60, round((seconds - whole) * 1e6) % 10**6)
    return Start(None, clock)
