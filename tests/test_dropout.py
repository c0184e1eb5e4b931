"""A student that draws random numbers: bit for bit on resume, a stream of its own on every process."""

import subprocess
from pathlib import Path

import pytest
import torch
from forgetful import FORGETFUL
from launch import REPOSITORY, command, environment, tiny
from torch import Tensor, nn

import sleepkd.models
import train_ddp
from sleepkd.settings import load_config
from sleepkd.distributed import Processes
from sleepkd.checkpoints.checkpoint import Checkpoint, Position, read_checkpoint
from sleepkd.training.state import new_state

OPTIONS = {"train__epochs": 2, "train__batch_size": 110, "model__name": "forgetful", "train__validate_every": 0}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sleepkd.models.NETWORKS, "forgetful", FORGETFUL)


def train(store: Path, root: Path, **more: object) -> Checkpoint:
    config = load_config(["ecg_base"], tiny(store, root, **OPTIONS | more))
    train_ddp.train(config, Processes("cpu"))
    return read_checkpoint(config.run_directory / "last.pt")


def same(a: Checkpoint, b: Checkpoint) -> bool:
    return all(torch.equal(a.model[name], b.model[name]) for name in a.model)


@pytest.mark.parametrize("after", [1, 3, 4])
def test_resumes_bit_for_bit(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    whole = train(store, tmp_path / "whole")
    real, done = train_ddp.update, 0

    def update(run: train_ddp.Run, *args: object) -> Tensor:
        nonlocal done
        done += 1
        run.stop.requested |= done == after
        return real(run, *args)

    with monkeypatch.context() as patched:
        patched.setattr(train_ddp, "update", update)
        train(store, tmp_path / "broken")
    torch.manual_seed(99)  # what a new process would start from is not what matters
    assert same(train(store, tmp_path / "broken"), whole)


def test_two_processes_resume_bit_for_bit_too(store: Path, tmp_path: Path) -> None:
    def two(root: str, stop: int) -> tuple[str, Path]:
        arguments = ("--config", "ecg_base", "--set", *tiny(store, tmp_path / root, **OPTIONS))
        done = subprocess.run(
            command("tests/forgetful.py", *arguments, processes=2),
            cwd=REPOSITORY, env=environment() | {"STOP": str(stop)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr, tmp_path / root / "3class" / "ecg_base" / "last.pt"

    printed, whole = two("whole", 0)
    assert "trained in" in printed, printed
    _, broken = two("broken", 2)
    position = read_checkpoint(broken).position
    assert (position.epoch, position.update) == (0, 2)
    printed, _ = two("broken", 0)
    assert "trained in" in printed, printed
    assert same(read_checkpoint(broken), read_checkpoint(whole))
    random = read_checkpoint(whole).training["random"]
    assert len(random) == 2 and not torch.equal(random[0]["cpu"], random[1]["cpu"])


def test_the_draws_matter(store: Path, tmp_path: Path) -> None:
    assert not same(train(store, tmp_path / "a"), train(store, tmp_path / "b", model__name="utime"))


def test_every_process_draws_from_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    for rank, world in ((0, 1), (0, 2), (1, 2)):
        processes = Processes("cpu")
        processes.rank, processes.world = rank, world
        config = load_config(["ecg_base"], [])
        new_state(nn.Linear(1, 1), nn.ModuleDict(), config.train, Position(), processes)
        drawn.append(float(torch.rand(())))
    assert len(set(drawn)) == 3


def test_another_number_of_processes_says_that_the_draws_differ(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(store, tmp_path, train__epochs=1)
    path = tmp_path / "3class" / "ecg_base" / "last.pt"
    content = torch.load(path, weights_only=True)
    content["training"]["random"] *= 2  # as two processes would have left it
    torch.save(content, path)
    capsys.readouterr()
    train(store, tmp_path, train__epochs=2)
    assert "on 2 processes before: random draws (dropout) differ from here on" in capsys.readouterr().out
    train(store, tmp_path, train__epochs=3)
    assert "differ from here on" not in capsys.readouterr().out
