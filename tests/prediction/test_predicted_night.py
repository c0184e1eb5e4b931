"""A staged night in other libraries: YASA, MNE, pandas; pickled; drawn."""

import datetime as dt
import json
import pickle
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import yasa
from matplotlib import pyplot

from sleepkd.cohorts.clock import Start
from sleepkd.errors import UserError
from tests.prediction.nights import START, night_of

LETTERS = "WW-LLDD?RRLW"
NAMES = ["WAKE", "WAKE", "UNS", "LIGHT", "LIGHT", "DEEP", "DEEP", "UNS", "REM", "REM", "LIGHT", "WAKE"]


def test_it_is_the_pair_of_stages_and_probabilities() -> None:
    stages, probabilities = night = night_of(LETTERS)
    assert stages == ["W", "W", "unscored", *stages[3:]] == night[0] and probabilities.shape == (12, 4)
    assert np.isnan(probabilities).any(axis=1).tolist() == [letter == "-" for letter in LETTERS]
    copied = pickle.loads(pickle.dumps(night))
    assert copied.stages == stages and copied.start == night.start and copied.about == night.about
    assert "12 sleep epochs (3 W, 3 light, 2 deep, 2 REM, 2 unscored); heartbeats" in repr(night)


def test_the_hypnogram_of_yasa_has_stages_probabilities_and_times() -> None:
    found = night_of(LETTERS).hypnogram
    assert found.hypno.tolist() == NAMES and found.n_stages == 4
    assert found.hypno.index[0] == pd.Timestamp("2024-01-31 23:00:00.750")
    expected = pd.DataFrame(night_of(LETTERS).probabilities, columns=["WAKE", "LIGHT", "DEEP", "REM"])
    np.testing.assert_allclose(found.proba[list(expected)], expected.fillna(0), atol=1e-6)
    assert found.proba["UNS"].tolist() == [float(letter == "-") for letter in LETTERS]
    axes = found.plot_hypnodensity()
    pyplot.close(axes.figure)
    assert night_of(LETTERS, None).hypnogram.start is None
    utc = night_of(LETTERS, Start(dt.date(2024, 1, 31), dt.time(23), zone="UTC"))
    assert utc.start == dt.datetime(2024, 1, 31, 23, tzinfo=dt.UTC) == utc.hypnogram.start


def test_statistics_and_shares_are_those_of_its_stages() -> None:
    night = night_of(LETTERS)
    found = night.statistics()
    assert (found["TIB"], found["TST"], found["SOL"]) == (6.0, 3.5, 1.5)
    assert found["Lat_REM"] == 4.0 and found["REM latency"] == 2.5
    assert night.stage_shares() == pytest.approx({"W": 0.3, "light": 0.3, "deep": 0.2, "REM": 0.2})
    awake = night_of("WWWW")
    assert np.isnan(awake.statistics()["REM latency"]) and awake.statistics()["TST"] == 0
    assert night_of("??").stage_shares() == {}


def test_annotations_have_the_time_of_the_recording() -> None:
    marks = night_of(LETTERS).to_annotations()
    assert marks.orig_time == dt.datetime(2024, 1, 31, 23, 0, 0, 250_000, dt.UTC)
    assert list(marks.onset) == [30 * k + START.offset_s for k in range(12)] and set(marks.duration) == {30.0}
    assert [text.removeprefix("Sleep stage ") for text in marks.description] == list("WW?2233?RR2W")
    assert night_of(LETTERS, Start(None, dt.time(23))).to_annotations().orig_time is None


def test_its_edf_is_read_back_by_mne_at_the_same_times(tmp_path: Path) -> None:
    night = night_of(LETTERS)
    found = mne.read_annotations(night.to_edf(tmp_path / "night.edf"))
    expected = [(30 * k + 0.75, letter) for k, letter in enumerate("WW?2233?RR2W") if LETTERS[k] != "-"]
    assert [(onset, text[-1]) for onset, text in zip(found.onset, found.description, strict=True)] == expected


def test_bids_events_are_read_back_by_pandas_and_described(tmp_path: Path) -> None:
    path = night_of(LETTERS).to_bids(tmp_path / "sub-01" / "sub-01_task-sleep")
    assert path == tmp_path / "sub-01" / "sub-01_task-sleep_events.tsv"
    frame = pd.read_csv(path, sep="\t", na_values="n/a")
    assert list(frame.columns[:3]) == ["onset", "duration", "trial_type"]
    assert frame["trial_type"].tolist() == night_of(LETTERS).stages and frame["onset"].tolist() == list(
        range(0, 360, 30)
    )
    assert frame["p_light"].isna().tolist() == [letter == "-" for letter in LETTERS]
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert set(frame) <= set(sidecar) and set(frame["trial_type"]) <= set(sidecar["trial_type"]["Levels"])
    assert night_of("W").to_bids(tmp_path / "x_events.tsv").name == "x_events.tsv"
    with pytest.raises(UserError, match=r"x\.tsv: the name of BIDS events must end with _events\.tsv"):
        night_of("W").to_bids(tmp_path / "x.tsv")


def test_its_csv_is_read_back_by_yasa_and_shares_lie_in_their_rows(tmp_path: Path) -> None:
    frame = pd.read_csv(night_of(LETTERS).to_csv(tmp_path / "night.csv"))
    assert len(frame) == 11  # none in the gap
    stages = frame["stage"].replace("unscored", "UNS").tolist()
    assert yasa.Hypnogram(stages, n_stages=4).hypno.tolist() == [*NAMES[:2], *NAMES[3:]]
    assert frame["flat"].tolist() == [k / 100 for k, letter in enumerate(LETTERS) if letter != "-"]
    assert set(frame["beats"]) == {30}
    with pytest.raises(UserError, match=r"night\.xls: must end with \.csv, \.annot, \.eannot, \.ids"):
        night_of("W").to_csv(tmp_path / "night.xls")


def test_plot_returns_a_figure_with_date_and_input() -> None:
    figure = night_of(LETTERS).plot()
    assert len(figure.axes) == 3 and "2024-01-31 23:00\ninput: heartbeats" in figure.get_supxlabel()
    pyplot.close(figure)
