"""Predictions as CSV: what is written reads back to the last bit; wrong files are named."""

import csv
import dataclasses
import re

import numpy as np
import pytest

from sleepkd.errors import UserError
from sleepkd.evaluation.predictions import read_csv, read_predictions, write_csv, write_predictions
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from tests.evaluation.nights import made_up_night

NAMES = ("W", "light", "deep", "REM")


def assert_same(a, b):
    for field in dataclasses.fields(NightPredictions):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name), strict=True)


def test_csv_columns_and_values(tmp_path):
    night = NightPredictions(
        recording="r", subject="s", subset="SS1", standard="aasm",
        onset_s=np.array([0.5, 30.5]), duration_s=np.array([30.0, 30.0]), labels=np.array([3, -1], dtype=np.int8),
        probabilities=np.array([[0.1, 0.2, 0.1, 0.6], [0.25, 0.25, 0.5, 0.0]], dtype=np.float32),
    )  # fmt: skip
    write_csv(night, tmp_path / "r.csv", NAMES)
    with open(tmp_path / "r.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["onset_s", "duration_s", "label", "prediction", "p_W", "p_light", "p_deep", "p_REM"],
            ["0.5", "30.0", "REM", "REM", "0.1", "0.2", "0.1", "0.6"],
            ["30.5", "30.0", "unscored", "deep", "0.25", "0.25", "0.5", "0.0"],
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]  # no temporary file stays


def test_csv_reads_back_bit_for_bit(tmp_path):
    night = made_up_night(n=500, seed=3)
    write_csv(night, tmp_path / "r1.csv", NAMES)
    found, names = read_csv(tmp_path / "r1.csv", subject="r1", subset="SS1", standard="aasm")
    assert names == NAMES
    assert_same(night, found)


def test_a_folder_reads_back_with_subjects_and_subsets(tmp_path):
    nights = [made_up_night("b", subject="s, 1", standard="rk", seed=1), made_up_night("a", subset="SS3", seed=2)]
    write_predictions(nights, tmp_path / "predictions", NAMES)
    found, names = read_predictions(tmp_path / "predictions")
    assert names == NAMES
    for before, after in zip(nights, found, strict=True):
        assert_same(before, after)


def test_the_index_keeps_the_input_and_those_of_earlier_versions_have_none(tmp_path):
    nights = [dataclasses.replace(made_up_night("a"), input="ECG + heartbeats"), made_up_night("b")]
    write_predictions(nights, tmp_path, NAMES)
    assert [night.input for night in read_predictions(tmp_path)[0]] == ["ECG + heartbeats", ""]
    index = tmp_path / "recordings.csv"
    index.write_text(re.sub(r"(,[^,\n]*){3}$", "", index.read_text(), flags=re.MULTILINE))
    assert "input" not in index.read_text()
    assert [night.input for night in read_predictions(tmp_path)[0]] == ["", ""]


def test_the_index_tells_which_nights_are_held_out(tmp_path):
    nights = [made_up_night("a", seed=1), made_up_night("b", seed=2)]
    write_predictions(nights, tmp_path, NAMES, {"a": "yes", "b": "no"})
    with open(tmp_path / "recordings.csv", newline="") as file:
        assert {row["recording"]: row["held_out"] for row in csv.DictReader(file)} == {"a": "yes", "b": "no"}
    assert [night.recording for night in read_predictions(tmp_path)[0]] == ["a", "b"]


def test_an_empty_night_reads_back(tmp_path):
    night = made_up_night(n=0)
    write_csv(night, tmp_path / "r1.csv", NAMES)
    found, _ = read_csv(tmp_path / "r1.csv")
    assert len(found) == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        ("", "no header"),
        ("a,b,c\n", "header must be"),
        ("onset_s,duration_s,label,prediction,p_W,p_REM\n0,30,N9,W,1,0\n", "N9"),
        ("onset_s,duration_s,label,prediction,p_W,p_REM\n0,30,W,W,one,0\n", "not a number"),
        ("onset_s,duration_s,label,prediction,p_W,p_REM\n0,30,W,W,1,0\n30,30,W\n", "columns"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, says):
    path = tmp_path / "night.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=says) as error:
        read_csv(path)
    assert "night.csv" in str(error.value)


def test_a_folder_without_index_or_with_two_schemes_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"recordings\.csv"):
        read_predictions(tmp_path)
    write_predictions([made_up_night("a"), made_up_night("b")], tmp_path, NAMES)
    write_csv(made_up_night("b", classes=3), tmp_path / "b.csv", ("W", "NREM", "REM"))
    with pytest.raises(UserError, match="NREM"):
        read_predictions(tmp_path)


def test_arrays_that_do_not_fit_are_refused():
    night = made_up_night(n=10)
    with pytest.raises(ValueError, match="r1"):
        dataclasses.replace(night, labels=night.labels[:9])
    with pytest.raises(ValueError, match="class names"):
        write_csv(night, "never.csv", NAMES[:3])


def test_the_index_keeps_age_and_sex_and_those_of_earlier_versions_have_none(tmp_path):
    nights = [dataclasses.replace(made_up_night("a"), age=39.5, sex="F"), made_up_night("b")]
    write_predictions(nights, tmp_path, NAMES, held_out={"a": "yes", "b": "no"})
    assert [(night.age, night.sex) for night in read_predictions(tmp_path)[0]] == [(39.5, "F"), (None, None)]
    index = tmp_path / "recordings.csv"
    text = index.read_text()
    index.write_text(re.sub(r",[^,]*,[^,]*,([^,]*)$", r",\1", text, flags=re.MULTILINE))
    assert "age" not in index.read_text()
    assert [(night.age, night.sex) for night in read_predictions(tmp_path)[0]] == [(None, None)] * 2
    for wrong in (("39.5,F", "old,F"), ("39.5,F", "39.5,X")):
        index.write_text(text.replace(*wrong))
        with pytest.raises(UserError, match=r"recordings\.csv: a: age .* or sex .* is none"):
            read_predictions(tmp_path)
