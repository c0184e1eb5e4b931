"""A student with dropout: resumes to the last bit, and every process has its own random stream."""

from pathlib import Path

import pytest
import torch

import sleepkd.models
import train_ddp
from forgetful import FORGETFUL
from launch import run, tiny
from runs import same_weights, stop_in_update, train
from sleepkd.checkpoints.checkpoint import Position, read_checkpoint
from sleepkd.distributed import Processes
from sleepkd.training.state import seed_process

OPTIONS = {"train__epochs": 2, "train__batch_size": 110, "model__name": "forgetful", "train__validate_every": 0}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sleepkd.models.NETWORKS, "forgetful", FORGETFUL)


def test_resumes_bit_for_bit(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a training epoch and at its end."""
    _, whole = train("ecg_base", tiny(store, tmp_path / "whole", **OPTIONS))
    _, without = train("ecg_base", tiny(store, tmp_path / "without", **OPTIONS | {"model__name": "utime"}))
    assert not same_weights(whole, without)
    overrides = tiny(store, tmp_path / "stopped", **OPTIONS)
    for number in (1, 2, 1):
        with monkeypatch.context() as patched:
            patched.setattr(train_ddp, "update", stop_in_update(number))
            train("ecg_base", overrides, code=train_ddp.EXIT_STOPPED)
        torch.manual_seed(99)  # the state of a new process does not matter
    assert same_weights(train("ecg_base", overrides)[1], whole)


def test_two_processes_resume_bit_for_bit(store: Path, tmp_path: Path) -> None:
    def two(root: str, stop: int, code: int = 0) -> Path:
        overrides = tiny(store, tmp_path / root, **OPTIONS)
        arguments = ("--config", "ecg_base", "--set", *overrides)
        run("tests/forgetful.py", *arguments, processes=2, code=code, STOP=str(stop))
        return tmp_path / root / "3class" / "ecg_base" / "last.pt"

    whole = read_checkpoint(two("whole", 0))
    position = read_checkpoint(two("stopped", 2, train_ddp.EXIT_STOPPED)).position
    assert (position.epoch, position.update) == (0, 2)
    assert same_weights(read_checkpoint(two("stopped", 0)), whole)
    random = whole.training["random"]
    assert len(random) == 2 and not torch.equal(random[0]["cpu"], random[1]["cpu"])


def test_every_process_has_its_own_random_stream() -> None:
    drawn = set()
    for rank, world in ((0, 1), (0, 2), (1, 2)):
        processes = Processes("cpu")
        processes.rank, processes.world = rank, world
        seed_process(0, processes, Position())
        drawn.add(float(torch.rand(())))
    assert len(drawn) == 3


def test_resuming_on_another_number_of_processes_notes_that_draws_differ(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = train("ecg_base", tiny(store, tmp_path, **OPTIONS | {"train__epochs": 1}))
    content = torch.load(folder / "last.pt", weights_only=True)
    content["training"]["random"] *= 2  # as of two processes
    torch.save(content, folder / "last.pt")
    for epochs, noted in ((2, True), (3, False)):
        capsys.readouterr()
        train("ecg_base", tiny(store, tmp_path, **OPTIONS | {"train__epochs": epochs}))
        note = "resumed on another number of processes: random draws (dropout) differ from here on"
        assert (note in capsys.readouterr().out) == noted
