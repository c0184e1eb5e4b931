"""Age and sex in the patient field of EDF+: texts by hand, and files that edfio writes."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfSignal, Patient, Recording

from sleepkd.cohorts.edf.patient import patient_sleeper
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.cohorts.sleeper import Sleeper
from tests.cohorts.raw import DREAMS, needs_dreams

DAY = date(2003, 11, 17)


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ("MCH-0234567 F 02-MAY-1951 Haagse_Harry", (52, "F")),
        ("1 M 17-NOV-1951 X", (52, "M")),  # the birthday itself
        ("1 M 18-NOV-1951 X", (51, "M")),  # the day before it
        ("X X X X", (None, None)),
        ("X F X Female_33yr", (33, "F")),  # Sleep-EDF
        ("X M X X", (None, "M")),
        ("X M 17-NOV-2003 X", (None, "M")),  # both dates replaced by one
        ("John M Smith", (None, None)),  # plain EDF: a name
        ("DatabaseSpindles, excerpt3, man - 28/03/1957", (None, None)),
        ("", (None, None)),
    ],
)
def test_patient_fields(patient: str, expected: tuple[float | None, str | None]) -> None:
    assert patient_sleeper(patient, DAY, "a.edf") == Sleeper(*expected)


def test_no_age_without_the_day_of_the_recording() -> None:
    assert patient_sleeper("1 F 02-MAY-1951 X", None, "a.edf") == Sleeper(None, "F")


@pytest.mark.parametrize(("born", "years"), [("02-MAY-2051", "-48"), ("02-MAY-1800", "203")])
def test_a_birth_in_the_future_or_long_ago_is_warned_of(born: str, years: str) -> None:
    found = patient_sleeper(f"1 F {born} X", DAY, "a.edf")
    assert (found.age, found.sex) == (None, "F")
    assert found.remarks == (f"WARNING: a.edf: '{years}' is no plausible age, so the age is unknown",)


def test_files_that_edfio_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    patient = Patient(code="7", sex="M", birthdate=date(1940, 12, 31))
    Edf([EdfSignal(np.arange(100.0), 10, label="C3")], patient=patient, recording=Recording(startdate=DAY)).write(path)
    assert EdfFile(path).sleeper() == Sleeper(62, "M")


@needs_dreams
def test_the_free_text_of_dreams_is_left_alone() -> None:
    assert EdfFile(DREAMS / "excerpt3.edf").sleeper() == Sleeper()
