"""Heartbeats as a signal: plausible RR intervals, their quality, and the series that a network reads.

All functions take the times of R peaks, float64 (beats,), seconds from the first sample, in time order. No label
enters. An RR interval is plausible if it lasts `MIN_RR_S` to `MAX_RR_S` and differs from the median of its neighbours
by at most `ECTOPIC`. Other intervals (ectopic beats, missed beats, gaps) are interpolated and marked.
"""

import numpy as np
from scipy.ndimage import median_filter

MIN_RR_S, MAX_RR_S = 0.3, 2.0
"""30 to 200 beats per minute."""
ECTOPIC = 0.2
"""Largest difference between an interval and the median of its neighbours, as a share of the median: 20 %, a common
filter of heart rate variability (Task Force of the ESC and NASPE 1996, Circulation 93:1043-1065, leaves it open)."""
NEIGHBOURS = 11
FEW = 8
"""If fewer than one in so many intervals have missing neighbours, as at the ends and near gaps, a rank filter finds the
medians of the others, in a third of the time of sorting."""
SLOW_SECONDS = 25.0
"""Length of the mean that the fast series subtracts; it keeps respiration and low-frequency waves (above 0.04 Hz)."""
RELATIVE, FAST = 0.1, 0.05
"""Units of the two series, in log interval: 10 % and 5 %, so that both are of the order of 1."""
CHANNELS = 3
TYPICAL_RR_S = 0.9
"""A typical RR interval in sleep, in place of the night's median in a causal series."""


def plausible_intervals(beats: np.ndarray, causal: bool = False) -> np.ndarray:
    """Bool (beats - 1,): which RR intervals are physiologically plausible.

    causal: takes the median of an interval and those before it instead of those around it.
    """
    intervals = np.diff(beats)
    possible = (intervals >= MIN_RR_S) & (intervals <= MAX_RR_S)
    typical = _running_median(np.where(possible, intervals, np.nan), causal)
    return possible & (np.abs(intervals - typical) <= ECTOPIC * typical)


def median_interval(beats: np.ndarray) -> float:
    """The median of the plausible RR intervals, s; NaN if none is plausible."""
    chosen = np.diff(beats)[plausible_intervals(beats)]
    return float(np.median(chosen)) if len(chosen) else float("nan")


def beat_quality(beats: np.ndarray, onset_s: np.ndarray, duration_s: np.ndarray, causal: bool = False) -> np.ndarray:
    """Float32 (N,): the share of each sleep epoch that lies within plausible RR intervals.

    causal: uses the heartbeats until the end of each sleep epoch alone; sleep epochs may not overlap.
    """
    if causal:
        ends = np.searchsorted(beats, onset_s + duration_s, side="right")
        firsts = np.maximum(0, np.searchsorted(beats, onset_s) - 2 * NEIGHBOURS)
        known = [beats[first:end] for first, end in zip(firsts, ends, strict=True)]
        parts = [
            _quality(held, plausible_intervals(held, causal=True), onset, length)
            for held, onset, length in zip(known, onset_s, duration_s, strict=True)
        ]
        return np.array(parts, dtype=np.float32)
    return _quality(beats, plausible_intervals(beats), onset_s, duration_s)


def _quality(beats: np.ndarray, plausible: np.ndarray, onset_s: np.ndarray, duration_s: np.ndarray) -> np.ndarray:
    covered = np.concatenate([[0.0], np.cumsum(np.diff(beats) * plausible)]) if len(beats) else [0.0]

    def until(t: np.ndarray) -> np.ndarray:
        return np.interp(t, beats, covered) if len(beats) else np.zeros_like(t)

    share = (until(onset_s + duration_s) - until(onset_s)) / duration_s
    return np.asarray(share, dtype=np.float32)


def beat_series(beats: np.ndarray, median_s: float, start_s: float, samples: int, rate_hz: float) -> np.ndarray:
    """RR intervals as three series on a regular grid, float32 (3, samples); sample k lies at start_s + k / rate_hz.

    Channel 0: the logarithm of the RR interval relative to the median of the night (`median_s`), in units of
    `RELATIVE`. Channel 1: its fast part, minus its mean over `SLOW_SECONDS`, in units of `FAST`. Channel 2: quality, 1
    within a plausible interval, else 0. All are 0 if no interval near the segment is plausible.
    """
    series = np.zeros((CHANNELS, samples), dtype=np.float32)
    half = round(SLOW_SECONDS / 2 * rate_hz)
    t = start_s + np.arange(-half, samples + half) / rate_hz
    # Beyond both ends as far as the mean reaches, and the neighbours of the last interval: as for a whole night.
    near = slice(*(np.searchsorted(beats, (t[0], t[-1])) + np.array([-NEIGHBOURS, NEIGHBOURS])).clip(0, len(beats)))
    beats = np.asarray(beats[near])
    plausible = plausible_intervals(beats)
    if not plausible.any():
        return series
    intervals, middles = np.diff(beats)[plausible], (beats[:-1] + beats[1:])[plausible] / 2
    relative = np.interp(t, middles, np.log(intervals / median_s))
    mean = np.convolve(relative, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")
    inside = slice(half, half + samples)
    series[0] = relative[inside] / RELATIVE
    series[1] = (relative[inside] - mean) / FAST
    interval_of = np.searchsorted(beats, t[inside], side="right") - 1
    within = (interval_of >= 0) & (interval_of < len(plausible))
    series[2, within] = plausible[interval_of[within]]
    return series


def causal_beat_series(beats: np.ndarray, start_s: float, samples: int, rate_hz: float) -> np.ndarray:
    """The three channels of `beat_series` (3, samples), each sample from the heartbeats before it alone.

    The last plausible interval is held until the next one ends, at most `SLOW_SECONDS`. It is relative to
    `TYPICAL_RR_S`, since the median of the night is known only at its end. The fast part is minus the mean over the
    `SLOW_SECONDS` before. Quality is 1 if the last interval is plausible and no beat is overdue. All are 0 while no
    interval is held.
    """
    series = np.zeros((CHANNELS, samples), dtype=np.float32)
    behind = round(SLOW_SECONDS * rate_hz)
    t = start_s + np.arange(-behind, samples) / rate_hz
    first, last = np.searchsorted(beats, (t[0] - SLOW_SECONDS, t[-1]))
    beats = np.asarray(beats[max(0, first - NEIGHBOURS - 1) : last + 1])
    plausible = plausible_intervals(beats, causal=True)
    if not plausible.any():
        return series
    numbers = np.flatnonzero(plausible)
    ends, logs = beats[numbers + 1], np.log(np.diff(beats)[numbers] / TYPICAL_RR_S)
    held = np.searchsorted(ends, t, side="right") - 1
    known = (held >= 0) & (t - ends[held] <= SLOW_SECONDS)
    relative = np.where(known, logs[held], 0.0)
    total, count = (np.convolve(x, np.ones(behind + 1), mode="valid") for x in (relative, known.astype(float)))
    newest = np.searchsorted(beats, t, side="right") - 1  # the last beat so far ends the last interval so far
    good = known & (numbers[held] + 1 == newest) & (t - ends[held] <= MAX_RR_S)
    series[0] = relative[behind:] / RELATIVE
    series[1] = np.where(known[behind:], relative[behind:] - total / np.maximum(count, 1), 0) / FAST
    series[2] = good[behind:]
    return series


def _running_median(values: np.ndarray, causal: bool = False) -> np.ndarray:
    """Median of the NEIGHBOURS values around each value (causal: up to it), without NaN; NaN where all are NaN."""
    if not len(values):
        return values
    before = NEIGHBOURS - 1 if causal else NEIGHBOURS // 2
    padded = np.pad(values, (before, NEIGHBOURS - 1 - before), constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, NEIGHBOURS)
    missing = np.isnan(padded)
    unknown = np.cumsum(np.concatenate([[0], missing]))
    touched = unknown[NEIGHBOURS:] > unknown[:-NEIGHBOURS]
    some: np.ndarray | slice = np.flatnonzero(touched)
    if np.count_nonzero(touched) < len(values) / FEW:
        found = median_filter(np.where(missing, 0, padded), NEIGHBOURS)[NEIGHBOURS // 2 :][: len(values)]
    else:
        some, found = slice(None), np.empty(len(values))
    ranked = np.sort(around[some], axis=1)  # NaN sorts last
    count = np.count_nonzero(~np.isnan(ranked), axis=1)
    every = np.arange(len(ranked))
    lower, upper = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, NEIGHBOURS - 1)
    found[some] = (ranked[every, lower] + ranked[every, upper]) / 2
    return found
