"""The network that ships with sleepkd: its size, its inputs, and the scores on its model card."""

import json
from pathlib import Path

import numpy as np
import pytest

import sleepkd
from launch import REPOSITORY
from sleepkd import predict, prepare
from sleepkd.data.data_settings import Source
from sleepkd.data.nights import open_nights
from sleepkd.prediction.model import WEIGHTS, shipped_checkpoint

SLPDB = REPOSITORY.parent / "shared" / "data" / "slpdb"


def test_without_a_checkpoint_the_shipped_network_is_loaded() -> None:
    assert sleepkd.load().trained.path == sleepkd.load("night").trained.path == shipped_checkpoint()
    assert set(sleepkd.load().trained.inputs) == {"ecg", "beats"}
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


@pytest.mark.slow
def test_kappa_on_real_recordings_is_that_of_the_card(tmp_path: Path) -> None:
    if not SLPDB.is_dir():
        pytest.skip(f"{SLPDB} is missing")
    prepare.main(["--dataset", "slpdb_beats", "--raw", str(SLPDB), "--out", str(tmp_path)])
    model = sleepkd.load("night")
    (expected,) = [score for score in model.card.scores_on("heartbeats") if score.cohort == "slpdb"]
    found = []
    for night in open_nights((Source(str(tmp_path)),), "all"):
        matrix = model.stage(night).predicted.confusion
        chance = (matrix.sum(0) * matrix.sum(1)).sum() / matrix.sum() ** 2
        found.append((np.trace(matrix) / matrix.sum() - chance) / (1 - chance))
    assert np.mean(found) == pytest.approx(expected.kappa, abs=2e-3) and len(found) == expected.nights == 12
