"""When the files of a night begin, and how far apart two of them do."""

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Literal

from sleepkd.cohorts.remarks import WARNING
from sleepkd.errors import UserError

Clock = Literal["date_and_time", "time_of_day", "first_sample"]
DAY = 86400.0
FARTHEST = 12 * 3600.0


@dataclass(frozen=True)
class Start:
    """When a file begins: what its header says, None where it does not.

    offset_s: by how much its first sample is later than that. EDF+ counts annotations from the header's time.
    """

    date: date | None
    time: time | None
    offset_s: float = 0.0


def seconds_between(signals: Start | None, scoring: Start | None, clock: Clock, names: str) -> tuple[float, str]:
    """By how much a scoring's zero is later than the first sample of the signals, and a remark ("" where none is due).

    clock "date_and_time": as the headers say, by the time of day alone where one of them has no date; "time_of_day":
    so in any case; "first_sample": the scoring counts from the first sample. None: a file that counts from there.
    names: of the two files, for the message. Raises UserError where they begin more than twelve hours apart.
    """
    if scoring is None or signals is None or clock == "first_sample":
        return 0.0, ""
    if signals.time is None or scoring.time is None:
        return -signals.offset_s, WARNING + "a header says no time of day, so both files are taken to begin at once"
    # Two times of the same day, whichever.
    by_day = clock == "time_of_day" or signals.date is None or scoring.date is None
    days = [date(2000, 1, 1)] * 2 if by_day else [signals.date, scoring.date]
    begin, zero = (datetime.combine(day, start.time) for day, start in zip(days, (signals, scoring), strict=True))
    shift = (zero - begin).total_seconds()
    if by_day:
        shift = (shift + DAY / 2) % DAY - DAY / 2
        remark = "" if clock == "time_of_day" else "a header has no date, so aligned by the time of day"
        return shift - signals.offset_s, remark
    if abs(shift) > FARTHEST:
        raise UserError(
            f"{names} begin {abs(shift) / 3600:.1f} h apart by their dates; are they of the same night? Where only the "
            "dates were changed, set scoring.clock: time_of_day; where the scoring counts from the first sample, "
            "first_sample"
        )
    return shift - signals.offset_s, ""
