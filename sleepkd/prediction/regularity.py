"""Sleep regularity over several nights of a person: the Sleep Regularity Index of Phillips et al. (2017)."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np

from sleepkd.errors import UserError

DAY_S = 86400.0
STEP_S = 30.0
"""Sleep and wake are compared at so many seconds."""


class SleepTimes(NamedTuple):
    """When a person slept in one night: 1 asleep, 0 awake, NaN unscored, (N,) at every 30 s from `start` on.

    start: local date and time; None if unknown.
    """

    start: datetime | None
    asleep: np.ndarray


class SleepRecord(Protocol):
    """What has the sleep times of a night, as `PredictedNight` has."""

    @property
    def sleep_times(self) -> SleepTimes:
        """When the person slept."""


class SleepRegularity(NamedTuple):
    """The Sleep Regularity Index of some nights.

    Attributes
    ----------
    sri
        100 if sleep and wake are the same at every time of day, 0 if they are alike by chance, at least -100.
    nights
        Their number.
    hours
        How many hours were compared with those a day later.
    """

    sri: float
    nights: int
    hours: float


def sleep_regularity(nights: Sequence[SleepRecord]) -> SleepRegularity:
    """Compute the Sleep Regularity Index (SRI) of several nights of one person.

    It is 200 p - 100, where p is the share of times at which sleep or wake is the same as 24 h later (Phillips et al.
    2017, Scientific Reports 7:3216). They recorded whole days. Here, the time between two nights counts as wake if it
    is shorter than a day: naps are not seen. A missing night, and what is unscored, is not compared. Published values
    rest on a week or more; of fewer nights, the index is of little use.

    Parameters
    ----------
    nights
        Nights with dates, in any order, as `Model.predict_nights` returns them.

    Returns
    -------
    SleepRegularity
        The index, and what it rests on.

    Raises
    ------
    UserError
        For nights without a date and time, that overlap, or of which no two follow each other.

    Examples
    --------
    Two nights of 8 h, asleep throughout, the second an hour later: of the 9 h that can be compared, 7 are the same.

    >>> from types import SimpleNamespace
    >>> first = SleepTimes(datetime(2026, 1, 30, 23, 0), np.ones(8 * 120))
    >>> second = SleepTimes(datetime(2026, 2, 1, 0, 0), np.ones(8 * 120))
    >>> found = sleep_regularity([SimpleNamespace(sleep_times=night) for night in (first, second)])
    >>> round(found.sri), found.nights
    (56, 2)
    """
    dated = [(night.start, night.asleep) for night in (x.sleep_times for x in nights) if night.start is not None]
    if len(dated) < len(nights):
        raise UserError("sleep regularity: a night has no date and time of its start")
    if len(dated) < 2:
        raise UserError("sleep regularity: needs two nights or more")
    ordered = sorted(dated, key=lambda night: night[0])
    first = ordered[0][0]
    starts = [round((start - first).total_seconds() / STEP_S) for start, _ in ordered]
    states = np.full(starts[-1] + len(ordered[-1][1]), np.nan)
    end = 0
    for at, (start, asleep) in zip(starts, ordered, strict=True):
        if at < end:
            moment = f"{start:%Y-%m-%d %H:%M}"
            raise UserError(f"sleep regularity: two nights overlap at {moment}; give each night of one person once")
        if at - end < DAY_S / STEP_S:
            states[end:at] = 0.0
        end = at + len(asleep)
        states[at:end] = asleep
    day = round(DAY_S / STEP_S)
    today, tomorrow = states[:-day], states[day:]
    known = np.isfinite(today) & np.isfinite(tomorrow)
    if not known.any():
        raise UserError("sleep regularity: no two nights follow each other")
    same = float((today[known] == tomorrow[known]).mean())
    return SleepRegularity(200 * same - 100, len(ordered), float(known.sum()) * STEP_S / 3600)
