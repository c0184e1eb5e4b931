"""Averaged heart rate: what a device stores of known heartbeats, and the heartbeats that are read from it."""

import dataclasses

import numpy as np
import pytest

from sleepkd.data.averaged_rate import (
    DEVICES,
    RateDevice,
    averaged_beats,
    averaged_rate,
    beats_of_rate,
    draw_device,
)
from sleepkd.errors import UserError

SECONDS = np.arange(0.0, 601.0)
"""A beat every second: 60 per minute."""
STEP = np.concatenate([np.arange(0, 300, 1.0), np.arange(300, 601, 0.75)])
"""60 beats per minute until 300 s, 80 from there on."""
REAL = RateDevice(window_s=10, cadence_s=5, rounding=0)


@pytest.mark.parametrize("device", [REAL, RateDevice(0.5, 1, 0), RateDevice(60, 60), RateDevice(3, 7.3, 0, 2)])
def test_a_constant_rate_stays_constant(device: RateDevice) -> None:
    times, per_minute = averaged_rate(SECONDS, device)
    np.testing.assert_allclose(per_minute, 60)
    np.testing.assert_allclose(times, np.arange(0 if not device.lag_s else device.cadence_s, 601, device.cadence_s))
    np.testing.assert_allclose(np.diff(averaged_beats(SECONDS, device)), 1)


def test_a_step_is_averaged_over_the_window() -> None:
    times, per_minute = averaged_rate(STEP, REAL)
    around = dict(zip(times, per_minute, strict=True))
    # 290 to 300 s and 295 to 305 s: 10 beats, and 5 beats beside 5 / 0.75.
    assert around[295] == pytest.approx(60) and around[305] == pytest.approx(80)
    assert around[300] == pytest.approx((5 + 5 / 0.75) * 6)


def test_implausible_intervals_do_not_count() -> None:
    missed = np.delete(SECONDS, [100, 101, 102, 200])
    times, per_minute = averaged_rate(missed, RateDevice(2, 1, 0))
    np.testing.assert_allclose(per_minute, 60)
    # No interval of 98 to 104 s and none of 198 to 202 s is plausible; a window of 2 s reaches over 1 s.
    assert sorted(set(range(601)) - set(times)) == [100, 101, 102, 200]


def test_rounding() -> None:
    beats = np.arange(0, 600, 60 / 72.4)
    for step, rounded in ((0, 72.4), (1, 72), (0.5, 72.5), (5, 70)):
        np.testing.assert_allclose(averaged_rate(beats, RateDevice(10, 5, rounding=step))[1], rounded)


@pytest.mark.parametrize("lag_s", [-10, 5, 15])
def test_lag_shifts_the_time_stamps(lag_s: float) -> None:
    times, per_minute = averaged_rate(STEP, REAL)
    moved, same = averaged_rate(STEP, dataclasses.replace(REAL, lag_s=lag_s))
    np.testing.assert_allclose(moved, times + lag_s)
    np.testing.assert_allclose(same, per_minute)


def test_a_stretch_without_beats_has_no_rate_and_gets_no_beats() -> None:
    gap = SECONDS[(SECONDS <= 200) | (SECONDS >= 300)]
    times, _ = averaged_rate(gap, REAL)
    # A window that lies by at least a tenth within plausible intervals gives a rate: 200 s does, 205 s does not.
    assert set(range(0, 601, 5)) - set(times) == set(range(205, 300, 5))
    read = averaged_beats(gap, REAL)
    np.testing.assert_allclose(read[read < 250], SECONDS[:201])
    np.testing.assert_allclose(read[read > 250], SECONDS[300:])
    assert all(len(x) == 0 for x in averaged_rate(np.array([3.0]), REAL))


def test_dropped_values_are_missing_and_repeated_ones_are_held() -> None:
    rising = np.cumsum(60 / np.linspace(50, 90, 30000))
    times, per_minute = averaged_rate(rising, RateDevice(10, 2, 0))
    missing, same = [], []
    for seed in range(10):
        dropped, unchanged = averaged_rate(rising, RateDevice(10, 2, 0, dropped=0.3), np.random.default_rng(seed))
        missing.append(~np.isin(times, dropped))
        np.testing.assert_array_equal(unchanged, per_minute[~missing[-1]])
        _, held = averaged_rate(rising, RateDevice(10, 2, 0, repeated=0.3), np.random.default_rng(seed))
        same.append(held[1:] == held[:-1])
        np.testing.assert_array_equal(held[1:][~same[-1]], per_minute[1:][~same[-1]])
    assert np.mean(missing) == pytest.approx(0.3, abs=0.03) and np.mean(same) == pytest.approx(0.3, abs=0.03)
    runs = np.diff(np.flatnonzero(np.diff(missing[0], prepend=False, append=False)))[::2]
    assert 30 < runs.mean() < 50  # 60 s are 30 values; some runs overlap


def test_a_heart_rate_gives_beats_except_over_a_gap() -> None:
    times = np.concatenate([np.arange(0, 101, 5.0), np.arange(200, 301, 5.0)])
    for gap in (20.0, None):
        found = beats_of_rate(times, np.where(times < 150, 60.0, 75.0), gap)
        assert found[found < 150].tolist() == pytest.approx(list(range(101)))
        np.testing.assert_allclose(np.diff(found[found > 150]), 0.8)
        assert not ((found > 100) & (found < 200)).any()
    broken = np.where(np.abs(times - 50) < 1, np.nan, 60.0)
    damaged = np.where(np.isnan(broken), 6e9, broken)
    assert np.array_equal(beats_of_rate(times, damaged, 20.0), beats_of_rate(times, broken, 20.0))
    assert not ((beats_of_rate(times, broken, 20.0) > 45) & (beats_of_rate(times, broken, 20.0) < 55)).any()


@pytest.mark.parametrize(
    ("cadence_s", "bridged_s", "interrupted_s"), [(1, 20, 21), (30, 75, 76), (60, 150, 151), (120, 1200, 1201)]
)
def test_the_longest_gap_grows_with_the_cadence(cadence_s: float, bridged_s: float, interrupted_s: float) -> None:
    before = np.arange(0, 601, cadence_s)
    for gap, made_up in ((bridged_s, True), (interrupted_s, False)):
        times = np.concatenate([before, 600 + gap + before])
        found = beats_of_rate(times, np.full(len(times), 60.0))
        assert ((found > 601) & (found < 600 + gap - 1)).any() == made_up


def test_averaging_is_deterministic_and_may_be_repeated() -> None:
    watch = DEVICES["watch"]
    once = averaged_beats(STEP, watch)
    np.testing.assert_array_equal(once, averaged_beats(STEP, watch))
    again = averaged_beats(once, RateDevice(30, 30))
    assert np.median(np.diff(again[again < 250])) == pytest.approx(1, abs=0.02)
    assert np.median(np.diff(again[again > 350])) == pytest.approx(0.75, abs=0.02)


def test_random_devices_span_1_to_60_s() -> None:
    rng = np.random.default_rng(0)
    devices = [draw_device(rng) for _ in range(3000)]
    cadence = np.log([device.cadence_s for device in devices]) / np.log(60)
    window = np.log([device.window_s for device in devices]) / np.log(60)
    np.testing.assert_allclose(np.percentile(cadence, [0, 25, 50, 75, 100]), [0, 0.25, 0.5, 0.75, 1], atol=0.03)
    np.testing.assert_allclose(np.percentile(window, [0, 25, 50, 75, 100]), [0, 0.25, 0.5, 0.75, 1], atol=0.03)
    assert np.mean(window >= cadence) == pytest.approx(0.75, abs=0.03)
    assert np.mean([device.rounding == 1 for device in devices]) == pytest.approx(0.8, abs=0.03)
    lags = np.array([device.lag_s / device.window_s for device in devices])
    assert -0.5 <= lags.min() < -0.45 and 0.95 < lags.max() <= 1
    for name in ("dropped", "repeated"):
        shares = np.array([getattr(device, name) for device in devices])
        assert np.mean(shares == 0) == pytest.approx(0.5, abs=0.03) and 0.28 < shares.max() <= 0.3


@pytest.mark.parametrize(
    ("name", "value"),
    [("window_s", 0), ("cadence_s", np.inf), ("rounding", -1), ("lag_s", np.nan), ("dropped", 1), ("repeated", -0.1)],
)
def test_impossible_devices_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"^{name}: must be "):
        RateDevice(**{"window_s": 10, "cadence_s": 5} | {name: value})
