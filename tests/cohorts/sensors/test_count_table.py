"""Activity counts in a table: missing rows are missing, not zero."""

import numpy as np
import pytest

from sleepkd.cohorts.sensors.count_table import CountTableLayout, read_counts
from sleepkd.errors import UserError


def read(tmp_path, text: str, **settings):
    path = tmp_path / "counts.csv"
    path.write_text(text)
    return read_counts(
        path, CountTableLayout(**{"files": (), "format": "counts", "time": "t", "column": "n"} | settings)
    )


def test_a_missing_row_a_blank_and_a_negative_count_are_missing(tmp_path):
    found = read(tmp_path, "t,n\n-30,1.5\n30,0\n60,\n90,-1\n120,7\n")
    np.testing.assert_array_equal(found.samples, [1.5, np.nan, 0, np.nan, np.nan, 7])
    assert (found.first_s, found.rate_hz, found.start) == (-30, 1 / 30, None)


def test_counts_of_another_interval_become_a_rate_per_30_s(tmp_path):
    found = read(tmp_path, "0 1\n60 3\n60 5\n", epoch_seconds=60, has_header=False, delimiter=" ", time="1", column="2")
    np.testing.assert_array_equal(found.samples, [0.5, 2.0])
    assert found.remarks == ("WARNING: counts.csv: 1 intervals have two counts, their mean is used",)


@pytest.mark.parametrize("rows", ["1700000000,1\n1700000030,2\n", "2023-11-14 22:13:20,1\n2023-11-14 22:13:50,2\n"])
def test_a_clock_states_when_the_counts_begin(tmp_path, rows):
    found = read(tmp_path, "t,n\n" + rows)
    start = found.start
    assert found.first_s == 0
    assert (str(start.date), str(start.time)) == ("2023-11-14", "22:13:20")
    assert start.zone == ("UTC" if rows.startswith("17") else "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,m\n0,1\n30,1\n", "has no column n"),
        ("t,n\n0,\n30,\n", "column n holds no count"),
        ("t,n\n0,1\n10,1\n20,2\n30,1\n", r"do not follow one another by 30 s; set epoch_seconds"),
        ("t,n\n0,1\n", "holds less than two rows"),
        ("t,n\n", "holds no rows"),
        ("t,n\n0,1\n9000000,1\n", "span 104 days"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"counts\.csv: .*{message}"):
        read(tmp_path, text)
