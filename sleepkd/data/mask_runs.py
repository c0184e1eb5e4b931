"""Runs of a mask: where it is true, and for how long."""

import numpy as np


def mask_runs(mask: np.ndarray) -> np.ndarray:
    """(runs, 2): the first sample, and that after the last, of each run of true values of a mask (samples,)."""
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    begins, ends = np.flatnonzero(mask[:1]), len(mask) + np.flatnonzero(mask[-1:])
    return np.concatenate([begins, edges, ends]).reshape(-1, 2)
