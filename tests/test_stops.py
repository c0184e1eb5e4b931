"""SIGTERM at any moment of a run: the same command goes on to the same bits."""

import json
import signal
from pathlib import Path

import pytest
import torch
from launch import tiny

import train_ddp
from sleepkd.settings import load_config
from sleepkd.distillation.setup import Run
from sleepkd.distributed import Processes
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint

UPDATES, EPOCHS = 3, 3


def train(store: Path, root: Path) -> tuple[int, Path]:
    """Three epochs of three updates, validated after each; the exit code and the run's folder."""
    options = {"train__epochs": EPOCHS, "train__batch_size": 110, "train__ema_decay": 0.9}
    config = load_config(["ecg_base"], tiny(store, root, **options))
    return train_ddp.train(config, Processes("cpu")), config.run_directory


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody stops."""
    code, folder = train(store, tmp_path_factory.mktemp("whole"))
    assert code == 0
    assert read_checkpoint(folder / "last.pt").training["optimizer"]["state"][0]["step"] == UPDATES * EPOCHS
    return folder


def assert_same_end(folder: Path, whole: Path) -> None:
    for name in ("last.pt", "best.pt"):
        a, b = read_checkpoint(folder / name), read_checkpoint(whole / name)
        assert all(torch.equal(a.model[key], b.model[key]) for key in b.model)
        assert without_time(a) == without_time(b)
    assert steps(folder) == steps(whole)


def without_time(checkpoint: Checkpoint) -> dict:
    return {**vars(checkpoint.position), "seconds": 0}


def steps(folder: Path) -> list[tuple[str, int]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["kind"], line["step"]) for line in lines]


@pytest.mark.parametrize("after", range(1, UPDATES * EPOCHS + 1))
def test_stopped_after_any_update(
    store: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    real, done = train_ddp.update, 0

    def update(*args: object) -> torch.Tensor:
        nonlocal done
        done += 1
        if done == after:
            signal.raise_signal(signal.SIGTERM)
        return real(*args)

    monkeypatch.setattr(train_ddp, "update", update)
    code, folder = train(store, tmp_path)
    assert code == train_ddp.EXIT_STOPPED
    position = read_checkpoint(folder / "last.pt").position
    assert position.epoch * UPDATES + position.update == after  # no update more, even the last of an epoch
    code, _ = train(store, tmp_path)
    assert code == 0
    assert_same_end(folder, whole)


@pytest.mark.parametrize("method", ["save_best", "save_last"])
@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_stopped_around_validation(
    store: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, epoch: int
) -> None:
    """The signal comes while best.pt or the epoch's last.pt is written, or in validation itself."""
    real, calls = getattr(Run, method), 0

    def save(self: Run, *args: object) -> None:
        nonlocal calls
        calls += 1
        if self.state.position.epoch == epoch and self.state.position.update == 0:
            signal.raise_signal(signal.SIGTERM)
        real(self, *args)

    monkeypatch.setattr(Run, method, save)
    code, folder = train(store, tmp_path)
    assert calls and code in (0, train_ddp.EXIT_STOPPED)
    monkeypatch.undo()
    assert train(store, tmp_path)[0] == 0
    assert_same_end(folder, whole)


@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_stopped_in_validation(
    store: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    real = train_ddp.validate

    def validate(run: Run) -> dict:
        if run.state.position.epoch == epoch:
            signal.raise_signal(signal.SIGTERM)
        return real(run)

    monkeypatch.setattr(train_ddp, "validate", validate)
    code, folder = train(store, tmp_path)
    assert code == (0 if epoch == EPOCHS else train_ddp.EXIT_STOPPED)
    position = read_checkpoint(folder / "last.pt").position
    assert (position.epoch, position.update) == (epoch, 0)  # validated and saved before it left
    monkeypatch.undo()
    assert train(store, tmp_path)[0] == 0
    assert_same_end(folder, whole)
