"""The networks that come with sleepkd: small, able to stage whatever there is, and as good as their cards say."""

import json
from pathlib import Path

import numpy as np
import pytest
from launch import REPOSITORY

import sleepkd
from sleepkd import predict, prepare
from sleepkd.data.nights import open_nights
from sleepkd.data.data_settings import Source
from sleepkd.prediction.model import OWN, own_weights

SLPDB = REPOSITORY.parent / "shared" / "data" / "slpdb"
HELD = [name for name in OWN if own_weights(name).is_file()]


def test_without_a_checkpoint_it_is_the_one_of_simulated_nights() -> None:
    assert sleepkd.load().trained.path == sleepkd.load("night").trained.path == own_weights("night")
    assert set(sleepkd.load().trained.inputs) == {"ecg", "beats"}


@pytest.mark.parametrize("name", HELD)
def test_it_is_small_and_says_what_it_is(name: str) -> None:
    assert own_weights(name).stat().st_size < 3e6
    first, second = sleepkd.load(name).about
    assert "simulated nights" in first and "real records" in first and "kappa" in first
    assert second == "Not a medical device."
    assert "/" not in str(sleepkd.load(name).trained.config.runs_root).removeprefix("runs/")  # nobody's folders


@pytest.mark.parametrize("name", HELD)
def test_it_stages_an_ecg_and_beats(name: str, cohort: Path, tmp_path: Path) -> None:
    beats = np.load(cohort / "truth" / "01-01-0001.npz")["beats"]
    (psg,) = cohort.glob("SS1_EDF/01-01-0001 PSG.edf")
    np.savetxt(tmp_path / "rr.csv", np.diff(beats), header="rr", comments="")
    given = [str(psg), str(tmp_path / "rr.csv"), "--out", str(tmp_path / "out"), "--checkpoint", name]
    assert predict.main(given) == 0
    assert (tmp_path / "out" / "index.html").read_text().count("Not a medical device.") == 1
    for night in (psg.stem, "rr"):
        summary = json.loads((tmp_path / "out" / night / "summary.json").read_text())
        assert summary["about"] == sleepkd.load(name).about and summary["staged"] > 50


@pytest.mark.slow
def test_night_does_on_real_hearts_what_its_card_says(tmp_path: Path) -> None:
    if not SLPDB.is_dir():
        pytest.skip(f"{SLPDB} is not there")
    prepare.main(["--dataset", "slpdb_beats", "--raw", str(SLPDB), "--out", str(tmp_path)])
    model = sleepkd.load("night")
    said = json.loads(own_weights("night").with_name("card.json").read_text())["kappa_by_night"]["real"]
    found = {}
    for night in open_nights((Source(str(tmp_path)),), "all"):
        matrix = model.stage(night).predicted.confusion
        chance = (matrix.sum(0) * matrix.sum(1)).sum() / matrix.sum() ** 2
        found[night.info.recording] = (np.trace(matrix) / matrix.sum() - chance) / (1 - chance)
    assert found == pytest.approx(said, abs=2e-3) and len(said) == 12
