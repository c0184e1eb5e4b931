"""The moving average of the student's weights as its teacher (`stage.teacher: self`)."""

from pathlib import Path

import pytest
import torch

import train_ddp
from launch import run, tiny_night
from runs import distance, logged, same_weights, stop_in_update, train
from sleepkd.checkpoints.checkpoint import read_checkpoint


def overrides(store: Path, runs_root: Path, **more: object) -> list[str]:
    options = {"train__precision": "fp64", "stage__teacher": "self", "train__ema_decay": 0.9, "train__epochs": 2}
    return tiny_night(store, runs_root, **options | more)


def test_the_moving_average_is_the_teacher(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a stop within a training epoch, to the last bit."""
    folder, whole = train("night_kd", overrides(store, tmp_path / "whole"), "beats")
    lines = logged(folder)
    assert lines[0]["kd"] == pytest.approx(0, abs=0.1) and lines[-1]["kd"] > 0  # equal at first, but for dropout
    average = {k.removeprefix("module."): v for k, v in whole.training["average"].items() if k != "n_averaged"}
    assert any(not torch.equal(value, whole.model[name]) for name, value in average.items())
    with monkeypatch.context() as patched:
        patched.setattr(train_ddp, "update", stop_in_update(3))
        train("night_kd", overrides(store, tmp_path / "stopped"), "beats", code=train_ddp.EXIT_STOPPED)
    _, resumed = train("night_kd", overrides(store, tmp_path / "stopped"), "beats")
    assert same_weights(whole, resumed)


def test_the_same_weights_on_one_and_two_processes(store: Path, tmp_path: Path) -> None:
    _, one = train("night_kd", overrides(store, tmp_path / "one", model__dropout=0), "beats")
    two = overrides(store, tmp_path / "two", model__dropout=0)
    run("train_ddp.py", "--config", "night_kd", "beats", "--set", *two, processes=2)
    other = read_checkpoint(tmp_path / "two" / "3class" / "night_kd" / "last.pt")
    assert distance(one.model, other.model) < 1e-9
