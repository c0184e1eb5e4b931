"""Acceleration reduced to activity counts, against the published formula written out sample by sample."""

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

from sleepkd.cohorts.sensors.acceleration import AccelerationLayout, activity_counts, read_acceleration
from sleepkd.errors import UserError


def published(z: np.ndarray) -> list[float]:
    """The counts of te Lindert and Van Someren, in transfer functions and loops in place of sections and arrays."""
    filtered = filtfilt(*butter(5, [3 / 25, 11 / 25], "bandpass"), z)
    counts = []
    for epoch in range(len(z) // 750):
        total = 0
        for second in range(15):
            largest = max(abs(x) for x in filtered[750 * epoch + 50 * second :][:50])
            total += int(largest / (5 / 128)) + 1
        counts.append(max(0.0, (total - 18) * 3.07))
    return counts


def moving(seconds: int) -> np.ndarray:
    """At rest, but for ten seconds of 5 Hz from 20 s on."""
    t = np.arange(seconds * 50) / 50
    noise = np.random.default_rng(0).normal(0, 0.002, len(t))
    return 1 + noise + np.where((t >= 20) & (t < 30), 0.4 * np.sin(2 * np.pi * 5 * t), 0)


def test_counts_are_those_of_the_published_method():
    z = moving(75)
    np.testing.assert_allclose(activity_counts(z), published(z), atol=1e-9)
    assert activity_counts(z)[1] > 250 and not activity_counts(z)[[0, 3, 4]].any()
    assert len(activity_counts(z[:700])) == 0


def written(tmp_path, z, rate=50.0, first=-5.0, **settings):
    t = first + np.arange(len(z)) / rate
    rows = np.column_stack([t, 0 * z, 0 * z, z])[settings.pop("kept", slice(None))]
    path = tmp_path / "1_acceleration.txt"
    np.savetxt(path, rows, fmt="%.6f")
    layout = {"files": (), "format": "acceleration", "time": "1", "z": "4", "delimiter": " ", "has_header": False}
    return read_acceleration(path, AccelerationLayout(**layout | settings))


def test_a_table_of_the_published_layout(tmp_path):
    found = written(tmp_path, moving(91))
    np.testing.assert_allclose(found.samples, 2 * activity_counts(moving(90)), atol=13)  # a step of one bin
    assert (found.first_s, found.rate_hz) == (-5, 1 / 15)


def test_the_unit_and_the_rate_may_be_others(tmp_path):
    at_64 = np.interp(np.arange(90 * 64) / 64, np.arange(90 * 50) / 50, moving(90))
    found = written(tmp_path, 64 * at_64, rate=64.0, unit_g=1 / 64)
    assert found.samples[1] == pytest.approx(2 * activity_counts(moving(90))[1], rel=0.15)


def test_an_interruption_is_missing(tmp_path):
    kept = np.r_[0 : 20 * 50, 50 * 50 : 90 * 50]  # without 30 s from 20 s on
    found = written(tmp_path, moving(90), kept=kept)
    np.testing.assert_array_equal(np.isnan(found.samples), [False, True, True, False, False][: len(found.samples)])


def test_slow_acceleration_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"1_acceleration\.txt: holds 10 samples per second, the counts need 22\.5"):
        written(tmp_path, moving(90), rate=10.0)
