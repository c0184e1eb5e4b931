"""Choose the columns of a table of heartbeats, by their names or by their numbers, and read them in seconds."""

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from sleepkd.cohorts.beats import time_units as units
from sleepkd.cohorts.beats.beat_columns import PLAUSIBLE_RATES, BeatColumns, Content
from sleepkd.cohorts.beats.beat_report import ColumnUse
from sleepkd.cohorts.beats.column_roles import Role, column_name, role_of, unit_of
from sleepkd.cohorts.beats.sniff_table import SniffedTable, number_of, shortened
from sleepkd.cohorts.beats.time_cells import ClockTimes, clock_times, numeric_times, read_date
from sleepkd.errors import UserError

RATES_BY_NUMBERS = (30, 220)
"""Numbers beside times, in a file without names: with a median in this range they are heart rates, else intervals."""
BREATHS = (4, 60)
MOST_PEOPLE = 0.05
"""A column `id` or `name` names people if it has fewer different texts than this share of the rows."""
MONOTONE = 0.9
"""Share of the steps of a column of times that point one way."""


@dataclass
class ChosenColumns:
    """The columns of a table: what holds beats, and what each was taken for, by index."""

    table: SniffedTable
    rate_hz: float = 0.0
    uses: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def column_uses(self) -> tuple[ColumnUse, ...]:
        """Every column of the table, in order."""
        return tuple(
            ColumnUse(shortened(self.table.name(i)) or str(i + 1), self.uses.get(i, "not read"))
            for i in range(self.table.width)
        )

    @property
    def lines(self) -> list[int]:
        """The numbers of the lines of the rows."""
        return [number for number, _ in self.table.rows]

    def stated_unit(self, index: int) -> str:
        """The unit of a column by its name or by the row of units; "" for none."""
        below = self.table.units[index] if index < len(self.table.units) else ""
        return unit_of(below) or column_name(self.table.name(index)).unit


def choose_columns(table: SniffedTable, column: str = "", rate_hz: float = 0.0) -> tuple[BeatColumns, ChosenColumns]:
    """The columns of a table of heartbeats, in seconds, and what each column was taken for.

    RR intervals come before heart rates, and these before beat times. column: name or number of the column to read; ""
    recognises it. rate_hz: samples per second of sample numbers, or of a heart rate without times; 0 for none.
    Raises UserError where no column holds beats, and for rows of several people or sources.
    """
    if not table.rows:
        raise UserError(f"has no row below the names of its columns ({table.names_text()})")
    chosen = ChosenColumns(table, rate_hz)
    index = find_column(table, column) if column else None
    if not table.names:
        return _of_numbers(chosen, index), chosen
    check_one_night(table)
    roles: list[Role] = [role_of(name) for name in table.names]
    if table.start_unix is not None:  # in the place of the name of the column of times
        roles = [
            "time" if not role and number_of(n) == table.start_unix else role
            for n, role in zip(table.names, roles, strict=True)
        ]
    if index is not None:
        return _of_content(chosen, roles, [index], _content_of(chosen, roles[index], index)), chosen
    intervals = [i for i, role in enumerate(roles) if role == "interval" and not _is_blank(chosen, i)]
    rates = [i for i, role in enumerate(roles) if role == "rate" and not _is_blank(chosen, i)]
    if intervals and rates and _are_breaths(chosen, intervals[0]):
        chosen.uses[intervals[0]] = "breaths per minute, not read"
        intervals = []
    if intervals:
        return _of_content(chosen, roles, _one_series(chosen, intervals), "intervals"), chosen
    rates = rates or [i for i, role in enumerate(roles) if role == "value"]
    if rates:
        return _of_content(chosen, roles, [_one_rate(chosen, rates)], "rate"), chosen
    for wanted in ("beat", "sample", "time", "date"):
        for i, role in enumerate(roles):
            if role == wanted:
                return _of_content(chosen, roles, [i], "times"), chosen
    raise UserError(f"none of its columns is one of beats: {table.names_text()}; call it rr, hr or time")


def check_one_night(table: SniffedTable) -> None:
    """Raise UserError for rows of several people or sources: a column that names them has several texts."""
    what: dict[Role, str] = {"person": "people", "source": "sources"}
    for i, role in enumerate(role_of(name) for name in table.names):
        if role in what:
            texts = table.column(i)
            different = sorted({text for text in texts if text})
            if 1 < len(different) <= max(2, MOST_PEOPLE * len(texts)):
                shown = ", ".join(map(shortened, different[:4]))
                column = shortened(table.name(i))
                raise UserError(f"holds {len(different)} {what[role]} (column {column}: {shown}); give the rows of one")


def find_column(table: SniffedTable, wanted: str) -> int:
    """The index of the column of this name in any capitals, of a regular expression, or of a number without names.

    Raises UserError for no such column, and for several.
    """
    names = [table.name(i) for i in range(table.width)]
    found = [i for i, name in enumerate(names) if _plain(name) == _plain(wanted)]
    if not found:
        try:
            found = [i for i, name in enumerate(names) if re.fullmatch(wanted, name, re.IGNORECASE)]
        except re.error:
            found = []
    if len(found) != 1:
        problem = "several columns" if found else "no column"
        raise UserError(f"has {problem} {shortened(wanted)}; it has {table.names_text()}")
    return found[0]


def _plain(name: str) -> str:
    return "".join(name.lower().split())


def _is_blank(chosen: ChosenColumns, index: int) -> bool:
    return not any(chosen.table.column(index))


def _are_breaths(chosen: ChosenColumns, index: int) -> bool:
    low, high = BREATHS
    return low <= units.median(units.without_fillers(chosen.table.numbers(index))) <= high


def _content_of(chosen: ChosenColumns, role: Role, index: int) -> Content:
    """What a column that a user names holds, by its name, else by its numbers."""
    if role in ("interval", "rate", "beat", "sample", "time", "date"):
        known: dict[Role, Content] = {"interval": "intervals", "rate": "rate"}
        return known.get(role, "times")
    low, high = RATES_BY_NUMBERS
    return "rate" if low <= units.median(chosen.table.numbers(index)) <= high else "intervals"


def _one_series(chosen: ChosenColumns, found: list[int]) -> list[int]:
    """The columns of one series of RR intervals: rr1 … rr5 of each row, or the first of several that agree."""
    names = [column_name(chosen.table.name(i)) for i in found]
    if len(found) > 1 and len({name.text for name in names}) == 1 and len(set(names)) == len(names):
        return found
    if len(found) > 1:
        medians = [units.median(units.without_fillers(chosen.table.numbers(i))) for i in found]
        low, high = min(medians), max(medians)
        if not (high <= 1.05 * low or 950 <= high / low <= 1050):
            listed = chosen.table.names_text(found)
            raise UserError(f"has several columns of RR intervals ({listed}); --column names the one to read")
        chosen.notes.append(f"of several columns of RR intervals, {shortened(chosen.table.name(found[0]))} is read")
    return found[:1]


def _one_rate(chosen: ChosenColumns, found: list[int]) -> int:
    """The first of several columns of heart rates that agree. Raises UserError if they do not."""
    first = chosen.table.numbers(found[0])
    for other in found[1:]:
        if not units.median(np.abs(chosen.table.numbers(other) - first)) <= 5:
            listed = chosen.table.names_text(found)
            raise UserError(f"has several columns of heart rates ({listed}); --column names the one to read")
    if len(found) > 1:
        chosen.notes.append(f"of several columns of heart rates, {shortened(chosen.table.name(found[0]))} is read")
    return found[0]


def _of_content(chosen: ChosenColumns, roles: list[Role], found: list[int], content: Content) -> BeatColumns:
    """The columns in seconds, with the times of their rows."""
    if content == "times":
        return _beat_times(chosen, roles, found[0])
    of_cells = chosen.table.number_lists if content == "intervals" else chosen.table.numbers
    numbers = np.column_stack([of_cells(i) for i in found])
    time = next(
        (i for i, role in enumerate(roles) if role == "time" and i not in found and not _is_blank(chosen, i)), None
    )
    day = next(
        (i for i, role in enumerate(roles) if role == "date" and i not in found and not _is_blank(chosen, i)), None
    )
    if content == "intervals":
        return _intervals(chosen, found, numbers, time, day)
    return _rates(chosen, found[0], numbers, time, day)


def _intervals(
    chosen: ChosenColumns, found: list[int], numbers: np.ndarray, time: int | None, day: int | None
) -> BeatColumns:
    """RR intervals, s, with the clock of their rows if there is one."""
    wide = numbers.shape[1] > 1
    numbers = units.without_fillers(numbers) if wide or time is not None or day is not None else numbers
    fillers = np.isin(numbers, units.FILLERS) | (numbers < 0)
    lines = chosen.lines
    if not wide and time is None and day is None and fillers.any():
        chosen.notes.append(f"{fillers.sum()} values that stand for no RR interval (0, 65535) are left out")
        lines = [line for line, is_filler in zip(lines, fillers[:, 0], strict=True) if not is_filler]
        numbers = numbers[~fillers[:, 0]]
    stated = next(filter(None, (chosen.stated_unit(i) for i in found)), "")
    unit = units.interval_unit(numbers, chosen.rate_hz, stated)
    intervals = units.seconds_of(numbers, unit, chosen.rate_hz)
    for i in found:
        chosen.uses[i] = f"RR intervals, {_unit_text(chosen, unit)}"
    last = intervals[np.isfinite(intervals).any(axis=1)]
    if (time is None and day is None) or not len(last):
        return BeatColumns("intervals", intervals, lines)
    clock = _clock(chosen, time, day, np.nansum(intervals, axis=1))
    return BeatColumns("intervals", intervals, lines, clock)


def _rates(chosen: ChosenColumns, found: int, numbers: np.ndarray, time: int | None, day: int | None) -> BeatColumns:
    """Heart rates with their times."""
    low, high = PLAUSIBLE_RATES
    known = numbers[numbers > 0]
    if len(known) and not low <= units.median(known) <= high:
        name = shortened(chosen.table.name(found))
        raise UserError(f"its {name} has a median of {units.median(known):g}, which is not a heart rate per minute")
    chosen.uses[found] = "heart rate, per minute"
    if time is None and day is None:
        if not chosen.rate_hz:
            raise UserError(f"has a heart rate but no column of times ({chosen.table.names_text()})")
        seconds = np.arange(len(numbers)) / chosen.rate_hz
        return BeatColumns("rate", numbers, chosen.lines, ClockTimes(seconds, f"a row every {1 / chosen.rate_hz:g} s"))
    if chosen.rate_hz and not (time is not None and role_of(chosen.table.name(time)) == "sample"):
        raise UserError(f"--fs {chosen.rate_hz:g}: its heart rates have times; leave out --fs")
    return BeatColumns("rate", numbers, chosen.lines, _clock(chosen, time, day, None))


def _beat_times(chosen: ChosenColumns, roles: list[Role], index: int) -> BeatColumns:
    """Times of beats: numbers, or dates and times."""
    texts = chosen.table.column(index)
    if _are_numbers(texts):
        numbers = chosen.table.numbers(index)
        are_flags = bool(np.isin(numbers, (0, 1)).all() and (numbers == 1).sum() > 1 and (numbers == 0).any())
        if are_flags and not chosen.rate_hz:
            raise UserError(f"column {chosen.table.name(index)} is 1 at each beat and else 0: give --fs")
        if are_flags:  # as NeuroKit marks R peaks among its samples
            numbers = np.where(numbers == 1, np.arange(len(numbers), dtype=float), np.nan)
        unit = units.unix_unit(numbers) if not chosen.rate_hz else ""
        unit = unit or units.beat_time_unit(numbers, chosen.rate_hz, chosen.stated_unit(index))
        clock = numeric_times(units.seconds_of(numbers, unit, chosen.rate_hz), numbers, unit)
        if chosen.table.start_unix is not None:
            clock = _from_unix(clock, chosen.table.start_unix)
        text = _unit_text(chosen, unit)
    else:
        if chosen.rate_hz:
            raise UserError(f"--fs {chosen.rate_hz:g}: its beat times are dates, not sample numbers; leave out --fs")
        day = next((i for i, role in enumerate(roles) if role == "date" and i != index), None)
        clock = _clock(chosen, index, day, None)
        text = clock.kind
    chosen.uses[index] = f"times of beats, {text}"
    return BeatColumns("times", clock.seconds[:, None], chosen.lines, clock)


def _clock(chosen: ChosenColumns, time: int | None, day: int | None, intervals: np.ndarray | None) -> ClockTimes:
    """The times of the rows. time, day: columns, at least one. intervals: (rows,) sum of a row's RR intervals, s."""
    index = day if time is None else time
    assert index is not None
    texts = chosen.table.column(index)
    if _are_numbers(texts):
        numbers = chosen.table.numbers(index)
        stated = chosen.stated_unit(index)
        if intervals is not None:
            unit = units.clock_unit(numbers, intervals, stated, chosen.rate_hz)
        else:
            unit = units.rate_time_unit(numbers, stated)
        clock = numeric_times(units.seconds_of(numbers, unit, chosen.rate_hz), numbers, unit)
    else:
        if time is not None and day is not None and not re.search(r"\d[-/.]\d+[-/.]\d", next(filter(None, texts))):
            days = chosen.table.column(day)
            texts = [f"{date.split('T')[0].split()[0]} {of_day}" if date and of_day else "" for date, of_day in
                     zip(days, texts, strict=True)]  # fmt: skip
            chosen.uses[day] = "date of each row"
        clock = clock_times(texts, chosen.lines)
    if chosen.table.start_unix is not None:
        clock = _from_unix(clock, chosen.table.start_unix)
    elif clock.zero is None:
        clock = _from_above(chosen, clock)
    end = "of each row" if intervals is None else "when the intervals of a row had ended"
    chosen.uses[index] = f"time {end}: {clock.kind}"
    chosen.notes += clock.notes
    return clock


def _from_unix(clock: ClockTimes, start_unix: float) -> ClockTimes:
    zero = datetime.fromtimestamp(start_unix, UTC).replace(tzinfo=None)
    return replace(clock, zero=zero, utc=True, zoned=True, dated=True, kind=f"{clock.kind}, from the start in line 1")


def _from_above(chosen: ChosenColumns, clock: ClockTimes) -> ClockTimes:
    """Elapsed times, with the date and start time that a table above the rows states (Polar Flow)."""
    for table in chosen.table.above:
        cells = dict(zip((name.lower() for name in table.names), table.rows[0][1] if table.rows else [], strict=False))
        day, time = read_date(cells.get("date", "")), cells.get("start time", "")
        if day is not None and re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", time):
            try:
                zero = datetime.combine(
                    day, datetime.strptime(time, "%H:%M:%S" if time.count(":") > 1 else "%H:%M").time()
                )
            except ValueError:
                continue
            return replace(clock, zero=zero, dated=True, zoned=True, kind=f"{clock.kind} from {zero:%Y-%m-%d %H:%M:%S}")
    return clock


def _of_numbers(chosen: ChosenColumns, index: int | None) -> BeatColumns:
    """Columns without names: rising numbers are times, others are intervals; of two columns the first holds times."""
    table = chosen.table
    texts = table.column(0)
    if table.width == 1:
        if not _are_numbers(texts):
            return _beat_times(chosen, [""], 0)
        first = table.numbers(0)
        if _is_empatica_rate(first):
            return _empatica_rate(chosen, first)
        if _is_rising(first, strict=True):
            return _beat_times(chosen, [""], 0)
        return _intervals(chosen, [0], first[:, None], None, None)
    value = 1 if index is None else index
    if value == 0:
        return _intervals(chosen, [0], table.numbers(0)[:, None], None, None)
    if _are_numbers(texts) and not _is_rising(table.numbers(0)):
        raise UserError("its first column does not rise, so it holds no times; give the columns names")
    day = 0 if _are_dates(texts) and index is None and table.width > 2 and ":" not in texts[0] else None
    if day is not None:  # 2024-01-31 23:40:00 700, split at white space
        value = 2
    values = table.numbers(value)
    low, high = RATES_BY_NUMBERS
    time = 0 if day is None else 1
    if low <= units.median(values[values > 0]) <= high:
        return _rates(chosen, value, values[:, None], time, day)
    return _intervals(chosen, [value], values[:, None], time, day)


def _is_empatica_rate(numbers: np.ndarray) -> bool:
    """HR.csv of an Empatica E4: the start in unix s, samples per second, then heart rates."""
    return len(numbers) > 3 and 1e9 <= numbers[0] < 1e11 and 0 < numbers[1] <= 64 and units.median(numbers[2:]) < 250


def _empatica_rate(chosen: ChosenColumns, numbers: np.ndarray) -> BeatColumns:
    seconds = np.arange(len(numbers) - 2) / numbers[1]
    clock = _from_unix(ClockTimes(seconds, f"a row every {1 / numbers[1]:g} s"), float(numbers[0]))
    chosen.uses[0] = f"heart rate, per minute, {clock.kind}"
    return BeatColumns("rate", numbers[2:, None], chosen.lines[2:], clock)


def _is_rising(numbers: np.ndarray, strict: bool = False) -> bool:
    steps = np.diff(numbers[np.isfinite(numbers)])
    if len(steps) < 2:
        return False
    if strict:
        return bool((steps > 0).all())
    moving = steps[steps != 0]
    return len(moving) > 0 and max((moving > 0).mean(), (moving < 0).mean()) >= MONOTONE


def _are_numbers(texts: list[str]) -> bool:
    """Whether most cells are numbers: the others are errors then, and no dates."""
    return 2 * sum(np.isinf(number_of(text)) for text in texts) < max(1, len(texts))


def _are_dates(texts: list[str]) -> bool:
    return bool(texts) and bool(re.fullmatch(r"\d+[-/.]\d+[-/.]\d+", texts[0]))


def _unit_text(chosen: ChosenColumns, unit: str) -> str:
    return f"sample numbers at {chosen.rate_hz:g} Hz" if unit == "samples" else unit
