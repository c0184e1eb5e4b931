"""Dates and times as devices write them, all of the same moments."""

from datetime import date, time

import numpy as np
import pytest

from sleepkd.cohorts.beats.time_cells import clock_times, numeric_times, read_date
from sleepkd.cohorts.clock import Start
from sleepkd.errors import UserError
from tests.cohorts.beats.given import UNIX, stamps

SECONDS = np.array([0.0, 300.0, 599.0, 601.0, 1200.0])  # over midnight, and over the end of a month
FORMS = {
    "%Y-%m-%dT%H:%M:%S.%f": "",
    "%Y-%m-%d %H:%M:%S": "",
    "%Y-%m-%d %H:%M:%S,%f": "",
    "%Y-%m-%d %H:%M:%S.%f +0000": "UTC",
    "%Y-%m-%dT%H:%M:%SZ": "UTC",
    "%Y-%m-%d %H:%M:%S UTC": "UTC",
    "%Y-%m-%dT%H:%M:%S+02:00": "",
    "%Y/%m/%d %H:%M:%S": "",
    "%Y%m%dT%H%M%S": "",
    "%d.%m.%Y %H:%M:%S": "",
    "%d/%m/%Y %H:%M:%S": "",
    "%m/%d/%Y %I:%M:%S %p": "",
    "%b %d, %Y %I:%M:%S %p": "",
    "%d-%b-%Y %H:%M:%S": "",
    "%H:%M:%S %d/%m/%Y": "",
}


@pytest.mark.parametrize(("form", "zone"), FORMS.items())
def test_dates_and_times(form: str, zone: str) -> None:
    clock = clock_times(stamps(SECONDS, form), range(2, 7))
    np.testing.assert_allclose(clock.seconds - clock.seconds[0], SECONDS)
    assert clock.start(float(clock.seconds[0])) == Start(date(2024, 1, 31), time(23, 50), zone=zone)


@pytest.mark.parametrize("form", ["%H:%M:%S", "%H:%M:%S.%f", "%I:%M:%S %p"])
def test_times_of_day_pass_midnight(form: str) -> None:
    for order in (slice(None), slice(None, None, -1)):
        clock = clock_times(stamps(SECONDS[order], form), range(2, 7))
        np.testing.assert_allclose(clock.seconds - clock.seconds.min(), SECONDS[order])
        assert clock.start(float(clock.seconds.min())) == Start(None, time(23, 50))


def test_elapsed_times_and_offsets_that_change() -> None:
    clock = clock_times(["00:00:00", "00:00:05", "25:00:00"], [1, 2, 3])
    assert clock.seconds.tolist() == [0, 5, 90000] and clock.start(0) is None
    clock = clock_times(["2024-10-27T02:59:59+02:00", "2024-10-27T02:00:00+01:00"], [1, 2])
    assert np.diff(clock.seconds).tolist() == [1] and clock.zoned


def test_an_ambiguous_date_is_not_given() -> None:
    clock = clock_times(["01/02/2024 1:00:00", "01/02/2024 1:00:05"], [1, 2])
    assert clock.start(3605.0) == Start(None, time(1, 0, 5)) and "day or month first" in clock.notes[0]
    assert clock_times(["01.02.2024 1:00:00"], [1]).start(3600.0).date == date(2024, 2, 1)
    assert read_date("31-01-2024") == date(2024, 1, 31) and read_date("01/02/2024") is None


@pytest.mark.parametrize("year", [1970, 2163, 3036])
def test_dates_that_were_shifted_for_privacy(year: int) -> None:
    assert clock_times([f"{year}-03-01T23:00:00"], [1]).start(82800.0).date == date(year, 3, 1)


def test_unix_times_state_a_date_in_utc() -> None:
    numbers = 1000.0 * (UNIX + SECONDS)
    clock = numeric_times(numbers / 1000, numbers, "ms")
    assert clock.start(float(clock.seconds[0])) == Start(date(2024, 1, 31), time(23, 50), zone="UTC")
    assert numeric_times(SECONDS, SECONDS, "s").start(0.0) is None


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["2024-01-31T23:00:00", "soon"], "line 3: 'soon' is not a time"),
        (["2024-01-31T23:00:00", "23:00:05"], "line 3: its time states no date"),
        (["2024-01-31T23:00:00Z", "2024-01-31T23:00:05"], r"line 3: its time states no zone"),
        (["2024-13-31 23:00:00"], "'2024-13-31' is not a date"),
        (["23:75:00"], "line 2: '23:75:00' is not a time"),
        ([""], "is blank"),
    ],
)
def test_cells_that_are_no_times(cells: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        clock_times(cells, range(2, 9))
