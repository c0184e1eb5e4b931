"""The adaptation study: whose nights are own ones, the runs, and the gain on nights of other people."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from launch import tiny_night
from scripts import adapt_study
from sleepkd import prepare, simulate
from sleepkd.checkpoints.checkpoint import save_checkpoint
from sleepkd.checkpoints.shipped import shipped_checkpoint
from sleepkd.checkpoints.trained import untrained
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.settings import load_config
from sleepkd.study.adapt_plan import adaptation_gain, draw_own
from tests.evaluation.nights import made_up_night


def test_larger_numbers_of_own_nights_contain_smaller_ones_and_share_their_test_nights(store: Path) -> None:
    opened = Store(store)
    drawn = draw_own(opened, (1, 2, 4), 0)
    before: set[str] = set()
    for number, parts in drawn.items():
        own = {*parts["train"]}
        assert before < own and len(own) == number and parts["validation"] == ()
        assert len(parts["test"]) == 2 and parts["test"] == drawn[4]["test"] and not own & set(parts["test"])
        before = own
    assert len({draw_own(opened, (1,), seed)[1]["train"] for seed in range(8)}) > 2
    with pytest.raises(UserError, match="--numbers: 6 of 6 nights leave none to test on"):
        draw_own(opened, (2, 6), 0)


def test_subjects_are_drawn_whole_and_unlabelled_nights_are_left_out(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nights of each subject; the last night has no labels."""
    opened, info = Store(store), Store.info
    order = {name: i for i, name in enumerate(opened.recordings)}

    def paired(self: Store, name: str) -> object:
        changes = {"subject": f"s{order[name] // 2}"} | ({"scoring": ""} if order[name] == 5 else {})
        return dataclasses.replace(info(self, name), **changes)

    monkeypatch.setattr(Store, "info", paired)
    parts = draw_own(opened, (1,), 0)[1]
    subjects = {part: {order[name] // 2 for name in names} for part, names in parts.items()}
    assert not subjects["train"] & subjects["test"] and len(subjects["train"]) == 1 and len(subjects["test"]) == 2
    assert sum(map(len, parts.values())) == 5 and opened.recordings[5] not in {*parts["train"], *parts["test"]}


def test_the_gain_is_paired_by_night_within_each_draw() -> None:
    names = ("W", "light", "deep", "REM")
    before = [made_up_night(f"r{i}", seed=i, skill=0.5) for i in range(6)]
    after = {
        0: [made_up_night(f"r{i}", seed=i, skill=1.5) for i in (0, 1, 2, 3)],
        1: [made_up_night(f"r{i}", seed=i, skill=2.0) for i in (2, 3, 4, 5)],
    }
    found = adaptation_gain(dict.fromkeys(after, before), after, names, draws=200)
    kappas = {seed: [compare({0: before}, {0: [night]}, names, draws=2) for night in of] for seed, of in after.items()}
    gains = [[one["difference"]["mean"]["kappa"]["value"] for one in of_seed] for of_seed in kappas.values()]
    assert found["gain"]["kappa"]["value"] == pytest.approx(np.mean([np.mean(of_seed) for of_seed in gains]))
    assert found["after"] - found["before"] == pytest.approx(found["gain"]["kappa"]["value"])
    assert (found["nights"], found["draws"], found["better"] + found["worse"]) == (6, 2, 6)


def test_the_study_writes_its_table_and_resumes(
    store: Path, tmp_path: Path, started: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(["night_ecg"], tiny_night(store, tmp_path))
    torch.manual_seed(0)
    checkpoint = untrained(config, 64)
    checkpoint.trained_on = {}
    save_checkpoint(tmp_path / "start.pt", checkpoint)
    settings = ["train.epochs=1", "train.batch_size=14", "train.log_every=1", "data.segment_minutes=5"]
    command = ["--checkpoint", str(tmp_path / "start.pt"), "--store", str(store), "--out", str(tmp_path / "out")]
    command += ["--numbers", "1", "2", "--seeds", "0", "1", "--draws", "100", "--set", *settings]
    assert adapt_study.main(command) == 0
    assert len(started) == 8 and sum("evaluate" in name for name in started) == 4
    content = json.loads((tmp_path / "out" / "adapt.json").read_text())
    assert list(content["own_nights"]) == ["1", "2"]
    assert all(found["draws"] == 2 for found in content["own_nights"].values())
    page = (tmp_path / "out" / "adapt.md").read_text()
    assert "| 1 |" in page and "| 2 |" in page and "in 3 classes" in page
    started.clear()
    assert adapt_study.main(command) == 0
    assert started == []
    checkpoint.trained_on = {f"mass/{Store(store).recordings[0]}": []}
    save_checkpoint(tmp_path / "start.pt", checkpoint)
    with pytest.raises(UserError, match=r"start\.pt: it, its teacher .* was trained on 1 of the 6 recordings to score"):
        adapt_study.main(command)


@pytest.mark.slow
def test_four_own_nights_of_another_device_improve_the_network_that_ships(tmp_path: Path) -> None:
    """Simulated nights as a heart rate averaged over 60 s. The gain was .044; with a bias of 60 s it starts higher."""
    raw, mine, out = tmp_path / "raw", tmp_path / "mine", tmp_path / "out"
    device = ["--channels", "beats", "--device", "band", "--apnea", "0"]
    simulate.main(["--out", str(raw), "--nights", "7", "--hours", "6", "--seed", "3", *device])
    prepare.main(["--dataset", "simulated_rate", "--raw", str(raw), "--out", str(mine)])
    start = ["--checkpoint", str(shipped_checkpoint()), "--store", str(mine), "--out", str(out)]
    assert adapt_study.main([*start, "--numbers", "4", "--seeds", "0", "--draws", "100"]) == 0
    found = json.loads((out / "adapt.json").read_text())["own_nights"]["4"]
    assert found["gain"]["kappa"]["value"] > 0.02 and found["better"] > found["worse"]
