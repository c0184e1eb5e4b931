"""Activity counts of movement (actigraphy) as a table: a time and a count per row, rows may be missing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.sensors.number_table import beginning, timed_values
from sleepkd.cohorts.sensors.sensor_layout import SensorLayout, SensorReading
from sleepkd.errors import UserError

PER_SECONDS = 30.0
"""Counts are stored as a rate per 30 s."""
OFF_GRID = 0.25
"""A row lies between two intervals if its time is farther from the nearest, in intervals."""
MANY = 0.05
"""A larger share of such rows means that the length of the intervals is wrong."""


@dataclass(frozen=True)
class CountTableLayout(SensorLayout):
    """`sensor_files` of format "counts".

    time, column: of the time at which an interval begins, and of its count, by name, or by number without a header.
    epoch_seconds: length of an interval.
    """

    time: str = "time"
    column: str = "count"
    epoch_seconds: float = PER_SECONDS
    delimiter: str = ","
    has_header: bool = True


def read_counts(path: Path, layout: CountTableLayout) -> SensorReading:
    """Activity counts as a rate per 30 s; an interval without a row, a blank or a negative count is missing, not 0.

    Of several rows of one interval, the mean counts. Raises UserError: no such columns, no count, times that do not
    follow `epoch_seconds`.
    """
    if not 0 < layout.epoch_seconds < 3600:
        raise UserError(f"{path}: sensor_files: epoch_seconds must be from 0 to 3600, is {layout.epoch_seconds:g}")
    read = timed_values(path, layout.time, layout.column, layout.delimiter, layout.has_header)
    seconds, counts = read.clock.seconds, read.values
    known = np.isfinite(counts) & (counts >= 0)
    if not known.any():
        raise UserError(f"{path}: column {layout.column} holds no count")
    at = (seconds - seconds[0]) / layout.epoch_seconds
    row = np.rint(at).astype(np.int64)
    if (off := float(np.mean(np.abs(at - row) > OFF_GRID))) > MANY:
        raise UserError(
            f"{path}: {off:.0%} of its times do not follow one another by {layout.epoch_seconds:g} s; set epoch_seconds"
        )
    total = np.bincount(row[known], counts[known], minlength=row[-1] + 1)
    rows = np.bincount(row[known], minlength=row[-1] + 1)
    samples = np.where(rows > 0, total / np.maximum(rows, 1), np.nan) * (PER_SECONDS / layout.epoch_seconds)
    twice = len(row) - len(np.unique(row))
    remarks = (f"{WARNING}{path.name}: {twice} intervals have two counts, their mean is used",) if twice else ()
    first_s, start = beginning(read.clock, float(seconds[0]))
    return SensorReading(samples, 1 / layout.epoch_seconds, first_s, layout.column, start, remarks)
