"""Exact quantiles of long signals, in less than half of the time of `np.quantile`."""

from collections.abc import Sequence

import numpy as np

SAMPLED = 20_000
"""Values of a signal that tell where its quantiles are, about."""
MARGIN = 4.0
"""Standard errors of a sampled quantile within which the exact one is looked for."""
BLOCK_SAMPLES = 1 << 15
"""Looked at at once: they stay in the cache of a core."""


def quantiles(samples: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """The quantiles (shares,) of a signal (samples,) without NaN, as `np.quantile` defines them.

    A quantile of every nth sample bounds that of all of them. Only the values between these bounds are partly sorted.
    """
    count = len(samples)
    if count <= 10 * SAMPLED:
        return np.quantile(samples, shares)
    some = np.sort(samples[:: count // SAMPLED])
    bounds = [_bounds(some, share) for share in shares]
    below = np.zeros(len(bounds), dtype=int)
    near: list[list[np.ndarray]] = [[] for _ in bounds]
    for first in range(0, count, BLOCK_SAMPLES):
        block = samples[first : first + BLOCK_SAMPLES]
        for number, (low, high) in enumerate(bounds):
            is_above = block >= low
            below[number] += len(block) - np.count_nonzero(is_above)
            near[number].append(block[is_above & (block <= high)])
    values = [np.concatenate(blocks) for blocks in near]
    exact = [_between(*each, count) for each in zip(values, below.tolist(), shares, strict=True)]
    # Beyond the bounds, by chance or at an end, a quantile is not found.
    return np.array([np.quantile(samples, share) if x is None else x for x, share in zip(exact, shares, strict=True)])


def _bounds(some: np.ndarray, share: float) -> tuple[float, float]:
    """What lies below and above a quantile. some: (values,) of the samples, sorted."""
    reach = int(MARGIN * np.sqrt(len(some) * share * (1 - share))) + 2
    middle = int(share * (len(some) - 1))
    return some[max(0, middle - reach)], some[min(len(some) - 1, middle + reach)]


def _between(near: np.ndarray, below: int, share: float, count: int) -> float | None:
    """A quantile of `count` samples, of which `below` are lower than those near it (values,); None: it is not there."""
    position = share * (count - 1)
    at = int(position) - below
    if not 0 <= at < len(near) - 1:
        return None
    lower, upper = np.partition(near, (at, at + 1))[at : at + 2]
    return float(lower + (position - int(position)) * (upper - lower))
