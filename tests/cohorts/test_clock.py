"""The starts of the files of a night by their headers, and the time between them."""

from datetime import date, time

import pytest

from sleepkd.cohorts.clock import Start, seconds_between, time_of_day
from sleepkd.cohorts.edf.header import start_date, start_time
from sleepkd.errors import UserError

NIGHT, NEXT = date(2020, 1, 2), date(2020, 1, 3)


def between(signals: Start, scoring: Start, clock="date_and_time"):
    return seconds_between(signals, scoring, clock, "a and b")


@pytest.mark.parametrize(
    ("field", "recording", "expected"),
    [
        ("02.01.20", "", NIGHT),
        ("02/01/20", "", NIGHT),
        ("02-01-20", "a lab, a night", NIGHT),
        ("2.1.20", "", NIGHT),
        ("02:01:20", "", NIGHT),
        ("01.01.85", "Startdate 02-JAN-2020 X X X", NIGHT),
        ("02.01.20", "Startdate 02-JANV-2020 X X X", NIGHT),
        ("01.01.85", "Startdate X X X X", None),
        ("01.01.85", "", date(1985, 1, 1)),
        ("31.12.84", "", date(2084, 12, 31)),
        ("31.02.20", "", None),
        ("", "", None),
        ("today", "", None),
    ],
)
def test_start_dates(field, recording, expected):
    assert start_date(field, recording) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("22.30.05", time(22, 30, 5)),
        ("22:30:05", time(22, 30, 5)),
        ("0.3.0", time(0, 3)),
        ("25.00.00", None),
        ("", None),
    ],
)
def test_start_times(field, expected):
    assert start_time(field) == expected


def test_alignment_by_date_and_time_across_midnight():
    assert between(Start(NIGHT, time(23, 50)), Start(NEXT, time(0, 10))) == (1200, "")
    assert between(Start(NIGHT, time(22)), Start(NIGHT, time(21, 59))) == (-60, "")


def test_alignment_of_signals_that_begin_after_their_header_time():
    assert between(Start(NIGHT, time(22), 60.5), Start(NIGHT, time(22)))[0] == -60.5


def test_alignment_by_time_of_day_without_a_date_has_a_remark():
    remark = "a header has no date, so aligned by the time of day"
    assert between(Start(None, time(23, 50)), Start(NEXT, time(0, 10))) == (1200, remark)
    assert between(Start(NIGHT, time(0, 10)), Start(None, time(23, 50))) == (-1200, remark)


def test_contradicting_dates_are_refused_unless_scoring_clock_is_set():
    signals, scoring = Start(date(1999, 5, 5), time(23, 50)), Start(NEXT, time(0, 10))
    with pytest.raises(UserError, match=r"^a and b begin .* h apart by their dates; .* set scoring.clock: time_of_day"):
        between(signals, scoring)
    assert between(signals, scoring, "time_of_day") == (1200, "")
    assert between(signals, scoring, "first_sample") == (0, "")


def test_files_that_begin_one_hour_apart_are_warned_of():
    shift, remark = between(Start(NIGHT, time(22)), Start(NIGHT, time(23)))
    assert shift == 3600 and remark.startswith("WARNING: a and b begin exactly one hour apart") and "summer" in remark


def test_a_missing_time_of_day_is_warned_of():
    shift, remark = between(Start(NIGHT, None, 2.0), Start(NIGHT, time(22)))
    assert shift == -2.0
    assert remark.startswith("WARNING: a header has no time of day")


def test_formats_that_count_from_the_first_sample_are_not_shifted():
    assert seconds_between(Start(NIGHT, time(22), 9.0), None, "date_and_time", "") == (0, "")


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (Start(NIGHT, time(22, 30, 5)), "22:30:05"),
        (Start(None, time(1, 6)), "01:06:00"),
        (Start(NIGHT, time(23, 59, 30), 40.5), "00:00:10"),
        (Start(NIGHT, time(0, 0)), ""),  # as programs that remove dates write it
        (Start(NIGHT, time(22, 30), zone="UTC"), ""),
        (Start(NIGHT, None), ""),
        (None, ""),
    ],
)
def test_the_time_of_day_of_the_first_sample(start: Start | None, expected: str) -> None:
    assert time_of_day(start) == expected
