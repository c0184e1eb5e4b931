"""Units of RR intervals, beat times and clocks, by their numbers."""

import numpy as np
import pytest

from sleepkd.cohorts.beats import time_units as units
from sleepkd.errors import UserError
from tests.cohorts.beats.given import BEATS, ENDS, MS, UNIX


def test_intervals() -> None:
    assert units.interval_unit(MS.astype(float)) == "ms" and units.interval_unit(MS / 1000) == "s"
    assert units.interval_unit(np.rint(MS * 0.25), rate_hz=250) == "samples"
    with pytest.raises(UserError, match=r"median of 15, which is not an RR interval in s or in ms; are they breaths"):
        units.interval_unit(np.full(9, 15.0))
    with pytest.raises(UserError, match=r"--fs 250: its RR intervals are in ms, not in samples; leave out --fs"):
        units.interval_unit(MS.astype(float), 250, "ms")
    assert units.median(units.without_fillers(np.array([0.0, 65535, 800, -1]))) == 800


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
@pytest.mark.parametrize("start", [0.0, float(UNIX)])
def test_clocks_beside_intervals_and_rates(unit: str, factor: float, start: float) -> None:
    assert units.clock_unit((start + ENDS) * factor, MS / 1000) == unit
    packets = np.ceil(ENDS / 6) * 6  # one time for several intervals
    assert units.clock_unit((start + packets) * factor, MS / 1000) == unit
    for step in (1, 5, 60, 300):
        assert units.rate_time_unit((start + np.arange(0, 7200, step)) * factor) == unit, step


def test_a_stated_unit_that_does_not_fit_is_not_taken() -> None:
    assert units.clock_unit(ENDS * 1000, MS / 1000, stated="s") == "ms"
    assert units.clock_unit(ENDS, MS / 1000, stated="s") == "s"
    assert units.clock_unit(45322.98 + ENDS / 86400, MS / 1000) == units.DAYS


def test_beat_times() -> None:
    assert units.beat_time_unit(BEATS) == "s" and units.beat_time_unit(BEATS * 1000) == "ms"
    assert units.beat_time_unit(np.rint(BEATS * 500), rate_hz=500) == "samples"
    for hz in (250, 500):  # 450 samples would be 133 beats per minute in ms
        with pytest.raises(UserError, match=r"or give --fs for sample numbers"):
            units.beat_time_unit(np.rint(BEATS * hz))
    with pytest.raises(UserError, match=r"--fs 250: its beat times are in s, not in samples"):
        units.beat_time_unit(BEATS, rate_hz=250)
