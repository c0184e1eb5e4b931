"""Rows newest first, exchanged, copied, by a clock that was changed, or of two recordings."""

from datetime import datetime

import numpy as np
import pytest

from sleepkd.cohorts.beats.row_order import WallClock, chronological
from sleepkd.errors import UserError

TIMES = np.arange(100.0)
VALUES = np.random.default_rng(0).uniform(600, 1000, 100)
AUTUMN = WallClock(datetime(2024, 10, 27), dated=True, changes=True)
SPRING = WallClock(datetime(2024, 3, 31), dated=True, changes=True)
FIXED = WallClock(datetime(2024, 10, 27), dated=True)


def test_newest_first_exchanged_parts_and_jitter() -> None:
    for order in (slice(None), slice(None, None, -1), np.roll(np.arange(100), 40)):
        found = chronological(TIMES[order], VALUES[order], range(100), FIXED)
        np.testing.assert_array_equal(found.times, TIMES)
        np.testing.assert_array_equal(VALUES[order][found.rows], VALUES)
    jitter = TIMES + np.where(np.arange(100) % 2, 2.0, 0.0)  # as the file has them, and no order of time
    np.testing.assert_array_equal(chronological(jitter, VALUES, range(100), FIXED).rows, np.arange(100))


def test_rows_in_no_order_are_sorted() -> None:
    order = np.random.default_rng(1).permutation(1000)
    found = chronological(1.0 * order, 1.0 * order, range(1000), FIXED)
    np.testing.assert_array_equal(found.times, np.arange(1000))
    assert found.notes == ("rows are in no order: sorted by time",)


def test_copies_are_left_out() -> None:
    found = chronological(np.tile(TIMES, 2), np.tile(VALUES, 2), range(2, 202), FIXED)
    np.testing.assert_array_equal(found.rows, np.arange(100))
    assert found.notes == ("100 rows from line 102 on repeat earlier ones: left out",)
    more = np.concatenate([TIMES, 50 + TIMES])  # a second export that begins within the first
    known = np.concatenate([VALUES, VALUES[50:], VALUES[:50]])
    np.testing.assert_array_equal(chronological(more, known, range(200), FIXED).times, np.arange(150))


def wall(seconds: np.ndarray, change_s: float, hours: int) -> np.ndarray:
    return seconds + np.where(seconds < change_s, 0, 3600.0 * hours)


@pytest.mark.parametrize("step", [1, 60, 300])
def test_the_clock_is_put_back_or_forward(step: int) -> None:
    seconds = np.arange(3600.0, 5 * 3600, step)
    values = np.random.default_rng(2).uniform(50, 70, len(seconds))
    for clock, hours, change_s in ((AUTUMN, -1, 3 * 3600), (SPRING, 1, 2 * 3600)):
        found = chronological(wall(seconds, change_s, hours), values, range(len(seconds)), clock)
        np.testing.assert_array_equal(found.times, seconds)
        assert f"put {'back' if hours < 0 else 'forward'} by an hour at line" in found.notes[0]
    gap = chronological(wall(seconds, 7200, 1), values, range(len(seconds)), FIXED)
    assert np.diff(gap.times).max() == 3600 + step  # with a zone, an hour without rows is a gap


@pytest.mark.parametrize("clock", [FIXED, WallClock(datetime(2024, 1, 17), True, True), AUTUMN])
def test_two_recordings_are_refused(clock: WallClock) -> None:
    with pytest.raises(UserError, match=r"line 102: its times go back by 99 s and overlap .* two recordings, people"):
        chronological(np.tile(TIMES, 2), np.concatenate([VALUES, VALUES[::-1]]), range(2, 202), clock)
