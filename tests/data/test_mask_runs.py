"""Runs of a mask, at its ends too."""

import numpy as np

from sleepkd.data.mask_runs import mask_runs


def test_runs() -> None:
    mask = np.array([1, 1, 0, 0, 1, 0, 1, 1, 1], dtype=bool)
    assert mask_runs(mask).tolist() == [[0, 2], [4, 5], [6, 9]]
    assert mask_runs(~mask).tolist() == [[2, 4], [5, 6]]
    for size in (0, 3):
        assert mask_runs(np.zeros(size, dtype=bool)).shape == (0, 2)
    assert mask_runs(np.ones(3, dtype=bool)).tolist() == [[0, 3]]
