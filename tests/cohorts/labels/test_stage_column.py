"""Sleep stages that every row of a table of samples repeats."""

import numpy as np
import pytest

from sleepkd.cohorts.labels.stage_column import StageColumnLayout, read_stage_column
from sleepkd.data.hypnogram import UNSCORED
from sleepkd.errors import UserError


def read(tmp_path, rows: list[str], header: str = "TIME,BVP,STAGE"):
    path = tmp_path / "s.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    labels = {"P": "unscored", "W": "W", "N2": "N2"}
    return read_stage_column(path, StageColumnLayout(files=(), labels=labels, stage="STAGE", time="TIME"), 30.0)


def test_runs_of_a_stage_are_sleep_epochs(tmp_path):
    stages = ["P"] * 120 + ["W"] * 240 + ["N2"] * 120  # 4 rows per second
    scored = read(tmp_path, [f"{100 + k / 4},1.5,{stage}" for k, stage in enumerate(stages)])
    np.testing.assert_array_equal(scored.hypnogram.labels, [UNSCORED, 0, 0, 2])
    np.testing.assert_allclose(scored.hypnogram.onset_s, [0, 30, 60, 90])
    np.testing.assert_allclose(scored.hypnogram.duration_s, 30)


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(UserError, match=r"s\.csv: has no column STAGE"):
        read(tmp_path, ["0,1,W"], "TIME,BVP,LABEL")
    with pytest.raises(UserError, match=r"s\.csv: line 2: 'x' is not a time in s"):
        read(tmp_path, ["x,1,W"])
