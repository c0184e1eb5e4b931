"""The network that ships with sleepkd: its size, its inputs, and the scores on its model card."""

import json
from pathlib import Path

import numpy as np
import pytest

import sleepkd
from launch import REPOSITORY
from sleepkd import predict, prepare
from sleepkd.checkpoints.shipped import WEIGHTS, shipped_checkpoint
from sleepkd.data.data_settings import Source
from sleepkd.data.nights import open_nights

SLPDB = REPOSITORY.parent / "shared" / "data" / "slpdb"


def test_without_a_checkpoint_the_shipped_network_is_loaded() -> None:
    assert {sleepkd.load(name).trained.path for name in (None, "night", "shipped")} == {shipped_checkpoint()}
    assert set(sleepkd.load().trained.inputs) == {"beats"}  # of an ECG, it reads the heartbeats
    assert [folder.name for folder in WEIGHTS.iterdir()] == ["night"]


def test_it_is_small_and_its_card_states_data_and_scores() -> None:
    assert shipped_checkpoint().stat().st_size < 3e6
    model = sleepkd.load()
    first, second = model.about
    assert model.card.trained_on in first and "Kappa on real recordings: " in first
    assert second == "Not a medical device."
    page = shipped_checkpoint().with_name("card.md").read_text()
    assert model.card.trained_on in page and any(score.real for score in model.card.scores)
    assert "/" not in str(model.trained.config.runs_root).removeprefix("runs/")  # no paths of a developer's machine


def test_it_stages_an_ecg_and_heartbeats(cohort: Path, tmp_path: Path) -> None:
    beats = np.load(cohort / "truth" / "01-01-0001.npz")["beats"]
    (psg,) = cohort.glob("SS1_EDF/01-01-0001 PSG.edf")
    np.savetxt(tmp_path / "rr.csv", np.diff(beats), header="rr", comments="")
    arguments = [str(psg), str(tmp_path / "rr.csv"), "--out", str(tmp_path / "out"), "--checkpoint", "night"]
    assert predict.main(arguments) == 0
    assert (tmp_path / "out" / "index.html").read_text().count("Not a medical device.") == 1
    for night in (psg.stem, "rr"):
        summary = json.loads((tmp_path / "out" / night / "summary.json").read_text())
        assert summary["about"] == sleepkd.load("night").about and summary["staged"] > 50


def test_every_input_of_a_device_has_a_score_on_real_nights() -> None:
    card = sleepkd.load().card
    for kind, every_s in (("heartbeats", None), *(("averaged heart rate", x) for x in (5.0, 15.0, 30.0, 60.0))):
        found = card.scores_on(kind, every_s)
        assert found and all(score.real and score.low < score.kappa < score.high for score in found)
    assert all(nights.licence and nights.attribution for nights in card.training_nights)


@pytest.mark.slow
def test_the_weights_are_those_of_the_card(tmp_path: Path) -> None:
    """On its own training nights: a held-out score cannot be repeated with the network that ships."""
    if not SLPDB.is_dir():
        pytest.skip(f"{SLPDB} is missing")
    prepare.main(["--dataset", "slpdb_beats", "--raw", str(SLPDB), "--out", str(tmp_path)])
    model = sleepkd.load("night")
    expected = model.card.calibration["kappa of the network that ships on its own training nights"]["slpdb_beats"]
    found = []
    for night in open_nights((Source(str(tmp_path)),), "all"):
        matrix = model.stage(night).predicted.confusion
        chance = (matrix.sum(0) * matrix.sum(1)).sum() / matrix.sum() ** 2
        found.append((np.trace(matrix) / matrix.sum() - chance) / (1 - chance))
    assert np.mean(found) == pytest.approx(expected, abs=2e-3) and len(found) == 12
