"""Start, age and sex in headers of WFDB: written by hand, and those of slpdb and apnea_ecg."""

from datetime import date, time
from pathlib import Path

import pytest

from launch import REPOSITORY
from sleepkd.cohorts.beats.beat_layout import BeatLayout
from sleepkd.cohorts.beats.wfdb_beats import read_wfdb_beats
from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.sleeper import Sleeper
from sleepkd.cohorts.wfdb_header import RecordFacts, comments_sleeper, read_record_facts

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb
DATA = REPOSITORY.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not (DATA / "slpdb").is_dir(), reason="the real nights (shared/data) are not here")


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        (["44 M 89 32-01-89"], (44, "M")),
        (["x M x 24-01-90"], (None, "M")),
        (["69 F 1085 1629 x1", "Aldomet, Inderal"], (69, "F")),
        (["<age>: 63 <sex>: M <diagnoses>: none"], (63, "M")),
        (["Age: 63", "Sex: Female"], (63, "F")),
        (["gender = male, age = 20, BMI = 22"], (20, "M")),
        (["age: NaN"], (None, None)),
        (["Average: 63"], (None, None)),
        (["12 electrodes of 2 mm", "30 M"], (None, None)),
        ([], (None, None)),
    ],
)
def test_comments(comments: list[str], expected: tuple[float | None, str | None]) -> None:
    assert comments_sleeper(comments, "a.hea") == Sleeper(*expected)


def test_an_implausible_age_in_a_comment_is_unknown() -> None:
    found = comments_sleeper(["Age: 999", "Sex: M"], "a.hea")
    assert (found.age, found.sex) == (None, "M")
    assert found.remarks == ("WARNING: a.hea: '999' is no plausible age, so the age is unknown",)


def test_a_header_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert read_record_facts(tmp_path / "none.hea") == RecordFacts()
    (tmp_path / "a.hea").write_text("no header\n")
    assert read_record_facts(tmp_path / "a.hea") == RecordFacts()


SLPDB = {
    "slp01a": (44, "23:07:00"), "slp01b": (44, "02:14:00"), "slp02a": (38, "00:49:00"), "slp02b": (38, "03:59:30"),
    "slp04": (40, "00:05:30"), "slp16": (35, "23:48:00"), "slp32": (54, "01:05:30"), "slp37": (39, "00:08:30"),
    "slp48": (56, "00:20:30"), "slp60": (49, "00:11:30"), "slp66": (33, "00:23:30"), "slp67x": (None, "01:06:00"),
}  # fmt: skip
"""Read by eye; all are men."""


@needs_data
@pytest.mark.parametrize("name", SLPDB)
def test_the_headers_of_slpdb(name: str) -> None:
    age, clock = SLPDB[name]
    found = read_record_facts(DATA / "slpdb" / f"{name}.hea")
    assert found.sleeper == Sleeper(age, "M")
    assert found.start is not None and found.start.time == time.fromisoformat(clock)
    assert read_wfdb_beats(DATA / "slpdb" / f"{name}.ecg", BeatLayout((), "wfdb")).start == found.start


@needs_data
def test_dates_of_slpdb_and_headers_without_any() -> None:
    assert read_record_facts(DATA / "slpdb" / "slp01a.hea").start == Start(date(1989, 1, 19), time(23, 7))
    assert read_record_facts(DATA / "slpdb" / "slp67x.hea").start == Start(None, time(1, 6))
    assert read_record_facts(DATA / "apnea_ecg" / "a01.hea") == RecordFacts()
