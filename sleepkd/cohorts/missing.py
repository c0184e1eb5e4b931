"""Missing samples of a sensor: without a value, of an impossible one, or unchanging because it was off."""

import numpy as np

from sleepkd.cohorts.signals.derivation import DerivedSignal
from sleepkd.data.signal_kinds import SignalKind

SHORTEST_S = 1.0
"""Missing samples that last less are replaced by a straight line."""
UNCHANGING = 1e-9
"""Samples differ if they do by a larger share of the largest one."""


def missing_samples(signal: DerivedSignal, kind: SignalKind) -> np.ndarray:
    """Where a signal is missing, bool (samples,): as its file tells, outside `kind.valid`, or flat for too long.

    The valid range holds for signals in the unit of the kind, and for those without a unit.
    """
    samples, rate_hz = signal.samples, signal.rate_hz
    missing = ~np.isfinite(samples)
    if signal.missing is not None:
        missing |= signal.missing
    if kind.valid is not None:
        low, high = kind.valid
        missing |= ~((samples >= low) & (samples <= high))
    if kind.flat_seconds is not None and len(samples) > 1:
        step = UNCHANGING * max(1e-12, float(np.abs(samples[np.isfinite(samples)]).max(initial=0)))
        for first, last in runs(np.abs(np.diff(samples)) <= step):
            if last - first >= kind.flat_seconds * rate_hz:
                missing[first : last + 1] = True
    return missing


def lasting(missing: np.ndarray, rate_hz: float) -> np.ndarray:
    """Of missing samples, bool (samples,), those of runs of `SHORTEST_S` or more."""
    long = np.zeros(len(missing), dtype=bool)
    for first, last in runs(missing):
        long[first:last] = last - first >= SHORTEST_S * rate_hz
    return long


def at_rate(missing: np.ndarray, rate_hz: float, target_hz: float, samples: int) -> np.ndarray:
    """Missing samples at another rate, bool (samples,): each is what the nearest one was."""
    nearest = np.rint(np.arange(samples) * (rate_hz / target_hz)).astype(np.int64)
    return missing[nearest.clip(0, len(missing) - 1)]


def runs(mask: np.ndarray) -> np.ndarray:
    """(runs, 2): the first sample, and that after the last, of each run of a mask (samples,)."""
    return np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))).reshape(-1, 2)
