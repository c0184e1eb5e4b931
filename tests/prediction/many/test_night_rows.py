"""Rows of staged nights: the hypnogram in short, and sleep epochs with the values of hypnogram.csv."""

import csv
import io

import numpy as np

from sleepkd.prediction.hypnogram_files import hypnogram_csv
from sleepkd.prediction.many.night_rows import epochs_of, run_lengths
from tests.prediction.nights import night_of


def test_run_lengths_of_a_hypnogram() -> None:
    stages = np.array([0, 0, 1, -1, -1, -1, 3, 0], dtype=np.int8)
    assert run_lengths(stages, ("W", "light", "deep", "REM")) == "W 2, light 1, ? 3, REM 1, W 1"
    assert run_lengths(stages[:0], ("W",)) == ""


def test_sleep_epochs_behind_a_gap_have_the_values_of_hypnogram_csv() -> None:
    night = night_of("WWL--?RD")
    found = epochs_of("n", 2, night)
    rows = list(csv.DictReader(io.StringIO(hypnogram_csv(night.staged, night.beats, night.lost))))
    assert [row["stage"] for row in rows] == found["stage"] and len(rows) == 6
    for name in ("onset", "duration", "p_W", "p_REM", "quality", "beats", "flat", "clipped"):
        assert [float(row[name]) for row in rows] == found[name], name
    assert found["flat"] == [0.0, 0.01, 0.02, 0.05, 0.06, 0.07]  # the share of a sleep epoch is its place in hundredths
    assert found["recording"] == ["n"] * 6 and found["night"] == [2] * 6
