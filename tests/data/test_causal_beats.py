"""The causal series of heartbeats: values computed by hand, and no dependence on the future."""

import numpy as np
import pytest

from sleepkd.data.beats import (
    FAST,
    RELATIVE,
    SLOW_SECONDS,
    TYPICAL_RR_S,
    beat_series,
    causal_beat_series,
    plausible_intervals,
)
from tests.data.test_beats import beats

RATE = 4.0


def test_a_steady_rhythm() -> None:
    relative, fast, quality = causal_beat_series(np.arange(0, 600, 1.1), 100.0, 400, RATE)
    np.testing.assert_allclose(relative, np.log(1.1 / TYPICAL_RR_S) / RELATIVE, rtol=1e-5)
    np.testing.assert_allclose(fast, 0, atol=1e-5)
    assert quality.all()


def test_an_interval_counts_from_its_end_until_the_next_one_ends() -> None:
    times = np.concatenate([np.arange(0, 101.0), 101.1 + np.arange(0, 50.0)])  # one interval of 1.1 s, from 100 on
    relative, fast, quality = causal_beat_series(times, 0.0, 4 * 140, RATE)
    t = np.arange(4 * 140) / RATE
    longer = (t >= 101.1) & (t < 102.1)
    known = t >= 1  # the first interval ends there
    np.testing.assert_allclose(relative[longer], np.log(1.1 / TYPICAL_RR_S) / RELATIVE, rtol=1e-5)
    np.testing.assert_allclose(relative[~longer & known], np.log(1 / TYPICAL_RR_S) / RELATIVE, rtol=1e-5)
    assert not relative[~known].any() and not quality[~known].any() and quality[known].all()
    lags = np.arange(round(SLOW_SECONDS * RATE) + 1)
    k = 4 * 110  # of its last 25 s, four samples hold the longer interval
    mean = np.mean(np.where(longer[k - lags], np.log(1.1 / TYPICAL_RR_S), np.log(1 / TYPICAL_RR_S)))
    assert fast[k] == pytest.approx((np.log(1 / TYPICAL_RR_S) - mean) / FAST, rel=1e-4)


def test_an_overdue_beat_ends_the_quality_and_the_last_interval_is_held_for_25_s() -> None:
    times = np.concatenate([np.arange(0, 101.0), np.arange(160.0, 200.0)])
    relative, _, quality = causal_beat_series(times, 0.0, 4 * 199, RATE)
    t = np.arange(4 * 199) / RATE
    assert quality[(t >= 1) & (t <= 102)].all() and not quality[(t > 102) & (t < 161)].any()
    assert relative[(t >= 1) & (t <= 125)].all() and not relative[(t > 125) & (t < 161)].any()
    assert quality[t >= 161].all()


def test_an_early_beat_is_not_plausible() -> None:
    times = np.arange(0, 200.0)
    times[100] -= 0.4
    assert set(np.flatnonzero(~plausible_intervals(times, causal=True))) == {99, 100}
    relative, _, quality = causal_beat_series(times, 50.0, 4 * 100, RATE)
    t = 50 + np.arange(400) / RATE
    np.testing.assert_allclose(relative, np.log(1 / TYPICAL_RR_S) / RELATIVE, rtol=1e-5)
    assert np.array_equal(quality == 0, (t >= 99.6) & (t < 102))


@pytest.mark.parametrize("moment", [120.0, 200.3, 333.9])
def test_the_series_does_not_depend_on_the_future(moment: float) -> None:
    x = beats()
    x = np.delete(x, [100, 200, *range(300, 320)])
    rng = np.random.default_rng(5)
    other = np.concatenate([x[x <= moment], moment + np.cumsum(rng.uniform(0.4, 1.6, 300))])
    samples = round(500 * RATE)
    before = np.arange(samples) / RATE <= moment
    one, two = (causal_beat_series(times, 0.0, samples, RATE) for times in (x, other))
    np.testing.assert_array_equal(one[:, before], two[:, before])
    assert (one[:, ~before] != two[:, ~before]).any()
    assert (beat_series(x, 1.0, 0.0, samples, RATE) != beat_series(other, 1.0, 0.0, samples, RATE))[:, before].any()


@pytest.mark.parametrize("start", [0, 30, 90, 301, 450])
def test_a_segment_equals_that_part_of_the_whole_night(start: int) -> None:
    x = np.delete(beats(), [100, 200, *range(300, 340)])
    whole = causal_beat_series(x, 0.0, 2400, RATE)
    part = causal_beat_series(x, float(start), 400, RATE)
    np.testing.assert_allclose(part, whole[:, 4 * start : 4 * start + 400], atol=1e-5)


@pytest.mark.parametrize("times", [[], [3.0], [3.0, 9.0], [1.0, 1.1, 1.2]])
def test_no_plausible_interval_gives_zeros(times: list[float]) -> None:
    assert not causal_beat_series(np.array(times), 0.0, 120, RATE).any()
