"""Recognise the unit of numbers: RR intervals, beat times, and times beside intervals or heart rates."""

import numpy as np

from sleepkd.errors import UserError

SECONDS_OF = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "1/1024 s": 1 / 1024}
DAYS = "days"
"""Of spreadsheets: 45322.98611 is 2024-01-31 23:40."""
DAY_S = 86400.0
SPREADSHEET_DAYS = (20000, 80000)
FILLERS = (0.0, 65535.0, 65.535)
"""Values that devices write in place of a missing RR interval: 0, and the largest 16-bit number."""
RR_S = (0.2, 3.0)
"""The median RR interval of a night, with room for errors."""
SLEEPING_RR_S = (0.5, 2.0)
"""The median RR interval of a sleeping adult: 30 to 120 per minute. Beat times without a unit must be within it."""
UNIX = {"s": (1e9, 1e11), "ms": (1e11, 1e14), "us": (1e14, 1e17), "ns": (1e17, 1e20)}
"""Times since 1970 of the years 2001 to 5138, by unit. No two ranges overlap."""
FITTING = (1 / 3, 20.0)
"""Rows may be so many times as far apart as their RR intervals last (median); more where beats are missing."""
DAYS_S = 5e5
"""Times of heart rates that span less are in seconds: in ms, they would span less than ten minutes."""


def without_fillers(values: np.ndarray) -> np.ndarray:
    """RR intervals with NaN in place of `FILLERS` and of negative numbers."""
    return np.where(np.isin(values, FILLERS) | (values < 0), np.nan, values)


def median(values: np.ndarray) -> float:
    """The median without NaN; NaN if all are."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def interval_unit(values: np.ndarray, rate_hz: float = 0.0, stated: str = "") -> str:
    """The unit of RR intervals by their median: "s", "ms", "1/1024 s" or "samples".

    values: NaN for a missing one. rate_hz: samples per second, if a user gives it. stated: the unit of the header.
    Raises UserError for a median that is not an RR interval.
    """
    typical = median(values)
    if rate_hz:
        if stated or not is_whole(values):
            raise UserError(
                f"--fs {rate_hz:g}: its RR intervals are in {stated or 's'}, not in samples; leave out --fs"
            )
        if not RR_S[0] <= typical / rate_hz <= RR_S[1]:
            raise UserError(f"its intervals have a median of {typical:g} samples, no RR interval at {rate_hz:g} Hz")
        return "samples"
    if RR_S[0] <= typical <= RR_S[1]:
        return "s"
    if 1000 * RR_S[0] <= typical <= 1000 * RR_S[1]:
        return stated if stated == "1/1024 s" else "ms"
    breaths = "; are they breaths per minute?" if 4 <= typical <= 60 else ""
    raise UserError(f"its intervals have a median of {typical:g}, which is not an RR interval in s or in ms{breaths}")


def beat_time_unit(times: np.ndarray, rate_hz: float = 0.0, stated: str = "") -> str:
    """The unit of the times of beats, by their steps or as stated. Raises UserError for other steps than RR intervals.

    rate_hz: samples per second; then they are sample numbers, "samples".
    """
    step = median(np.abs(np.diff(np.sort(times[np.isfinite(times)]))))
    if rate_hz:
        if stated or not is_whole(times):
            raise UserError(f"--fs {rate_hz:g}: its beat times are in {stated or 's'}, not in samples; leave out --fs")
        if not RR_S[0] <= step / rate_hz <= RR_S[1]:
            raise UserError(f"its beats are {step:g} samples apart (median), {step / rate_hz:.3g} s at {rate_hz:g} Hz")
        return "samples"
    if stated:
        if not RR_S[0] <= step * SECONDS_OF[stated] <= RR_S[1]:
            raise UserError(f"its beats are {step:g} {stated} apart (median), which is not an RR interval")
        return stated
    units = ("s", "ms", "us", "ns") if is_whole(times) else ("s", "ms", "us", "ns", "min")
    for unit in units:
        if SLEEPING_RR_S[0] <= step * SECONDS_OF[unit] <= SLEEPING_RR_S[1]:
            return unit
    if SLEEPING_RR_S[0] <= step * DAY_S <= SLEEPING_RR_S[1]:
        return DAYS
    raise UserError(
        f"its times are {step:g} apart (median), in no unit the RR interval of a sleeper; name the column time_s or "
        "time_ms, or give --fs for sample numbers"
    )


def clock_unit(times: np.ndarray, intervals_s: np.ndarray, stated: str = "", rate_hz: float = 0.0) -> str:
    """The unit of times beside RR intervals, s: the one in which rows are as far apart as their intervals last.

    stated: the unit of the header, which is taken where it fits. Raises UserError where no unit fits.
    """
    known = np.isfinite(times)
    last = np.flatnonzero(np.diff(times[known], append=np.inf) != 0)  # of the rows with one time
    lasting = np.diff(np.concatenate([[0.0], np.cumsum(np.nan_to_num(intervals_s[known]))[last]]))
    steps = np.abs(np.diff(times[known][last]))
    usable = (lasting[1:] > 0) & (steps > 0)
    if not usable.any():
        return stated or "s"
    ratio = float(np.median(steps[usable] / lasting[1:][usable]))
    units = {**SECONDS_OF, DAYS: DAY_S, **({"samples": 1 / rate_hz} if rate_hz else {})}
    if stated and FITTING[0] <= ratio * units[stated] <= FITTING[1]:
        return stated
    del units["1/1024 s"]
    unit = min(units, key=lambda name: abs(np.log(ratio * units[name])))
    if not FITTING[0] <= ratio * units[unit] <= FITTING[1]:
        raise UserError(f"its times are {ratio:.3g} times as far apart as its intervals in s last; name their unit")
    return unit


def rate_time_unit(times: np.ndarray, stated: str = "") -> str:
    """The unit of the times of heart rates, which lie up to minutes apart, by their size and their steps."""
    unit = stated or unix_unit(times)
    if stated or (unit and np.nanmax(times) - np.nanmin(times) < DAYS_S / SECONDS_OF[unit]):
        return unit
    known = np.sort(times[np.isfinite(times)])
    if len(known) < 2:
        return "s"
    step, span = median(np.diff(np.unique(known))), known[-1] - known[0]
    low, high = SPREADSHEET_DAYS
    if low <= known[0] and known[-1] <= high and 0 < step < 0.02 and span < 60:
        return DAYS
    if step <= 50 or span < DAYS_S:
        return "s"
    return "ms" if step < 9e5 else "us" if step < 9e8 else "ns"


def unix_unit(times: np.ndarray) -> str:
    """The unit of times since 1970, by their size; "" for other times."""
    size = median(times)
    return next((unit for unit, (low, high) in UNIX.items() if low <= size < high), "")


def seconds_of(values: np.ndarray, unit: str, rate_hz: float = 0.0) -> np.ndarray:
    """Numbers in a unit of this module, in s."""
    if unit == "samples":
        return values / rate_hz
    return values * (DAY_S if unit == DAYS else SECONDS_OF[unit])


def is_whole(values: np.ndarray) -> bool:
    """Whether all known numbers are whole."""
    known = values[np.isfinite(values)]
    return bool((known == np.round(known)).all())
