"""The Sleep Regularity Index against hand-computed nights."""

import datetime as dt

import numpy as np
import pytest

from sleepkd.cohorts.clock import Start, start_of
from sleepkd.errors import UserError
from sleepkd.prediction.regularity import sleep_regularity
from tests.prediction.nights import night_of

HOUR = 120
"""Sleep epochs."""


def night(day: int, hour: int, letters: str):
    return night_of(letters, start_of(dt.datetime(2024, 1, day, hour)))


def test_equal_nights_are_100_and_order_does_not_matter() -> None:
    nights = [night(day, 23, "W" * HOUR + "L" * 7 * HOUR) for day in (3, 1, 2)]
    assert sleep_regularity(nights) == (100.0, 3, 32.0)  # from 23:00 to 7:00 two days later: 24 + 8 h


def test_an_hour_later_to_bed_is_what_phillips_formula_gives() -> None:
    first, second = night(1, 23, "L" * 8 * HOUR), night(2, 23, "W" * HOUR + "L" * 8 * HOUR)
    found = sleep_regularity([first, second])
    # of the 9 h that are compared with those a day later (31 h of which begin before), 23 to 24 and 7 to 8 h differ
    assert found.hours == 9.0 and found.sri == pytest.approx(-100 + 200 * 7 / 9)


def test_missing_nights_and_unscored_time_are_not_compared() -> None:
    letters = "L" * 8 * HOUR
    nights = [night(1, 23, letters), night(2, 23, "L" * 7 * HOUR + "?" * HOUR), night(4, 23, letters)]
    found = sleep_regularity(nights)
    assert found.sri == 100 and found.hours == 7.0


def test_alternating_sleep_and_wake_is_minus_100() -> None:
    assert sleep_regularity([night(1, 23, "L" * HOUR), night(2, 23, "W" * HOUR)]).sri == -100


@pytest.mark.parametrize(
    ("nights", "message"),
    [
        ([night_of("WL", Start(None, dt.time(23)))] * 2, "no date and time"),
        ([night(1, 23, "WL")], "two nights or more"),
        ([], "two nights or more"),
        ([night(1, 23, "WL"), night(1, 23, "WL")], "two nights overlap at 2024-01-01 23:00"),
        ([night(1, 23, "WL"), night(4, 23, "WL")], "no two nights follow each other"),
        ([night(1, 1, "WL"), night(1, 13, "WL")], "no two nights follow each other"),
    ],
)
def test_nights_that_say_nothing_of_regularity_are_refused(nights: list, message: str) -> None:
    with pytest.raises(UserError, match=f"^sleep regularity: .*{message}"):
        sleep_regularity(nights)


def test_the_states_are_of_sleep_epochs() -> None:
    start, asleep = night_of("WLDR?-").sleep_times
    np.testing.assert_array_equal(asleep, [0, 1, 1, 1, np.nan, np.nan])
    assert start == dt.datetime(2024, 1, 31, 23, 0, 0, 750_000)
