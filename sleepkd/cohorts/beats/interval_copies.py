"""Find RR intervals that are listed twice at shifted times, as of a strap that sends its beats live and from memory."""

from collections.abc import Sequence

import numpy as np

from sleepkd.errors import UserError

BLOCK_S, MOST_OF_A_BLOCK = 300.0, 1.3
"""Intervals that arrive within five minutes and last longer than this share of it overlap."""
FITS_S, NEAR_ROWS = 0.15, 6
COPIES = 0.9
"""Share of the overlapping intervals that must equal one near them to be its copies."""


def kept_intervals(intervals: np.ndarray, times: np.ndarray, lines: Sequence[int]) -> tuple[np.ndarray, str]:
    """Bool (rows,): which RR intervals, s, are no copies of others, and a note or "".

    times: the clock's, s, in order. Raises UserError for intervals that overlap and differ: of two people or sources.
    """
    all_kept = np.ones(len(intervals), dtype=bool)
    usable = np.isfinite(intervals) & np.isfinite(times)
    if not usable.any():
        return all_kept, ""
    block = ((times[usable] - times[usable][0]) // BLOCK_S).astype(np.int64)
    _, first, number = np.unique(block, return_index=True, return_inverse=True)
    lasting = np.bincount(number, intervals[usable])
    # Blocks that no interval reaches are a stall: what follows may hold what was recorded in them.
    silent = np.diff(block[first], prepend=block[first][0]) - 1
    full = lasting > MOST_OF_A_BLOCK * BLOCK_S * (1 + np.maximum(silent, 0)) + intervals[usable][first]
    if not full.any():
        return all_kept, ""
    line = lines[int(np.flatnonzero(usable)[first[np.argmax(full)]])]
    second = _second_stream(intervals, times)
    kept = all_kept & ~second
    near = np.searchsorted(np.flatnonzero(kept), np.flatnonzero(second))[:, None] + np.arange(-NEAR_ROWS, NEAR_ROWS)
    known = intervals[kept][near.clip(0, kept.sum() - 1)]
    equal = (np.abs(known - intervals[second][:, None]) < 1e-6).any(axis=1)
    if not second.any() or equal.mean() < COPIES:
        raise UserError(
            f"line {line}: its RR intervals last longer than its times allow, so two people or sources overlap"
        )
    return kept, f"{second.sum()} RR intervals are listed twice: the copies are left out"


def _second_stream(intervals: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Bool (rows,): intervals that do not begin where one of the first stream ends, but overlap it."""
    ends = [-np.inf, -np.inf]
    second = np.zeros(len(intervals), dtype=bool)
    for k, (interval, time) in enumerate(zip(intervals.tolist(), times.tolist(), strict=True)):
        if not (np.isfinite(interval) and np.isfinite(time)):
            continue
        gaps = [time - interval - end for end in ends]
        stream = int(gaps[0] < -FITS_S or (abs(gaps[1]) < FITS_S < gaps[0]))
        second[k] = bool(stream)
        ends[stream] = time
    return second
