"""Stages in the text formats of Luna and U-Sleep, by their rules."""

import numpy as np
import pandas as pd
import pytest

from sleepkd.errors import UserError
from sleepkd.prediction.hypnogram_files import luna_annotations, luna_epochs, usleep_stages
from tests.prediction.nights import night_of

LETTERS = "WWLLDD?R-"


def test_luna_gets_a_class_start_and_stop_of_each_sleep_epoch(tmp_path) -> None:
    path = tmp_path / "night.annot"
    path.write_text(luna_annotations(night_of(LETTERS).table))
    frame = pd.read_csv(path, sep="\t")
    assert list(frame) == ["class", "instance", "channel", "start", "stop", "meta"]
    assert frame["class"].tolist() == ["W", "W", "N2", "N2", "N3", "N3", "?", "R", "?"]
    assert frame["start"].tolist() == list(range(0, 270, 30)) and set(frame["stop"] - frame["start"]) == {30}


def test_luna_gets_a_line_per_sleep_epoch_only_from_the_first_sample_on() -> None:
    table = night_of(LETTERS).table
    assert luna_epochs(table).split() == ["W", "W", "N2", "N2", "N3", "N3", "?", "R", "?"]
    with pytest.raises(UserError, match=r"\.eannot: holds sleep epochs of 30 s from the first sample on only"):
        luna_epochs(table._replace(onset_s=table.onset_s + 5))


def test_usleep_gets_runs_of_equal_stages_without_a_header(tmp_path) -> None:
    path = tmp_path / "night.ids"
    path.write_text(usleep_stages(night_of(LETTERS).table))
    start, duration, stage = pd.read_csv(path, header=None).to_numpy().T  # as U-Time reads it
    assert list(stage) == ["W", "N2", "N3", "UNKNOWN", "REM", "UNKNOWN"]
    assert list(start) == [0, 60, 120, 180, 210, 240] and np.sum(duration) == 270


def test_times_of_a_late_night_keep_their_fractions() -> None:
    table = night_of("W").table
    text = usleep_stages(table._replace(onset_s=np.array([1_000_000.5])))
    assert text == "1000000.5,30,W\n"
