"""Files of real nights as they are published: heart rates of sleep_accel, and RR intervals of nsr2db."""

from pathlib import Path

import numpy as np
import pytest

from launch import REPOSITORY
from sleepkd.cohorts.beats import BEATS, beat_format
from sleepkd.cohorts.beats.beat_table import BeatTableLayout

DATA = REPOSITORY.parent / "shared" / "data"


def given(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    return path


def read(path: Path):
    assert beat_format(path) == "text"
    return BEATS["text"].read(path, BEATS["text"].layout((path.name,), "text"))


@pytest.mark.parametrize("night", ["1066528", "7749105", "8692923"])
def test_rates_of_a_watch_without_names(night: str) -> None:
    """1066528 lists each rate three times, 7749105 has long gaps; times begin below 0."""
    path = given(f"sleep_accel/heart_rate/{night}_heartrate.txt")
    recognised = read(path)
    layout = BeatTableLayout((path.name,), "table", has_header=False, values="rate", time="1", column="2")
    named = BEATS["table"].read(path, layout)
    assert recognised.cadence_s == named.cadence_s == 5
    assert named.times[0] < -1000
    np.testing.assert_allclose(recognised.times, named.times - named.times[0], atol=1e-6)
    assert named.start is None  # its zero is that of the labels


def test_the_first_line_of_nsr2db_is_the_time_of_the_first_beat() -> None:
    path = given("nsr2db/nsr001_rr_secs.txt.gz")
    found = read(path)
    assert np.diff(found.times)[0] == 0.6953125 and found.cadence_s == 0
    assert found.report.notes == ("the first number is the time of the first beat, 225.797 s",)
    assert 22 * 3600 < found.times[-1] < 24 * 3600
