"""The page of all nights: the Sleep Regularity Index of each file of several nights."""

import datetime as dt
from pathlib import Path

from sleepkd.cohorts.clock import start_of
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.prediction.outputs import NightReport, regularity_lines
from tests.prediction.nights import night_of


def report(source: str, day: int, letters: str) -> NightReport:
    night = night_of(letters, start_of(dt.datetime(2024, 1, day, 23)))
    return NightReport("n", {}, night.judged, Picture(Path("n.png"), ""), "", Path(source), night.sleep_times)


def test_nights_of_one_file_have_an_index_and_those_of_others_do_not_enter() -> None:
    nights = [report("a/hr.zip", 1, "LLLW"), report("b/hr.zip", 2, "WWWW"), report("a/hr.zip", 2, "LLWW")]
    (line,) = regularity_lines(nights)
    assert line.startswith("Sleep Regularity Index of hr.zip: 50 (2 nights, 0 hours compared")
    assert regularity_lines(nights[1:]) == []
