"""Find the nights in days of heart rate: of a watch worn day and night, or of a Holter recorder."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.errors import UserError

WHOLE_S = 16 * 3600.0
"""A recording of up to this length is one night, whole."""
LEAST_NIGHT_S = 3 * 3600.0
"""A shorter part of a longer recording is no night."""
APART_S = 2 * 3600.0
"""Values farther apart belong to two wearings of a device."""
NIGHTS_APART_S = 14 * 3600.0
"""The middles of two nights lie farther apart. A nap in the afternoon does not."""
POSSIBLE_RATES = (30, 220)
"""Beats per minute."""
BIN_S, BRIDGED_BINS, SMOOTHED_S = 300.0, 4, 1800.0
"""Rates are averaged over 5 minutes, gaps of up to 20 minutes are interpolated, and the course is smoothed by 30."""
CORE_S = 5 * 3600.0
"""The slowest so many hours of a day are within its night."""
DAY_S = 86400.0
SLEEP_SHARE = 1 / 3
"""Of a day that a person sleeps. So the median heart rate of sleep is about its 17th percentile over a day, and that of
waking about its 67th; a night lasts while the rate is below the middle of the two."""
LARGEST_STEP = 0.1
"""No 5 minutes count more than a rate 10 % below or above that middle, so a short awakening does not end a night."""
DAYTIME_PENALTY = 0.1
"""At 15:00, a heart rate must be so much lower than at 3:00 to be taken for the slowest of the day."""
AWAKE_S = 30 * 60.0
"""A night begins so long before the heart rate falls and ends so long after it rises, to show falling asleep."""
CLOCK_NIGHT_H, LEAST_BY_CLOCK_S = (22, 8), 3 * 3600.0
"""A wearing of less than a day is a night if so much of it lies between these hours."""
FASTEST_NIGHT = 1.25
"""A wearing whose median heart rate exceeds that of the slowest by this factor is no night."""
LEAST_COVERED = 0.5


class NightSpan(NamedTuple):
    """A night within a recording, s from its start."""

    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        """Halfway between start and end."""
        return (self.start_s + self.end_s) / 2


def find_nights(times: np.ndarray, per_minute: np.ndarray, clock: np.ndarray | None = None) -> list[NightSpan]:
    """The nights of a recording of heart rate, in order of time.

    times: (N,) s, in order. per_minute: (N,) beats per minute; NaN and 0 are missing.
    clock: (N,) local time of each value, s since a midnight; None if unknown.
    A recording of up to 16 h is one night. Of a longer one, each wearing (without a gap of 2 h) of up to 16 h is a
    night if it lasts 3 h, lies at night by the clock, and its heart rate is no faster than that of other nights. In a
    longer wearing, a night is the slow part of each day. [] if there is none.
    """
    low, high = POSSIBLE_RATES
    known = np.isfinite(times) & (per_minute >= low) & (per_minute <= high)  # no NaN: the interval across a gap is slow
    times, per_minute = times[known], per_minute[known]
    if not len(times):
        return []
    if times[-1] - times[0] <= WHOLE_S:
        return [NightSpan(float(times[0]), float(times[-1]))]
    clock = None if clock is None else clock[known]
    whole: dict[NightSpan, float] = {}
    nights: list[NightSpan] = []
    for part in np.split(np.arange(len(times)), np.flatnonzero(np.diff(times) > APART_S) + 1):
        wearing, shift_s = NightSpan(float(times[part[0]]), float(times[part[-1]])), 0.0
        if clock is not None:
            shift_s = float(clock[part[0]] - times[part[0]])
        course = _course(times[part], per_minute[part])
        if wearing.end_s - wearing.start_s > WHOLE_S:
            nights += _slow_parts(wearing, course, None if clock is None else shift_s)
        elif _may_be_a_night(wearing, course, None if clock is None else shift_s):
            whole[wearing] = float(np.nanmedian(course))
    slowest = min(whole.values(), default=0.0)
    return sorted([*nights, *(span for span, rate in whole.items() if rate <= FASTEST_NIGHT * slowest)])


def no_night(path: Path, seconds: float) -> UserError:
    """The error for a recording of so many seconds in which `find_nights` finds none."""
    return UserError(
        f"{path}: lasts {seconds / 3600:.0f} h but holds no night: no {LEAST_NIGHT_S / 3600:.0f} h of slow heart rate "
        f"(at night, if its clock is known); --nights whole stages all of it"
    )


def rate_of_beats(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The times (N,), s, and the heart rate (N,) of the RR intervals of beats (beats,), s, in order."""
    return beats[1:], 60 / np.maximum(np.diff(beats), 1e-3)


def _course(times: np.ndarray, per_minute: np.ndarray) -> np.ndarray:
    """(bins,): the mean heart rate of every 5 minutes, short gaps interpolated, NaN in longer ones."""
    index = ((times - times[0]) / BIN_S).astype(int)
    count = np.bincount(index)
    with np.errstate(invalid="ignore"):
        course = np.bincount(index, per_minute) / count
    full = np.flatnonzero(count)
    filled = np.interp(np.arange(len(course)), full, course[full])
    after = np.searchsorted(full, np.arange(len(course)))
    gap = full[after] - full[np.maximum(after - (count == 0), 0)]
    return np.where(gap <= BRIDGED_BINS, filled, np.nan)


def _may_be_a_night(wearing: NightSpan, course: np.ndarray, shift_s: float | None) -> bool:
    """Whether a wearing of up to 16 h is long enough, has enough values, and lies at night. shift_s: clock - time."""
    if wearing.end_s - wearing.start_s < LEAST_NIGHT_S or np.isfinite(course).mean() < LEAST_COVERED:
        return False
    if shift_s is None:
        return True
    hours = (wearing.start_s + shift_s + BIN_S * np.arange(len(course))) % DAY_S / 3600
    at_night = (hours >= CLOCK_NIGHT_H[0]) | (hours < CLOCK_NIGHT_H[1])
    return bool(at_night.sum() * BIN_S >= LEAST_BY_CLOCK_S)


def _slow_parts(wearing: NightSpan, course: np.ndarray, shift_s: float | None) -> list[NightSpan]:
    """The nights of a wearing of more than 16 h: the slowest 5 h of each day, and the slow time around them."""
    core, smooth = (_running_mean(np.log(course), round(seconds / BIN_S)) for seconds in (CORE_S, SMOOTHED_S))
    order = core.copy()
    if shift_s is not None:
        clock = wearing.start_s + shift_s + BIN_S * np.arange(len(course))
        order += DAYTIME_PENALTY * (1 - np.cos(2 * np.pi * (clock / DAY_S - 3 / 24))) / 2
    day, half_core, apart = (round(seconds / BIN_S) for seconds in (DAY_S, CORE_S / 2, NIGHTS_APART_S))
    found = []
    while np.isfinite(order).any():
        middle = int(np.nanargmin(order))
        order[max(0, middle - apart) : middle + apart] = np.nan
        first = max(0, min(middle - day // 2, len(course) - day))
        around = smooth[first : first + day]
        slow, fast = np.nanpercentile(around, (50 * SLEEP_SHARE, 50 * (1 + SLEEP_SHARE)))
        if core[middle] >= (slow + fast) / 2:
            continue
        below = np.nan_to_num(np.clip((slow + fast) / 2 - around, -LARGEST_STEP, LARGEST_STEP))
        left, right = max(0, middle - first - half_core), min(len(below) - 1, middle - first + half_core)
        left -= int(np.argmax(np.cumsum(below[left::-1])))
        right += int(np.argmax(np.cumsum(below[right:]))) + 1
        start_s, end_s = (wearing.start_s + BIN_S * (first + k) for k in (left, right))
        found.append(NightSpan(max(start_s - AWAKE_S, wearing.start_s), min(end_s + AWAKE_S, wearing.end_s)))
    return found


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of the values (N,) around each one, NaN where less than half of them are known."""
    known, ones = np.isfinite(values), np.ones(width)
    count = np.convolve(known, ones, "same")
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.convolve(np.where(known, values, 0.0), ones, "same") / count
    return np.where(count >= LEAST_COVERED * width, mean, np.nan)
