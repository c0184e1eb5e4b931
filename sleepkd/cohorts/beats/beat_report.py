"""What the reader of heartbeats took each column of a file for: units, clock, cadence, gaps, first and last beat."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.data.heart_rate_input import input_text

GAP_S = 3.0
"""A longer time without a beat is a gap."""


class ColumnUse(NamedTuple):
    """A column of a file, and what it was taken for."""

    name: str
    taken_for: str


@dataclass(frozen=True)
class BeatReport:
    """What a table of heartbeats was taken for.

    table: rows, delimiter and line of names, in words. columns: every column of the file. first_s, last_s: its first
    and last beat. cadence_s: of an averaged heart rate, 0 for heartbeats. gaps: (start, end), s, without a beat for
    more than `GAP_S`. start: date and time of the first beat, if the file states them.
    notes: decisions that may be wrong.
    """

    table: str
    columns: tuple[ColumnUse, ...]
    beats: int
    first_s: float
    last_s: float
    cadence_s: float
    gaps: tuple[tuple[float, float], ...]
    start: Start | None = None
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report as lines of text."""
        gaps = "none"
        if self.gaps:
            lasting = [end - start for start, end in self.gaps]
            gaps = f"{len(lasting)}, {sum(lasting):.6g} s in all, the longest {max(lasting):.6g} s"
        hours = (self.last_s - self.first_s) / 3600
        return [
            f"table: {self.table}",
            *(f"column {use.name}: {use.taken_for}" for use in self.columns),
            f"input: {input_text(self.cadence_s)}",
            f"beats: {self.beats}, from {self.first_s:.6g} s to {self.last_s:.6g} s ({hours:.2f} h)",
            f"gaps: {gaps}",
            f"start: {start_text(self.start)}",
            *(f"note: {note}" for note in self.notes),
        ]


def gaps_of(beats: np.ndarray) -> tuple[tuple[float, float], ...]:
    """The gaps (start, end), s, between beats (beats,), s, in order."""
    before = np.flatnonzero(np.diff(beats) > GAP_S)
    return tuple((float(beats[k]), float(beats[k + 1])) for k in before)


def start_text(start: Start | None) -> str:
    """A date and time of day as text; "not stated" without them."""
    if start is None or (start.date is None and start.time is None):
        return "not stated"
    time = "" if start.time is None else start.time.isoformat("seconds")
    day = "" if start.date is None else start.date.isoformat()
    return " ".join(filter(None, (day, time, start.zone)))
