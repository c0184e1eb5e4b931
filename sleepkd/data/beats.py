"""Heart beats as a signal: which intervals between R peaks to believe, and the series that a network sees.

Pure functions of beat times (beats,) float64, seconds from the first sample, in time order. Nothing here looks at a
label, so that a new night gets exactly what training nights got. An interval between two beats is believed where a
heart can have made it (`SHORTEST_S` to `LONGEST_S`) and where it lies within `ECTOPIC` of the median of its neighbours;
the others (ectopic beats, missed beats, gaps) are interpolated and marked.
"""

import numpy as np

SHORTEST_S, LONGEST_S = 0.3, 2.0
"""30 to 200 beats per minute."""
ECTOPIC = 0.2
"""How far an interval may lie from the median of its neighbours, in parts of it: 20 %, as heart rate variability is
usually cleaned (Task Force of the ESC and NASPE 1996, Circulation 93:1043-1065, leaves the filter open)."""
NEIGHBOURS = 11
SLOW_SECONDS = 25.0
"""What is slower than this is no part of the fast series: respiration and low-frequency waves (above 0.04 Hz) are."""
RELATIVE, FAST = 0.1, 0.05
"""Units of the two series, in log interval: 10 % and 5 %, so that both are of the order of 1."""
CHANNELS = 3
USUAL_S = 0.9
"""An interval in sleep as good as any, for a series that may not wait for the night's median."""


def plausible_intervals(beats: np.ndarray, causal: bool = False) -> np.ndarray:
    """(beats - 1,) bool: which of the intervals between successive beats to believe.

    causal: by the intervals before it and its own, in place of those around it.
    """
    intervals = np.diff(beats)
    possible = (intervals >= SHORTEST_S) & (intervals <= LONGEST_S)
    usual = _running_median(np.where(possible, intervals, np.nan), causal)
    return possible & (np.abs(intervals - usual) <= ECTOPIC * usual)


def median_interval(beats: np.ndarray) -> float:
    """The median of the plausible intervals, s; NaN where there is none."""
    chosen = np.diff(beats)[plausible_intervals(beats)]
    return float(np.median(chosen)) if len(chosen) else float("nan")


def beat_quality(beats: np.ndarray, onset_s: np.ndarray, duration_s: np.ndarray, causal: bool = False) -> np.ndarray:
    """(N,) float32: which share of each stretch of time lies within a plausible interval between beats.

    causal: by the beats until the end of each stretch alone; sequences may not overlap.
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


def _quality(beats: np.ndarray, believed: np.ndarray, onset_s: np.ndarray, duration_s: np.ndarray) -> np.ndarray:
    covered = np.concatenate([[0.0], np.cumsum(np.diff(beats) * believed)]) if len(beats) else [0.0]

    def until(t: np.ndarray) -> np.ndarray:
        return np.interp(t, beats, covered) if len(beats) else np.zeros_like(t)

    share = (until(onset_s + duration_s) - until(onset_s)) / duration_s
    return np.asarray(share, dtype=np.float32)


def beat_series(beats: np.ndarray, median_s: float, start_s: float, samples: int, rate_hz: float) -> np.ndarray:
    """Three channels on a regular grid, float32 (3, samples); sample k lies at start_s + k / rate_hz seconds.

    The logarithm of the interval relative to the night's median interval (`median_s`), in units of `RELATIVE`; its fast
    part, that is without its mean over `SLOW_SECONDS`, in units of `FAST`; and quality, 1 within a plausible interval
    and 0 elsewhere. All 0 where the stretch and its surroundings hold no plausible interval.
    """
    series = np.zeros((CHANNELS, samples), dtype=np.float32)
    half = round(SLOW_SECONDS / 2 * rate_hz)
    t = start_s + np.arange(-half, samples + half) / rate_hz
    # Beyond both ends as far as the mean reaches, and the neighbours of the last interval: as for a whole night.
    near = slice(*(np.searchsorted(beats, (t[0], t[-1])) + np.array([-NEIGHBOURS, NEIGHBOURS])).clip(0, len(beats)))
    beats = np.asarray(beats[near])
    believed = plausible_intervals(beats)
    if not believed.any():
        return series
    intervals, middles = np.diff(beats)[believed], (beats[:-1] + beats[1:])[believed] / 2
    relative = np.interp(t, middles, np.log(intervals / median_s))
    mean = np.convolve(relative, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")
    inside = slice(half, half + samples)
    series[0] = relative[inside] / RELATIVE
    series[1] = (relative[inside] - mean) / FAST
    interval_of = np.searchsorted(beats, t[inside], side="right") - 1
    within = (interval_of >= 0) & (interval_of < len(believed))
    series[2, within] = believed[interval_of[within]]
    return series


def causal_beat_series(beats: np.ndarray, start_s: float, samples: int, rate_hz: float) -> np.ndarray:
    """The three channels of `beat_series` (3, samples), where a sample knows only the beats up to its own time.

    The last believed interval is held until the next one ends, at most `SLOW_SECONDS`, and is relative to `USUAL_S`,
    not to a median that a night has only at its end; the fast part is without the mean over the `SLOW_SECONDS` before;
    quality is 1 where the last interval is believed and no beat is overdue. All 0 where none is held.
    """
    series = np.zeros((CHANNELS, samples), dtype=np.float32)
    behind = round(SLOW_SECONDS * rate_hz)
    t = start_s + np.arange(-behind, samples) / rate_hz
    first, last = np.searchsorted(beats, (t[0] - SLOW_SECONDS, t[-1]))
    beats = np.asarray(beats[max(0, first - NEIGHBOURS - 1) : last + 1])
    believed = plausible_intervals(beats, causal=True)
    if not believed.any():
        return series
    numbers = np.flatnonzero(believed)
    ends, logs = beats[numbers + 1], np.log(np.diff(beats)[numbers] / USUAL_S)
    held = np.searchsorted(ends, t, side="right") - 1
    known = (held >= 0) & (t - ends[held] <= SLOW_SECONDS)
    relative = np.where(known, logs[held], 0.0)
    total, count = (np.convolve(x, np.ones(behind + 1), mode="valid") for x in (relative, known.astype(float)))
    newest = np.searchsorted(beats, t, side="right") - 1  # the last beat so far ends the last interval so far
    good = known & (numbers[held] + 1 == newest) & (t - ends[held] <= LONGEST_S)
    series[0] = relative[behind:] / RELATIVE
    series[1] = np.where(known[behind:], relative[behind:] - total / np.maximum(count, 1), 0) / FAST
    series[2] = good[behind:]
    return series


def _running_median(values: np.ndarray, causal: bool = False) -> np.ndarray:
    """Median of each value's NEIGHBOURS around it (causal: up to it), NaN left out; NaN where all are."""
    if not len(values):
        return values
    half = NEIGHBOURS // 2
    pad = (NEIGHBOURS - 1, 0) if causal else half
    around = np.lib.stride_tricks.sliding_window_view(np.pad(values, pad, constant_values=np.nan), NEIGHBOURS)
    ranked = np.sort(around, axis=1)  # NaN sorts last
    count = np.count_nonzero(~np.isnan(ranked), axis=1)
    rows = np.arange(len(values))
    lower, upper = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, NEIGHBOURS - 1)
    return (ranked[rows, lower] + ranked[rows, upper]) / 2
