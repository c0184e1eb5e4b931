"""Runs of a mask: where it is true, and for how long."""

import numpy as np


def mask_runs(mask: np.ndarray) -> np.ndarray:
    """(runs, 2): the first sample, and that after the last, of each run of true values of a mask (samples,)."""
    return np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))).reshape(-1, 2)
