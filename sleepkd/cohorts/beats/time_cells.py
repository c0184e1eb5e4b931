"""Read a column of dates and times, or of numbers that are times, as seconds, with the date that they state."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.beats.sniff_table import shortened
from sleepkd.cohorts.beats.time_units import DAYS, SECONDS_OF, unix_unit
from sleepkd.cohorts.clock import DAY, Start
from sleepkd.errors import UserError

_MOMENT = re.compile(
    r"(?:(?P<date>\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})[T ,]+)?"
    r"(?P<hour>\d{1,3}):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d(?:[.,:]\d+)?))?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
)
_MONTH_NAME = re.compile(r"(?P<month>[A-Za-z]{3})[a-z]*\.? (?P<day>\d{1,2}),? (?P<year>\d{4})")
_DAY_FIRST_NAME = re.compile(r"(?P<day>\d{1,2})[ -](?P<month>[A-Za-z]{3})[a-z]*\.?[ -](?P<year>\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE_LAST = re.compile(r"(?P<time>\d{1,2}:\S+(?: [AaPp][Mm])?),? (?P<date>\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})")
_ZONE = re.compile(r"\s*(?:UTC|GMT|Z)$|\s+(?=[+-]\d{2}:?\d{2}$)")
TIME_OF_DAY = "time of day"
_EPOCH = datetime(1970, 1, 1)
_SPREADSHEET = datetime(1899, 12, 30)


class _Moment(NamedTuple):
    """A cell. day: None for a time of day alone. zone_s: offset from UTC, s; None if it states none."""

    day: date | None
    of_day_s: float
    zone_s: float | None
    is_12_h: bool = False
    has_seconds: bool = True


@dataclass(frozen=True)
class ClockTimes:
    """Times (rows,), s, NaN for a blank cell.

    zero: the date and time of 0 s, on the clock that the file shows; None if it states none. dated: whether the date
    is known, or the time of day alone. utc: the clock shows UTC. zoned: each row states its zone, so that the clock
    never goes back. kind: in words. notes: decisions that may be wrong.
    """

    seconds: np.ndarray
    kind: str
    zero: datetime | None = None
    dated: bool = True
    utc: bool = False
    zoned: bool = False
    notes: tuple[str, ...] = ()

    def start(self, seconds: float) -> Start | None:
        """The date and time of day of a time, s; None if the file states none."""
        if self.zero is None:
            return None
        try:
            moment = self.zero + timedelta(seconds=round(seconds, 6))
        except OverflowError:
            return None
        return Start(moment.date() if self.dated else None, moment.time(), zone="UTC" if self.utc else "")


def numeric_times(seconds: np.ndarray, numbers: np.ndarray, unit: str) -> ClockTimes:
    """Times that are numbers. seconds: the numbers in s. unit: as recognised by `time_units`."""
    if unit == DAYS:
        return ClockTimes(seconds, "days of a spreadsheet", _SPREADSHEET)
    if unit in SECONDS_OF and unix_unit(numbers) == unit:
        first = np.floor(np.nanmin(seconds))  # numbers near 0 keep their fractions
        try:
            zero = _EPOCH + timedelta(seconds=float(first))
        except OverflowError:
            return ClockTimes(seconds, unit)
        return ClockTimes(seconds - first, f"unix time, {unit}", zero, utc=True, zoned=True)
    return ClockTimes(seconds, unit)


def clock_times(cells: Sequence[str], lines: Sequence[int]) -> ClockTimes:
    """A column of dates and times, or of times of day, which may pass midnight.

    cells: "" for a missing one. lines: their numbers, for messages. Raises UserError for a cell that is not a time, for
    rows of which some state a zone and others do not, and for a column without a time.
    """
    known = [k for k, cell in enumerate(cells) if cell]
    if not known:
        raise UserError("its column of times is blank")
    if not _MOMENT.fullmatch(cells[known[0]]):
        cells = [_with_date_first(cell) for cell in cells]
    dates = _Dates([cells[k] for k in known])
    moments = [_moment(cells[k], lines[k], dates) for k in known]
    seconds = np.full(len(cells), np.nan)
    zoned = {moment.zone_s is not None for moment in moments}
    if len(zoned) > 1:
        line = next(lines[k] for k, moment in zip(known, moments, strict=True) if moment.zone_s is None)
        raise UserError(f"line {line}: its time states no zone (+01:00), as others do")
    if len({moment.day is None for moment in moments}) > 1:
        line = next(lines[k] for k, moment in zip(known, moments, strict=True) if moment.day is None)
        raise UserError(f"line {line}: its time states no date, as others do")
    first = moments[0]
    if first.day is None:
        seconds[known], kind = _of_days(moments)
        zero = datetime(2000, 1, 1) if kind == TIME_OF_DAY else None
        return ClockTimes(seconds, kind, zero, dated=False)
    zones = [moment.zone_s or 0.0 for moment in moments]
    # Seconds of the first row's clock, so that the start is the time that the file shows.
    day = first.day
    seconds[known] = [
        (moment.day - day).days * DAY + moment.of_day_s - zone + zones[0]
        for moment, zone in zip(moments, zones, strict=True)
        if moment.day is not None
    ]
    is_zoned, utc = zoned == {True}, set(zones) == {0.0} and zoned == {True}
    kind = "date and time" + (", UTC" if utc else " with its zone" if is_zoned else ", no zone")
    zero = datetime.combine(day, time())
    return ClockTimes(seconds, kind, zero, dates.are_known, utc, is_zoned, dates.notes)


def _of_days(moments: Sequence[_Moment]) -> tuple[np.ndarray, str]:
    """Times without a date, s, and what they are. Times of day pass midnight, elapsed times begin at 0 or pass 24 h."""
    of_day = np.array([moment.of_day_s for moment in moments])
    if of_day.max() >= DAY and not any(moment.has_seconds for moment in moments):
        return of_day / 60, "minutes and seconds"
    if of_day.max() >= DAY or (of_day[0] < 1 and not any(moment.is_12_h for moment in moments)):
        return of_day, "elapsed time"
    steps = (np.diff(of_day) + DAY / 2) % DAY - DAY / 2
    return of_day[0] + np.concatenate([[0.0], np.cumsum(steps)]), TIME_OF_DAY


def read_date(text: str) -> date | None:
    """A date as 2024-01-31, 31.01.2024 or 31-01-2024; None for another text, or an ambiguous one."""
    try:
        dates = _Dates([f"{text.strip()} 0:00"])
        return dates.of(text.strip()) if dates.are_known else None
    except (ValueError, KeyError):
        return None


def _moment(text: str, line: int, dates: "_Dates") -> _Moment:
    try:
        return _of_iso(text)
    except ValueError:
        pass
    found = _MOMENT.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        day = dates.of(found["date"]) if found["date"] else None
        hour = int(found["hour"])
        second = (found["second"] or "0").replace(",", ".")
        if second.count(":"):  # 23:40:00:648
            second = second.replace(":", ".")
        if found["half"]:
            if not 1 <= hour <= 12:
                raise ValueError
            hour = hour % 12 + 12 * (found["half"].lower() == "p")
        if hour > 23 and day is not None:
            raise ValueError
        of_day = 3600.0 * hour + 60 * int(found["minute"]) + float(second)
        return _Moment(day, of_day, _zone_seconds(found["zone"]), bool(found["half"]), bool(found["second"]))
    except (ValueError, KeyError):
        raise UserError(
            f"line {line}: '{shortened(text)}' is not a time: give seconds, or 2024-01-31T23:05:00"
        ) from None


def _with_date_first(text: str) -> str:
    """`Jan 31, 2024 10:40 PM` and `22:40:04 31/01/2024` as a date in numbers before the time; others as they are."""
    for pattern in (_MONTH_NAME, _DAY_FIRST_NAME):
        if (found := pattern.search(text)) and found["month"].lower() in _MONTHS:
            day = f"{found['year']}-{_MONTHS.index(found['month'].lower()) + 1:02d}-{int(found['day']):02d}"
            text = pattern.sub(day, text)
            break
    swapped = _DATE_LAST.fullmatch(text.strip())
    return f"{swapped['date']} {swapped['time']}" if swapped else text


def _of_iso(text: str) -> _Moment:
    if ":" not in text and "T" not in text:
        raise ValueError
    moment = datetime.fromisoformat(_ZONE.sub(lambda zone: "" if zone[0].isspace() else "+00:00", text.strip()))
    offset = moment.utcoffset()
    zone = None if offset is None else offset.total_seconds()
    of_day = 3600.0 * moment.hour + 60 * moment.minute + moment.second + moment.microsecond / 1e6
    return _Moment(moment.date(), of_day, zone)


def _zone_seconds(text: str | None) -> float | None:
    if text is None:
        return None
    if text in ("Z", "UTC", "GMT"):
        return 0.0
    digits = text[1:].replace(":", "")
    return (-1 if text[0] == "-" else 1) * (3600.0 * int(digits[:2]) + 60 * int(digits[2:]))


class _Dates:
    """The dates of a column, whose order of day and month is found from all of them.

    are_known: False if 01/02/2024 may be either. Raises UserError for dates of no one order.
    """

    def __init__(self, cells: Sequence[str]):
        found = {match["date"] for cell in cells if (match := _MOMENT.fullmatch(cell.strip())) and match["date"]}
        parts = {text: [int(x) for x in re.split(r"[-/.]", text)] for text in found}
        self._dates: dict[str, date] = {}
        self.are_known = True
        self.notes: tuple[str, ...] = ()
        orders = {
            "year, month, day": lambda a, b, c: (a, b, c),
            "day, month, year": lambda a, b, c: (c, b, a),
            "month, day, year": lambda a, b, c: (c, a, b),
        }
        fitting = {}
        for name, order in orders.items():
            try:
                read = {text: _date(*order(*numbers)) for text, numbers in parts.items()}
            except ValueError:
                continue
            fitting[name] = read
        if not found:
            return
        if not fitting:
            raise UserError(f"{sorted(found)[0]!r} is not a date: give 2024-01-31")

        def days(read: dict[str, date]) -> int:
            return (max(read.values()) - min(read.values())).days

        least = min(map(days, fitting.values()))
        best = {name: read for name, read in fitting.items() if days(read) == least}
        name = next(iter(best))
        self._dates = best[name]
        self.notes = (f"dates are read as {name}",) if name != "year, month, day" else ()
        dotted = name == "day, month, year" and all("." in text for text in found)
        self.are_known = len({tuple(sorted(read.items())) for read in best.values()}) == 1 or dotted
        if not self.are_known:
            self.notes = (f"the date {sorted(found)[0]} may be day or month first, so it is not given",)

    def of(self, text: str) -> date:
        """The date of a text. Raises KeyError for another one."""
        return self._dates[text]


def _date(year: int, month: int, day: int) -> date:
    if year < 32 and not 0 < year < 100:
        raise ValueError
    return date(year + 2000 if year < 100 else year, month, day)
