"""Nights in days of heart rate: made by hand, and of real people."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from launch import REPOSITORY
from sleepkd.cohorts.beats.which_night import find_nights, rate_of_beats

HOUR = 3600.0
NSR2DB = REPOSITORY.parent / "shared" / "data" / "nsr2db"


def day_and_night(at: np.ndarray, starts_at_h: float, asleep: float = 58, awake: float = 78) -> np.ndarray:
    """Asleep from 23:00 to 7:00, with a slow wave on top."""
    hour = (starts_at_h + at / HOUR) % 24
    return np.where((hour >= 23) | (hour < 7), asleep, awake) + 4 * np.sin(at / 4000)


def rr_intervals(path: Path) -> np.ndarray:
    with gzip.open(path) as file:
        return np.loadtxt(file)


def in_hours(found: list) -> np.ndarray:
    return np.array(found) / HOUR


def test_a_recording_of_up_to_16_h_is_one_night_whatever_its_heart_rate() -> None:
    at = np.arange(0, 16 * HOUR + 1, 60.0)
    assert find_nights(at + 500, np.full(len(at), 130.0)) == [(500.0, 500 + 16 * HOUR)]
    assert find_nights(np.zeros(0), np.zeros(0)) == []
    assert find_nights(at, np.full(len(at), np.nan)) == []


@pytest.mark.parametrize("with_clock", [False, True])
@pytest.mark.parametrize("starts_at_h", [15, 8, 20])
def test_a_night_is_the_slow_part_of_each_day(with_clock: bool, starts_at_h: float) -> None:
    at = np.arange(0, 72 * HOUR, 300.0)
    found = find_nights(at, day_and_night(at, starts_at_h), starts_at_h * HOUR + at if with_clock else None)
    expected = [[23 + 24 * day, 31 + 24 * day] for day in range(3)] - np.array(float(starts_at_h))
    np.testing.assert_allclose(in_hours(found), expected, atol=0.75)  # half an hour more at both ends


def test_a_nap_of_two_hours_and_a_workout_are_no_nights() -> None:
    at = np.arange(0, 48 * HOUR, 300.0)
    rate, hour = day_and_night(at, 12), 12 + at / HOUR
    rate[(hour >= 14) & (hour < 16)] = 58
    rate[(hour >= 42) & (hour < 43)] = 150
    np.testing.assert_allclose(in_hours(find_nights(at, rate)), [[11, 19], [35, 43]], atol=0.75)


def test_a_short_awakening_does_not_end_a_night() -> None:
    at = np.arange(0, 24 * HOUR, 60.0)
    rate = day_and_night(at, 15)
    rate[(at > 12 * HOUR) & (at < 12.5 * HOUR)] = 90
    np.testing.assert_allclose(in_hours(find_nights(at, rate)), [[8, 16]], atol=0.75)


def worn(*parts: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Times, s, and rates every five minutes of wearings (from, to in hours; rate)."""
    times = [np.arange(first * HOUR, last * HOUR + 1, 300.0) for first, last, _ in parts]
    rates = [np.full(len(at), rate) for at, (_, _, rate) in zip(times, parts, strict=True)]
    return np.concatenate(times), np.concatenate(rates)


def test_of_a_watch_that_is_worn_at_night_each_wearing_is_a_night() -> None:
    at, rate = worn((23, 31, 60), (42, 42.75, 140), (47, 54, 66), (71, 79, 58))
    expected = [[23, 31], [47, 54], [71, 79]]
    np.testing.assert_array_equal(in_hours(find_nights(at, rate)), expected)
    np.testing.assert_array_equal(in_hours(find_nights(at, rate, at)), expected)


def test_a_wearing_by_day_is_no_night() -> None:
    at, rate = worn((8, 22, 62), (47, 54, 60))
    np.testing.assert_array_equal(in_hours(find_nights(at, rate, at)), [[47, 54]])
    at, rate = worn((8, 22, 80), (32, 46, 80))
    assert find_nights(at, rate, at) == []
    at, rate = worn((0, 4, 140), (47, 54, 60))  # no clock, but a fast heart
    np.testing.assert_array_equal(in_hours(find_nights(at, rate)), [[47, 54]])


def test_a_wearing_of_few_values_is_no_night() -> None:
    at, rate = worn((23, 31, 60), (47, 55, 60))
    few = (at < 40 * HOUR) | ((at / 300).astype(int) % 22 == 0)
    np.testing.assert_array_equal(in_hours(find_nights(at[few], rate[few], at[few])), [[23, 31]])


def test_a_day_of_real_people_holds_one_night_of_slow_heart_rate() -> None:
    files = sorted(NSR2DB.glob("*.gz"))[::3]  # all 54 pass
    if not files:
        pytest.skip(f"no {NSR2DB}")
    for path in files:
        intervals = rr_intervals(path)
        times, rate = rate_of_beats(np.cumsum(intervals))
        (night,) = find_nights(times, rate)
        inside = (times >= night.start_s) & (times <= night.end_s)
        assert 6 < (night.end_s - night.start_s) / HOUR < 13, path.name
        by_hour = [
            np.median(rate[(times >= first) & (times < first + HOUR)])
            for first in np.arange(int(times[-1] / HOUR)) * HOUR
        ]
        slowest = int(np.argmin(np.convolve(by_hour, np.ones(4), "valid")))  # of four hours, by the medians of each
        assert night.start_s - HOUR < slowest * HOUR < night.end_s - 3 * HOUR, path.name
        assert np.median(rate[inside]) < 0.92 * np.median(rate[~inside]), path.name


def test_three_days_of_one_person_hold_three_nights() -> None:
    files = sorted(NSR2DB.glob("*.gz"))[::9]
    if not files:
        pytest.skip(f"no {NSR2DB}")
    for path in files:
        beats = np.cumsum(rr_intervals(path)[1:])
        beats = beats[beats < 24 * HOUR]
        found = find_nights(*rate_of_beats(np.concatenate([beats + day * 24 * HOUR for day in range(3)])))
        assert len(found) == 3, path.name
