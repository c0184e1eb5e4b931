"""Beat times of RR intervals whose rows carry a clock: the chain of intervals is the time, the clock finds the gaps.

The time of a row is when a phone or a watch wrote the interval down, not when it ended: late by up to seconds, rounded,
one time for a packet of intervals. A chain of intervals has no such jitter, but loses what was not recorded. So the
delay of each row, its time minus the chain's, is followed by its smallest value over the rows to come: lateness passes,
and a gap stays.
"""

import numpy as np

ROWS_AHEAD = 60
"""The smallest delay is taken over so many rows (packets) from one on."""
LEAST_GAP_S, LEAST_REPEAT_S = 0.15, 0.5
"""Smallest change of the delay that moves the chain: on by a gap, back by a repeated interval."""
SPREAD_PERCENT, SPREADS, SPREAD_SHARE = 95, 5.0, 0.35
"""The smallest of n delays varies by their spread / n if they are evenly spread, by a third of it at most if they are
normal. A change counts if it exceeds 5 spreads / n and 0.35 spreads."""
BEGINS_A_BEAT_S = 0.3
"""After a longer gap, the beat before the interval is a beat of its own. A shorter one stretches the interval."""
SAME_BEAT_S = 0.15
"""Two beats closer than this are one beat that two RR intervals name."""


def beats_of_chain(intervals: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The times of beats (beats,), s, of RR intervals (rows,), s, with the clock's times of their rows, s, in order.

    intervals: NaN for a missing one. times: NaN for an unknown one; equal times are one packet.
    """
    known = np.isfinite(intervals)
    intervals, times = intervals[known], times[known]
    if not len(intervals):
        return np.zeros(0)
    chain = np.cumsum(intervals)
    delays = chain_delays(chain, times)
    ends = chain + delays
    jumps = np.diff(delays, prepend=delays[0] - np.inf)
    begins = np.flatnonzero(jumps >= BEGINS_A_BEAT_S)
    beats = np.sort(np.concatenate([ends, ends[begins] - intervals[begins]]))
    return beats[np.diff(beats, prepend=-np.inf) > SAME_BEAT_S]


def resolution(times: np.ndarray) -> float:
    """The step to which times, s, are rounded: 60, 1, or 0 for fractions of a second."""
    return next((step for step in (60.0, 1.0) if (times % step == 0).all()), 0.0)


def chain_delays(chain: np.ndarray, times: np.ndarray) -> np.ndarray:
    """What to add to the chain's end of each interval (rows,), s, to place it: constant but for gaps."""
    last = np.flatnonzero(np.isfinite(times) & (np.diff(times, append=np.inf) != 0))  # the last row of each packet
    if not len(last):
        return np.zeros(len(chain))
    late = times[last] - chain[last]
    padded = np.concatenate([late, np.full(ROWS_AHEAD - 1, np.inf)])
    ahead = np.lib.stride_tricks.sliding_window_view(padded, ROWS_AHEAD)
    smallest = ahead.min(axis=1)
    spread = float(np.percentile(late - smallest, SPREAD_PERCENT))
    # The delays that the smallest was taken over: those before the next gap, and before the end.
    rises = np.append(np.flatnonzero(np.diff(smallest) > max(LEAST_GAP_S, SPREAD_SHARE * spread)), len(late) - 1)
    row = np.arange(len(late))
    rows = np.minimum(ROWS_AHEAD, rises[np.searchsorted(rises, row)] - row + 1)
    step = resolution(times[last])
    alone = np.append(late[1:] > smallest[:-1] + max(spread, step), True)  # a packet before a gap may be a part of one
    noise = spread * np.maximum(SPREAD_SHARE, SPREADS / rows)
    on = np.maximum(LEAST_GAP_S, np.maximum(noise, step * alone))
    back = np.maximum(LEAST_REPEAT_S, noise)
    delays, delay = np.empty(len(late)), smallest[0]
    for k, (target, forward, backward) in enumerate(zip(smallest.tolist(), on.tolist(), back.tolist(), strict=True)):
        if not -backward <= target - delay <= forward:
            delay = target
        delays[k] = delay
    # The rows of a packet have one delay, that of its last row.
    packet = np.searchsorted(last, np.arange(len(chain)))
    return delays[np.minimum(packet, len(last) - 1)]
