"""The series of heartbeats against values computed by hand."""

import numpy as np
import pytest

from sleepkd.data.beats import (
    FAST,
    RELATIVE,
    SLOW_SECONDS,
    beat_quality,
    beat_series,
    median_interval,
    plausible_intervals,
)


def test_a_step_in_the_interval():
    """RR intervals of 1 s, then 0.9 s: the logarithm steps; the fast series is the step minus its running mean."""
    beats = np.concatenate([np.arange(0, 100.0), 99 + 0.9 * np.arange(1, 112)])
    slow, fast, quality = beat_series(beats, 1.0, 0.0, 4 * 199, 4.0)
    assert (quality[4:-8] == 1).all()
    np.testing.assert_allclose(slow[: 4 * 98], 0, atol=1e-5)
    np.testing.assert_allclose(slow[4 * 101 :], np.log(0.9) / RELATIVE, atol=1e-5)
    far = round(4 * SLOW_SECONDS)
    np.testing.assert_allclose(fast[: 4 * 99 - far], 0, atol=1e-5)
    assert fast[4 * 97] == pytest.approx(-(np.log(0.9) / 2) / FAST * (1 - 2 * 2.5 / SLOW_SECONDS), rel=0.1)


def test_a_segment_equals_that_part_of_a_night_with_missed_beats():
    rng = np.random.default_rng(0)
    beats = np.cumsum(rng.normal(0.9, 0.04, 4000))
    beats = np.delete(beats, [500, 501, 1700])
    median = median_interval(beats)
    whole = beat_series(beats, median, 0.0, 4 * 3000, 4.0)
    for start in (0, 300, 451, 1500, 2970):
        part = beat_series(beats, median, float(start), 120, 4.0)
        np.testing.assert_allclose(part, whole[:, 4 * start : 4 * start + 120], atol=1e-4)


def test_an_ectopic_beat_is_interpolated_and_marked():
    beats = np.arange(0, 60.0)
    ectopic = np.sort(np.append(np.delete(beats, 30), [29.5]))  # one too early, then a pause
    assert np.flatnonzero(~plausible_intervals(ectopic)).tolist() == [29, 30]
    slow, _, quality = beat_series(ectopic, 1.0, 0.0, 240, 4.0)
    np.testing.assert_allclose(slow[8:-8], 0, atol=1e-5)
    assert (quality[4 * 29 + 3 : 4 * 30 + 3] == 0).all() and quality[: 4 * 28].all() and quality[4 * 33 : -4].all()


def test_a_gap_is_marked_for_as_long_as_it_lasts():
    beats = np.concatenate([np.arange(0, 100.0), np.arange(160.0, 260.0)])
    quality = beat_series(beats, 1.0, 0.0, 4 * 259, 4.0)[2]
    assert not quality[4 * 99 + 1 : 4 * 160].any() and quality[4 : 4 * 99].all() and quality[4 * 160 : -4].all()
    np.testing.assert_allclose(
        beat_quality(beats, np.array([30.0, 90.0, 120.0, 150.0]), np.full(4, 30.0)), [1, 0.3, 0, 2 / 3], atol=1e-6
    )


@pytest.mark.parametrize("beats", [[], [3.0], [3.0, 9.0], [1.0, 1.1, 1.2]])
def test_no_plausible_interval_gives_zeros(beats):
    beats = np.array(beats)
    assert not beat_series(beats, 1.0, 0.0, 120, 4.0).any()
    assert not beat_quality(beats, np.array([0.0]), np.array([30.0])).any()
    assert np.isnan(median_interval(beats))
