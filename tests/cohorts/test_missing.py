"""Missing samples of a sensor: impossible values, a sensor that was off, and what becomes of them when stored."""

import numpy as np
import pytest

from sleepkd.cohorts.condition import band_limited, conditioned, counts_at_rate, stored_signal
from sleepkd.cohorts.missing import at_rate, lasting, missing_samples
from sleepkd.cohorts.signals import DerivedSignal
from sleepkd.data.recording_info import MISSING
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError

THORAX, SPO2, TEMPERATURE = (SIGNAL_KINDS[name] for name in ("thorax", "spo2", "temperature"))


def signal(samples, rate_hz, unit="arbitrary", **more) -> DerivedSignal:
    return DerivedSignal(np.asarray(samples, dtype=float), rate_hz, "channel", unit, **more)


def test_impossible_values_and_those_that_the_file_lacks_are_missing():
    file_lacks = np.array([False, True, False, False, False])
    found = missing_samples(signal([97, 96, 0, 127, np.nan], 1.0, "%", missing=file_lacks), SPO2)
    np.testing.assert_array_equal(found, [False, True, True, True, True])


def test_a_sensor_that_was_off_is_missing_and_an_apnea_is_not():
    t = np.arange(0, 600, 0.1)
    belt = np.sin(2 * np.pi * t / 4)
    belt[1000:1600] = belt[1000]  # a minute
    belt[3000:4500] = 0.3  # two and a half
    found = missing_samples(signal(belt, 10.0), THORAX)
    assert (found[3000:4500].all(), found.sum()) == (True, 1500)


def test_short_gaps_become_lines_and_long_ones_stay():
    missing = np.zeros(100, dtype=bool)
    missing[10:14] = missing[50:60] = True
    np.testing.assert_array_equal(np.flatnonzero(lasting(missing, 10.0)), np.arange(50, 60))
    np.testing.assert_array_equal(np.flatnonzero(at_rate(lasting(missing, 10.0), 10.0, 5.0, 50)), np.arange(25, 30))


def test_a_belt_is_stored_in_its_band_with_its_gap():
    t = np.arange(0, 1200, 0.02)
    breath = np.sin(2 * np.pi * 0.25 * t)
    drift, mains = 5 * np.sin(2 * np.pi * t / 600), np.sin(2 * np.pi * 12 * t)
    given = breath + drift + mains
    given[15000:25000] = np.nan  # 200 s from 300 s
    stored, info = stored_signal(signal(given, 50.0), THORAX, 10.0, (0.0, 1200.0), (), 1, "x")
    assert (info.rate_hz, info.recorded_hz, info.samples) == (10.0, 50.0, 12000)
    assert info.missing_s == pytest.approx(200, abs=0.2)
    assert (stored[3001:4999] == MISSING).all()
    inner = slice(6000, 11000)  # clear of ends and gap
    np.testing.assert_allclose(stored[inner] * info.scale + info.offset, breath[::5][inner], atol=0.06)
    assert info.iqr == pytest.approx(np.sqrt(2), rel=0.02)  # of a sine, without the gap
    assert info.scored_iqr == pytest.approx(info.iqr, rel=0.01)


def test_spo2_of_one_value_most_of_the_night_is_stored():
    stored, info = stored_signal(signal([97] * 100 + [95] * 10 + [0] * 10, 1.0, "%"), SPO2, 1.0, None, (), 1, "x")
    assert info.iqr == 0 and info.missing_s == 10
    assert stored[0] * info.scale + info.offset == pytest.approx(97, abs=0.01)
    with pytest.raises(UserError, match="x: channel is flat"):
        stored_signal(signal([97.0] * 100, 1.0, "%"), SPO2, 1.0, None, (), 1, "x")
    with pytest.raises(UserError, match=r"x: channel has no value from 20 to 45 degC"):
        stored_signal(signal([0.0] * 100, 1.0, "degC"), TEMPERATURE, 0.2, None, (), 1, "x")


def test_a_limit_beyond_the_rate_does_not_apply():
    slow = np.sin(2 * np.pi * 0.2 * np.arange(0, 300, 0.25))
    np.testing.assert_allclose(band_limited(slow, 4.0, THORAX)[200:-200], slow[200:-200], atol=0.03)


def test_counts_at_another_rate_are_means_over_time():
    counts = np.array([6.0, np.nan, 12.0])  # of 30 s
    np.testing.assert_array_equal(counts_at_rate(counts, 1 / 30, 0.2)[[0, 5, 12, 17]], [6, 6, 12, 12])
    assert np.isnan(counts_at_rate(counts, 1 / 30, 0.2)[6:12]).all()
    # From 10 s on, for 60 s, in 20 s: [none and 6, 6, missing]
    shifted = counts_at_rate(counts, 1 / 30, 1 / 20, first_s=10.0, seconds=60.0)
    np.testing.assert_array_equal(shifted, [6, 6, np.nan])
    assert counts_at_rate(np.array([2.0, 4.0]), 1.0, 0.5)[0] == 3


def test_counts_without_any_are_refused():
    with pytest.raises(UserError, match="channel has no value"):
        conditioned(signal([np.nan, np.nan], 1.0), SIGNAL_KINDS["motion"], 0.2, "x")
