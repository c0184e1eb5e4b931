"""When the files of a night begin, and the time between the start of signals and scoring."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from sleepkd.cohorts.remarks import WARNING
from sleepkd.errors import UserError

Clock = Literal["date_and_time", "time_of_day", "first_sample"]
DAY = 86400.0
FARTHEST = 12 * 3600.0


@dataclass(frozen=True)
class Start:
    """When a file begins by its header. date, time: None if the header does not state them.

    offset_s: delay of the first sample after that time. EDF+ counts annotations from the time of the header.
    zone: "UTC" for a time that counts from 1970 or states UTC; "" for the clock of the place.
    """

    date: date | None
    time: time | None
    offset_s: float = 0.0
    zone: str = ""


def start_of(moment: datetime) -> Start:
    """A local date and time as the start of a file."""
    return Start(moment.date(), moment.replace(microsecond=0).time(), moment.microsecond / 1e6)


def moment_of(start: Start | None) -> datetime | None:
    """The local date and time of the first sample, to the millisecond; None if the date or the time is unknown."""
    if start is None or start.date is None or start.time is None:
        return None
    return datetime.combine(start.date, start.time) + timedelta(milliseconds=round(1000 * start.offset_s))


def time_of_day(start: Start | None) -> str:
    """The time of day of the first sample at the place, "22:30:05"; "" if it is unknown.

    Exactly midnight is unknown, too: programs that remove dates write it. So is a clock in UTC.
    """
    if start is None or start.time is None or start.zone:
        return ""
    moment = datetime.combine(date(2000, 1, 1), start.time) + timedelta(seconds=start.offset_s)
    return "" if moment.time() == time() else f"{moment:%H:%M:%S}"


def start_later(start: Start | None, seconds: float) -> Start | None:
    """The start of what begins so many whole seconds later; the date or the time stays unknown."""
    if start is None or start.time is None:
        return start
    moment = datetime.combine(start.date or date(2000, 1, 1), start.time) + timedelta(seconds=seconds)
    return Start(start.date and moment.date(), moment.time(), start.offset_s, start.zone)


def seconds_between(signals: Start | None, scoring: Start | None, clock: Clock, names: str) -> tuple[float, str]:
    """The delay of a scoring's zero after the first sample of the signals, s, and a remark or "".

    signals, scoring: None for a file that counts from the first sample.
    clock: "date_and_time" takes both from the headers, or the time of day alone if one header has no date;
    "time_of_day" never takes the date; "first_sample": the scoring counts from the first sample.
    names: of the two files, for the message. Raises UserError if the files begin more than twelve hours apart.
    """
    if scoring is None or signals is None or clock == "first_sample":
        return 0.0, ""
    if signals.time is None or scoring.time is None:
        return -signals.offset_s, WARNING + "a header has no time of day, so both files are assumed to begin together"
    if clock == "time_of_day" or signals.date is None or scoring.date is None:
        any_day = date(2000, 1, 1)
        shift = _seconds(any_day, signals.time, any_day, scoring.time)
        shift = (shift + DAY / 2) % DAY - DAY / 2
        remark = "" if clock == "time_of_day" else "a header has no date, so aligned by the time of day"
        return shift - signals.offset_s, remark
    shift = _seconds(signals.date, signals.time, scoring.date, scoring.time)
    if abs(shift) > FARTHEST:
        raise UserError(
            f"{names} begin {abs(shift) / 3600:.1f} h apart by their dates; are they of the same night? If only the "
            "dates were changed, set scoring.clock: time_of_day; if the scoring counts from the first sample, set "
            "scoring.clock: first_sample"
        )
    hour = f"{WARNING}{names} begin exactly one hour apart: is the clock of one in summer time?"
    return shift - signals.offset_s, hour if abs(shift) == 3600 else ""


def _seconds(first_day: date, first: time, second_day: date, second: time) -> float:
    return (datetime.combine(second_day, second) - datetime.combine(first_day, first)).total_seconds()
