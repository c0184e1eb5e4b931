"""Plausible RR intervals, and the series that a network reads."""

import numpy as np
import pytest

from sleepkd.data.beats import FAST, RELATIVE, beat_quality, beat_series, median_interval, plausible_intervals


def beats(seconds: float = 600, seed: int = 0) -> np.ndarray:
    """About one heartbeat a second, with respiration of 4 s and a slow wave of two minutes."""
    rng, t, out = np.random.default_rng(seed), 0.4, []
    while t < seconds:
        out.append(t)
        t += 1 + 0.04 * np.sin(2 * np.pi * t / 4) + 0.05 * np.sin(2 * np.pi * t / 120) + rng.normal(scale=0.01)
    return np.array(out)


def test_a_steady_rhythm_is_plausible():
    assert plausible_intervals(beats()).all()
    assert median_interval(beats()) == pytest.approx(1.0, abs=0.02)


def test_an_ectopic_beat_a_missed_beat_and_a_gap_are_not_plausible():
    x = beats()
    x[100] -= 0.4  # early: the interval before is short, the one after long
    x = np.delete(x, [200, *range(300, 320)])
    wrong = set(np.flatnonzero(~plausible_intervals(x)).tolist())
    assert wrong == {99, 100, 199, 298}


@pytest.mark.parametrize("interval", [0.25, 2.5])
def test_rates_outside_30_to_200_per_minute_are_not_plausible(interval):
    x = np.arange(0, 100, interval)
    assert not plausible_intervals(x).any()
    assert np.isnan(median_interval(x))


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_beats(n):
    x = np.arange(n) + 0.5
    assert len(plausible_intervals(x)) == max(0, n - 1)
    assert np.isnan(median_interval(x)) == (n < 2)
    assert beat_quality(x, np.array([0.0]), np.array([4.0])).tolist() == [max(0, n - 1) / 4]
    series = beat_series(x, 1.0, 0.0, 16, 4.0)
    assert series.shape == (3, 16) and series.dtype == np.float32
    assert series[2].sum() == 4 * max(0, n - 1)


def test_quality_is_the_share_of_a_sleep_epoch_between_plausible_beats():
    x = np.arange(0, 301.0)
    x = x[(x <= 120) | (x >= 135)]
    onsets = np.arange(0, 330, 30.0)
    expected = [1, 1, 1, 1, 0.5, 1, 1, 1, 1, 1, 0]
    np.testing.assert_allclose(beat_quality(x, onsets, np.full(11, 30.0)), expected, atol=1e-6)


def test_the_series_is_the_interval_relative_to_the_median_of_the_night():
    steady = np.arange(0, 600, 1.1)
    relative, fast, quality = beat_series(steady, 1.0, 100.0, 400, 4.0)
    np.testing.assert_allclose(relative, np.log(1.1) / RELATIVE, rtol=1e-5)
    np.testing.assert_allclose(fast, 0, atol=1e-5)
    assert quality.all()


def test_the_fast_series_keeps_respiration_and_not_the_slow_wave():
    x = beats()
    relative, fast, _ = beat_series(x, median_interval(x), 100.0, 1600, 4.0)
    spectrum = np.abs(np.fft.rfft(np.stack([relative * RELATIVE, fast * FAST]), axis=1))
    slow, breath = round(400 / 120), 400 // 4
    assert spectrum[1, breath] == pytest.approx(spectrum[0, breath], rel=0.1)
    assert spectrum[1, slow - 1 : slow + 2].max() < 0.15 * spectrum[0, slow - 1 : slow + 2].max()


def test_implausible_intervals_are_interpolated_and_marked():
    x = np.arange(0, 600.0)
    x[300] -= 0.4
    relative, fast, quality = beat_series(x, 1.0, 200.0, 800, 4.0)
    np.testing.assert_allclose(relative, 0, atol=1e-5)
    np.testing.assert_allclose(fast, 0, atol=1e-5)
    marked = 200 + np.flatnonzero(quality == 0) / 4
    assert (marked.min(), marked.max()) == (299.0, 300.75)


@pytest.mark.parametrize("start_s", [0.0, 33.25, 470.0, 560.0])
def test_a_segment_equals_that_part_of_the_whole_night(start_s):
    x = beats()
    x[250] -= 0.4
    x = np.delete(x, [40, 500])
    median = median_interval(x)
    whole = beat_series(x, median, 0.0, 2400, 4.0)
    k = round(4 * start_s)
    np.testing.assert_allclose(beat_series(x, median, start_s, 160, 4.0), whole[:, k : k + 160], atol=1e-4)


def test_a_segment_without_heartbeats_is_zero():
    assert not beat_series(np.zeros(0), float("nan"), 0.0, 40, 4.0).any()
    assert not beat_series(beats(), 1.0, 5000.0, 40, 4.0)[2].any()
