"""Sleep stages in MATLAB files, and their start in a time zone."""

import numpy as np
import pytest
from scipy.io import savemat

from sleepkd.cohorts.labels.mat_file import MatLayout, read_mat
from sleepkd.data.hypnogram import UNSCORED
from sleepkd.errors import UserError

LABELS = {"0": "W", "1": "N1", "2": "N2", "3": "N3", "4": "REM", "5": "unscored"}


def read(tmp_path, content, **settings):
    path = tmp_path / "labels.mat"
    savemat(path, content)
    return read_mat(path, MatLayout(**{"files": (), "labels": LABELS, "stages": "expert"} | settings), 30.0)


def test_values_are_sleep_epochs(tmp_path):
    scored = read(tmp_path, {"expert": np.array([[0, 1, 2, 3, 4, 5]], dtype=np.uint8)})
    np.testing.assert_array_equal(scored.hypnogram.labels, [0, 1, 2, 3, 4, UNSCORED])
    np.testing.assert_array_equal(scored.hypnogram.onset_s, 30.0 * np.arange(6))
    assert scored.start is None


@pytest.mark.parametrize(
    ("text", "date", "time"),
    [("2024-01-15 23:10:05.5", "2024-01-16", "04:10:05"), ("15-Jul-2024 23:10:05", "2024-07-16", "03:10:05")],
)
def test_a_start_in_a_zone_becomes_utc_in_winter_and_summer(tmp_path, text, date, time):
    start = read(tmp_path, {"expert": np.zeros(3), "at": text}, start="at", zone="US/Eastern").start
    assert (str(start.date), str(start.time), start.zone) == (date, time, "UTC")
    assert start.offset_s == (0.5 if "." in text else 0)


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ({"other": np.zeros(3)}, {}, "has no variable expert"),
        ({"expert": np.array([0, 9])}, {}, "expert: value '9' has no sleep stage in scoring.labels"),
        ({"expert": np.zeros(3), "at": "noon"}, {"start": "at"}, "at: 'noon' is not a date and time"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, settings, message):
    with pytest.raises(UserError, match=rf"labels\.mat: {message}"):
        read(tmp_path, content, **settings)


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file" + bytes(200), b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "labels.mat"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"labels\.mat: "):
        read_mat(path, MatLayout(files=(), labels=LABELS), 30.0)
