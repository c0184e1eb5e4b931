"""Check arrays that a program hands over: samples of a signal, sampling rate, times of heartbeats."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.signals.signal_file import fill_missing
from sleepkd.errors import UserError
from sleepkd.prediction.recorded import LONGEST_SECONDS, too_long

MISSING_SECONDS = 1.0
"""A stretch of NaN so long is a gap; a shorter one is a straight line."""
RATES_HZ = (0.1, 1e6)
INTERVALS_S, INTERVALS_MS = (0.3, 2.5), (300, 2500)
"""Numbers whose median is in this range may be RR intervals."""
UP_AND_DOWN, NARROW = 0.2, 0.4
"""RR intervals rise and fall, each in a larger share of their steps, and have a smaller interquartile range, in parts
of their median."""


class GivenSamples(NamedTuple):
    """A signal (samples,) float64 without NaN, and the gaps where it was NaN, (start, end), s."""

    samples: np.ndarray
    gaps: tuple[tuple[float, float], ...]


def checked_rate(fs: float | None, name: str = "fs") -> float:
    """Samples per second as a float. Raises UserError for what is no such number."""
    try:
        rate = float(fs)  # type: ignore[arg-type]  # None raises TypeError
    except (TypeError, ValueError):
        raise UserError(f"{name}: must be a number of samples per second, not {fs!r:.40}") from None
    if isinstance(fs, bool) or not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise UserError(f"{name}: must be samples per second, {RATES_HZ[0]:g} to {RATES_HZ[1]:g}, not {fs!r:.40}")
    return rate


def numbers_of(values: np.ndarray | Sequence[float], what: str) -> np.ndarray:
    """Numbers (n,) float64 of an array or list. Raises UserError for another shape, and for what is no real number.

    Arrays (n, 1) and (1, n) are taken as (n,). what: their name in messages.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        raise UserError(f"{what}: must have the shape (n,): rows differ in their length") from None
    if array.ndim == 2 and 1 in array.shape:
        array = array.ravel()
    if array.ndim != 1:
        lead = "; take one lead, as in signal[:, 0]" if array.ndim == 2 and what.endswith("signal") else ""
        raise UserError(f"{what}: must have the shape (n,), not {array.shape}{lead}")
    if array.dtype.kind not in "iuf":
        try:
            if array.dtype.kind != "O" or any(isinstance(value, (str, bytes, bool, complex)) for value in array):
                raise ValueError
            array = array.astype(np.float64)  # None is NaN
        except (TypeError, ValueError):
            if not array.size:
                return np.zeros(0)
            raise UserError(f"{what}: must be real numbers, not of dtype {array.dtype}") from None
    return array.astype(np.float64)


def checked_samples(signal: np.ndarray | Sequence[float], rate_hz: float, what: str = "the signal") -> GivenSamples:
    """Samples of a signal; NaN and infinite values are missing. Raises UserError if all are, or for another shape."""
    samples = numbers_of(signal, what)
    if not len(samples):
        raise UserError(f"{what}: holds no samples")
    missing = ~np.isfinite(samples)
    if missing.all():
        raise UserError(f"{what}: has no value: all samples are NaN or infinite")
    if not missing.any():
        return GivenSamples(samples, ())
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8))).reshape(-1, 2)
    gaps = tuple((float(a / rate_hz), float(b / rate_hz)) for a, b in edges if b - a >= MISSING_SECONDS * rate_hz)
    samples = samples.copy()
    fill_missing(samples)
    return GivenSamples(samples, gaps)


def checked_beats(times: np.ndarray | Sequence[float], what: str = "the beats") -> np.ndarray:
    """Times of heartbeats (beats,), s, in order, each once.

    Raises UserError for another shape, NaN, times before 0, or after 14 days, and for RR intervals or milliseconds.
    """
    beats = numbers_of(times, what)
    if not np.isfinite(beats).all():
        raise UserError(f"{what}: {np.count_nonzero(~np.isfinite(beats))} times are NaN or infinite; leave them out")
    if len(beats) and beats.min() < 0:
        raise UserError(f"{what}: the first is at {beats.min():g} s, before the start of the recording")
    if len(beats) > 100:
        middle, span, steps = float(np.median(beats)), float(np.ptp(beats)), np.diff(beats)
        shares = (steps > 0).mean(), (steps < 0).mean()
        crowded = min(shares) > UP_AND_DOWN and np.subtract(*np.percentile(beats, (75, 25))) < NARROW * middle
        if crowded and _within(middle, INTERVALS_S):
            raise UserError(f"{what}: are RR intervals in s (median {middle:g}); give times, numpy.cumsum of them")
        if crowded and _within(middle, INTERVALS_MS):
            raise UserError(f"{what}: are RR intervals in ms (median {middle:g}); give times in s, numpy.cumsum / 1000")
        step = float(np.median(np.diff(np.unique(beats)))) if span else 0.0
        if _within(step, INTERVALS_MS):
            raise UserError(f"{what}: are {step:g} s apart (median); are they in ms? give s from the start")
    if len(beats) and beats.max() > LONGEST_SECONDS:
        raise UserError(f"{what}: {too_long(float(beats.max()))}")
    return np.unique(beats)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]
