"""Models that know nothing of some nights: no gradient from these, and the same results on any number of processes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from launch import run, tiny_night
from runs import distance, logged, train
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.data.nights import open_nights
from sleepkd.data.pseudo_labels import write_pseudo_labels
from sleepkd.data.segments import STUDENT, Segments
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.settings import load_config
from train_ddp import build_stage, forward

TAUGHT = ("stage.teacher=yasa", "loss.kd.weight=0.5", "loss.transition.weight=0.5", "loss.dist.weight=0.5")
PSEUDO = ("loss.pseudo={weight: 0.5, model: {three: 1, yasa: 0.5}}",)


@pytest.fixture(scope="module")
def partly_known(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store. `yasa` has 5 classes, and leaves out every seventh sleep epoch; `three` has 3 classes.

    Of the training nights, neither knows the first, only `three` the second, only `yasa` the third. A night that `yasa`
    does not know is NaN in its file, one that `three` does not know has no file.
    """
    copy = tmp_path_factory.mktemp("partly") / "store"
    shutil.copytree(store, copy)
    rng = np.random.default_rng(0)
    training = read_split(Store(copy), "default").parts["train"]
    for recording in Store(copy).recordings:
        night = Store(copy).open(recording)
        five = rng.dirichlet(np.ones(5), len(night.hypnogram))
        five[slice(None) if recording in training[:2] else slice(None, None, 7)] = np.nan
        write_pseudo_labels("yasa", night, five)
        if recording not in (training[0], training[2]):
            write_pseudo_labels("three", night, rng.dirichlet(np.ones(3), len(night.hypnogram)))
    return copy


def overrides(store: Path, runs_root: Path) -> list[str]:
    exact = {"train__precision": "fp64", "train__epochs": 2, "data__classes": 4, "model__dropout": 0}
    return [*tiny_night(store, runs_root, **exact), *TAUGHT, *PSEUDO]


def test_two_processes_and_two_micro_batches_give_the_same_weights(partly_known: Path, tmp_path: Path) -> None:
    folder, one = train("night_kd", overrides(partly_known, tmp_path / "one"), "beats")
    for line in logged(folder) + logged(folder, "validation"):
        assert all(line[name] > 0 for name in ("kd", "transition", "dist", "pseudo"))
    two = [*overrides(partly_known, tmp_path / "two"), "train.accumulate=2"]
    run("train_ddp.py", "--config", "night_kd", "beats", "--set", *two, processes=2)
    other = read_checkpoint(tmp_path / "two" / "4class" / "night_kd" / "last.pt")
    assert distance(one.model, other.model) < 1e-9


def test_only_known_sleep_epochs_count_and_have_a_gradient(partly_known: Path, tmp_path: Path) -> None:
    config = load_config(["night_kd", "beats"], [*overrides(partly_known, tmp_path), "loss.ce.weight=0"])
    nights = open_nights(config.data.sources, "train")
    stage = build_stage(config, nights[0].rate_hz)
    stage.to(torch.device("cpu"), torch.float64)
    models = stage.objective.pseudo_labels
    segments = Segments(nights, stage.readers, config.data, True, STUDENT, pseudo_labels=models)
    stage.teacher.prepare(segments, stage.objective, tmp_path, Processes("cpu"), 4)
    known = segments.table.known
    assert set(known) == {"three", "yasa"} and 0 < known["yasa"].sum() < segments.table.present.sum()
    rows = np.arange(len(segments))
    normalizers = stage.objective.normalizers(segments.table)
    assert normalizers["kd"] == known["yasa"].sum()
    assert normalizers["pseudo"] == pytest.approx(known["three"].sum() + 0.5 * known["yasa"].sum())

    logits, loss, losses = forward(
        stage, stage.learner, segments[rows].to(torch.device("cpu"), torch.float64), normalizers
    )
    (gradient,) = torch.autograd.grad(losses["kd"], logits, retain_graph=True)
    assert torch.equal(gradient.any(-1), torch.from_numpy(known["yasa"]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.equal(gradient.any(-1), torch.from_numpy(known["yasa"] | known["three"]))
    nothing = np.flatnonzero(~(known["yasa"] | known["three"]).any(axis=1))
    assert len(nothing)
    batch = segments[nothing].to(torch.device("cpu"), torch.float64)
    alone = stage.objective.normalizers(segments.table.take(nothing))
    assert forward(stage, stage.learner, batch, alone)[1].item() == 0


def test_a_model_that_knows_no_training_night_is_one_line(partly_known: Path, tmp_path: Path) -> None:
    wrong = [*tiny_night(partly_known, tmp_path), "loss.pseudo={weight: 1, model: sleepecq}"]
    with pytest.raises(UserError, match=r"sleepecq: no night of .* has pseudo-labels of it; run sleepkd pseudo-label"):
        train("night_ecg", wrong, "beats")
    assert not (tmp_path / "3class").exists()
