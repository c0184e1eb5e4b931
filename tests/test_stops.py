"""SIGTERM at any moment of a run: the same command resumes, and ends with the same weights, to the last bit."""

import signal
from pathlib import Path

import pytest

import train_ddp
from launch import tiny
from runs import logged, same_weights, stop_in_update
from sleepkd.checkpoints.checkpoint import Checkpoint, Position, read_checkpoint
from sleepkd.distributed import Processes
from sleepkd.settings import load_config
from sleepkd.training.run_directory import RunDirectory

UPDATES, EPOCHS = 3, 3


def train(store: Path, root: Path) -> tuple[int, Path]:
    """Three training epochs of three updates, validated after each; the exit code and the run directory."""
    options = {"train__epochs": EPOCHS, "train__batch_size": 110, "train__ema_decay": 0.9}
    config = load_config(["ecg_base"], tiny(store, root, **options))
    return train_ddp.train(config, Processes("cpu")), config.run_directory


def position_of(folder: Path) -> Position:
    return read_checkpoint(folder / "last.pt").position


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of an uninterrupted run."""
    code, folder = train(store, tmp_path_factory.mktemp("whole"))
    assert code == 0
    assert read_checkpoint(folder / "last.pt").training["optimizer"]["state"][0]["step"] == UPDATES * EPOCHS
    return folder


def assert_same_end(folder: Path, whole: Path) -> None:
    for name in ("last.pt", "best.pt"):
        a, b = read_checkpoint(folder / name), read_checkpoint(whole / name)
        assert same_weights(a, b)
        assert {**vars(a.position), "seconds": 0} == {**vars(b.position), "seconds": 0}
    for kind in ("train", "validation"):
        assert [line["step"] for line in logged(folder, kind)] == [line["step"] for line in logged(whole, kind)]


def test_stopped_after_every_update(store: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each start makes a single update, whose position is the next; also the last one of a training epoch."""
    for done in range(1, UPDATES * EPOCHS + 1):
        with monkeypatch.context() as patched:
            patched.setattr(train_ddp, "update", stop_in_update(1))
            code, folder = train(store, tmp_path)
        assert code == train_ddp.EXIT_STOPPED
        position = position_of(folder)
        assert position.epoch * UPDATES + position.update == done
    assert train(store, tmp_path)[0] == 0
    assert_same_end(folder, whole)


@pytest.mark.parametrize("method", ["save_best", "save_last"])
def test_stopped_in_every_save(
    store: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    real = getattr(RunDirectory, method)

    def save(self: RunDirectory, checkpoint: Checkpoint) -> None:
        signal.raise_signal(signal.SIGTERM)
        real(self, checkpoint)

    monkeypatch.setattr(RunDirectory, method, save)
    starts = 1
    while train(store, tmp_path)[0] == train_ddp.EXIT_STOPPED:
        starts += 1
    _, folder = train(store, tmp_path)
    assert starts > 1
    assert_same_end(folder, whole)


def test_stopped_in_every_validation(store: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = train_ddp.validate

    def validate(*args: object) -> dict:
        signal.raise_signal(signal.SIGTERM)
        return real(*args)

    monkeypatch.setattr(train_ddp, "validate", validate)
    for epoch in range(1, EPOCHS + 1):
        code, folder = train(store, tmp_path)
        assert code == (0 if epoch == EPOCHS else train_ddp.EXIT_STOPPED)
        position = position_of(folder)
        assert (position.epoch, position.update) == (epoch, 0)  # validated and saved
    assert_same_end(folder, whole)
