"""Put the rows of a table of heartbeats in order of time: newest first, parts exchanged, copies, clock changes.

Rows are as devices wrote them: within a run of rows the order of the file holds, even where times jitter. A run ends
where the times go back by more than the jitter. Runs that overlap in time are copies of one another, or the clock was
put back, or they are of two people or sources, which is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from sleepkd.errors import UserError

JITTER_S, JITTER_STEPS = 10.0, 5.0
"""Times that go back by less than this, or by so many median steps, jitter."""
MOST_RUNS = 20
"""A file of more runs is in no order: its rows are sorted by time."""
HOUR = 3600.0
CHANGE_SLACK_S, CHANGE_STEPS = 120.0, 3.0
"""The clock was changed by an hour if the rows before and after lie so near to the full hour."""
CHANGE_MONTHS, SUNDAY = (3, 4, 9, 10, 11), 6
SAME_ROWS, LEAST_SAME_ROWS = 0.9, 10
"""Share of the rows of a run that an earlier one must hold in the same order to be its copy, and their least number."""


@dataclass(frozen=True)
class RowOrder:
    """Rows in order of time.

    rows: their indices. times: (rows,), s, in this order. notes: decisions that may be wrong.
    """

    rows: np.ndarray
    times: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WallClock:
    """The clock of a column of times. zero: date and time of 0 s, None if unknown. dated: whether it has a date.

    changes: it may be put back or forward by an hour: it shows the time of day, without its zone.
    """

    zero: datetime | None = None
    dated: bool = False
    changes: bool = False

    def is_changed(self, before_s: float, after_s: float, hours: int, slack_s: float) -> bool:
        """Whether the clock was put on by so many hours (-1, 1) between two rows, at a full hour."""
        if not self.changes or self.zero is None:
            return False
        late = after_s - before_s - hours * HOUR
        moment = self.zero + timedelta(seconds=before_s)
        to_full_hour = -(self.zero.hour * HOUR + self.zero.minute * 60 + self.zero.second + before_s) % HOUR
        is_day = not self.dated or (moment.weekday() == SUNDAY and moment.month in CHANGE_MONTHS)
        return is_day and 0 <= late <= slack_s and to_full_hour <= max(late, 1.0)


def chronological(times: np.ndarray, values: np.ndarray, lines: Sequence[int], clock: WallClock) -> RowOrder:
    """The rows (rows,) of a table in order of time, as runs of the file.

    times: s, NaN where a row has none. values: what the row holds, to find copies. lines: their numbers, for messages.
    Raises UserError for runs of rows that overlap in time and differ.
    """
    rows, filled = np.arange(len(times)), _filled(times)
    notes: list[str] = []
    steps = np.diff(filled)
    descending = bool(np.count_nonzero(steps < 0) > np.count_nonzero(steps > 0))
    if descending:
        rows, filled, steps = rows[::-1], filled[::-1], -steps[::-1]
        notes.append("rows are in descending time")
    apart = np.diff(np.unique(filled))
    step = float(np.median(apart)) if len(apart) else 0.0
    slack = max(CHANGE_SLACK_S, CHANGE_STEPS * step)
    back = np.flatnonzero(steps < -max(JITTER_S, JITTER_STEPS * step)) + 1
    if len(back) > MOST_RUNS:
        order = np.argsort(filled, kind="stable")
        return RowOrder(rows[order], filled[order], ("rows are in no order: sorted by time",))
    runs = _runs(filled, values[rows], [lines[row] for row in rows.tolist()], back, clock, slack, notes)
    if any(filled[later[0]] < filled[earlier[0]] for earlier, later in pairwise(runs)):
        runs.sort(key=lambda run: float(filled[run[0]]))
        notes.append("parts of the file are exchanged: put in order of time")
    order = np.concatenate(runs)
    ordered = filled[order]
    forward = np.flatnonzero(np.diff(ordered) >= HOUR) + 1
    changed = [k for k in forward.tolist() if clock.is_changed(float(ordered[k - 1]), float(ordered[k]), 1, slack)]
    for k in changed[:1]:
        ordered[k:] -= HOUR
        notes.append(f"the clock was put forward by an hour at line {lines[rows[order[k]]]}: no gap")
    return RowOrder(rows[order], ordered, tuple(notes))


def _runs(
    times: np.ndarray,
    values: np.ndarray,
    lines: Sequence[int],
    back: np.ndarray,
    clock: WallClock,
    slack: float,
    notes: list[str],
) -> list[np.ndarray]:
    """The runs of rows, without copies; times after a clock that was put back are put on by an hour, in place.

    back: the rows that begin a run. notes: what was done is added. Raises UserError as `chronological` does.
    """
    runs: list[np.ndarray] = []
    for run in np.split(np.arange(len(times)), back):
        overlapped = [other for other in runs if _overlap(times[other], times[run])]
        copied = max((_copied_rows(values, times, other, run) for other in overlapped), default=0)
        line = lines[run[0]]
        if copied:
            notes.append(f"{copied} rows from line {line} on repeat earlier ones: left out")
            run = run[copied:]
        elif overlapped:
            before, after = float(times[runs[-1][-1]]), float(times[run[0]])
            if not clock.is_changed(before, after, -1, slack):
                raise UserError(
                    f"line {line}: its times go back by {before - after:.6g} s and overlap earlier ones: two "
                    "recordings, people or sources in one file, or a clock that was changed? keep one"
                )
            times[run[0] :] += HOUR
            notes.append(f"the clock was put back by an hour at line {line}: the rows go on without a gap")
        if len(run):
            runs.append(run)
    return runs


def _filled(times: np.ndarray) -> np.ndarray:
    """Times with those of the row before in place of NaN."""
    known = np.isfinite(times)
    last = np.maximum.accumulate(np.where(known, np.arange(len(times)), -1))
    first = int(np.argmax(known)) if known.any() else 0
    return times[np.where(last < 0, first, last)].astype(np.float64)


def _overlap(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(one.min() < other.max() and other.min() < one.max())


def _copied_rows(values: np.ndarray, times: np.ndarray, earlier: np.ndarray, run: np.ndarray) -> int:
    """How many rows at the beginning of a run an earlier run holds in the same order; 0 if it is no copy."""
    place = int(np.searchsorted(times[earlier], times[run[0]], side="left"))
    for first in range(max(0, place - 10), min(len(earlier), place + 11)):
        count = min(len(run), len(earlier) - first)
        same = values[earlier[first : first + count]] == values[run[:count]]
        if same.mean() >= SAME_ROWS and (count >= LEAST_SAME_ROWS or count == len(run)) and same[0]:
            return count
    return 0
