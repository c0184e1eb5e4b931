"""Recognise heartbeats and averaged heart rates, and the cadence of the averages, from the numbers alone.

A cadence is the time between two values of an averaged heart rate, s. 0 stands for measured heartbeats. No name of a
file, column or device enters.
"""

import numpy as np

from sleepkd.data.beats import MAX_RR_S, MIN_RR_S
from sleepkd.data.mask_runs import mask_runs

SAME_S = 1.5e-3
"""Consecutive RR intervals that differ by less are equal: beats made from an averaged rate are evenly spaced between
two of its values, and files round their times to 1 ms."""
LEAST_EQUAL = 0.45
"""A larger share of equal consecutive RR intervals betrays an averaged rate. Measured: at most 0.33 on heartbeats
(apnea_ecg and nsr2db, at 100 and 128 Hz, where many intervals are equal by chance; at most 0.09 on slpdb), at least
0.59 on their averages every 5 s, and 0.75 on the watch of sleep_accel."""
LEAST_BEATS = 20
"""Fewer heartbeats are not judged: equal intervals may be chance."""
LARGEST_DEVIATION, SHARE_OF_SPREAD = 0.05, 0.5
"""A table lists one row per heartbeat if its rate times the time between rows is 1 beat within 5 %, and within half of
the variation of that time: at a fixed spacing of 1 s, a rate near 60 per minute fulfils the first by chance."""
ROWS_OF_HELD_VALUE, LEAST_HOLDS = 1.5, 10
"""A file repeats its values if nine tenths of them (of at least ten) hold for more than this many rows."""


def rate_cadence(times: np.ndarray, per_minute: np.ndarray) -> float:
    """The cadence of a table of heart rates, s; 0 for one row per heartbeat.

    times: (N,), s, in any order. per_minute: (N,) beats per minute; NaN and 0 are missing.
    It is the median time between rows, or the time for which a value holds where rows repeat it. 0 if that is shorter
    than half an RR interval (an instantaneous rate, resampled), or fewer than three rows hold a rate.
    """
    known = np.isfinite(times) & np.isfinite(per_minute) & (per_minute > 0)
    times, first = np.unique(times[known], return_index=True)
    rates = per_minute[known][first]
    if len(times) < 3 or _one_row_per_beat(times, rates):
        return 0.0
    spacing = cadence = float(np.median(np.diff(times)))
    holds = np.diff(times[np.flatnonzero(np.diff(rates)) + 1])
    if len(holds) >= LEAST_HOLDS and np.percentile(holds, 10) >= ROWS_OF_HELD_VALUE * spacing:
        cadence = float(np.percentile(holds, 25))  # equal values in a row hold for a multiple of the cadence
    return cadence if cadence >= 30 / np.median(rates) else 0.0


def beats_cadence(beats: np.ndarray) -> float:
    """The cadence of the averaged heart rate that beats (beats,), s, in order, were made from; 0 for heartbeats.

    Such beats have constant RR intervals between two values of the rate. Averages every 4 s and slower are recognised;
    faster ones and fewer than `LEAST_BEATS` beats count as heartbeats.
    """
    if len(beats) < LEAST_BEATS:
        return 0.0
    intervals = np.diff(beats)
    possible = (intervals >= MIN_RR_S) & (intervals <= MAX_RR_S)
    known = possible[1:] & possible[:-1]
    changes = np.abs(np.diff(intervals)) > SAME_S
    if not known.any() or np.count_nonzero(known & ~changes) < LEAST_EQUAL * np.count_nonzero(known):
        return 0.0
    # Changes at neighbouring beats are one change of the rate: it falls within the RR interval between them.
    first, after = mask_runs(changes | ~known).T
    last = after - 1
    middle_s = (beats[first + 1] + beats[last + 1]) / 2
    unknown = np.concatenate([[0], np.cumsum(~known)])
    whole = unknown[last[1:] + 1] == unknown[first[:-1]]  # no gap at either end
    holds = np.diff(middle_s)[whole]
    return float(np.percentile(holds, 25)) if len(holds) else float(beats[-1] - beats[0])


def input_text(cadence_s: float) -> str:
    """ "heartbeats", or "heart rate averaged every 5 s", of a cadence."""
    if not cadence_s:
        return "heartbeats"
    return f"heart rate averaged every {round(cadence_s, None if cadence_s >= 10 else 1):g} s"


def _one_row_per_beat(times: np.ndarray, rates: np.ndarray) -> bool:
    """Whether the time between rows is that of one beat, at the rate of the row that ends or that begins it."""
    steps = np.diff(times)
    near = (steps >= MIN_RR_S) & (steps <= MAX_RR_S)
    if near.mean() < 0.5:
        return False
    spread = np.median(np.abs(steps[near] / np.median(steps[near]) - 1))
    deviations = [np.median(np.abs(steps * rate / 60 - 1)[near]) for rate in (rates[1:], rates[:-1])]
    return bool(min(deviations) <= min(LARGEST_DEVIATION, SHARE_OF_SPREAD * spread))
