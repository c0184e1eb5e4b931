"""The hypnogram in short, as a row of the table of nights holds it."""

import numpy as np

from sleepkd.prediction.many.night_rows import run_lengths


def test_run_lengths_of_a_hypnogram() -> None:
    stages = np.array([0, 0, 1, -1, -1, -1, 3, 0], dtype=np.int8)
    assert run_lengths(stages, ("W", "light", "deep", "REM")) == "W 2, light 1, ? 3, REM 1, W 1"
    assert run_lengths(stages[:0], ("W",)) == ""
