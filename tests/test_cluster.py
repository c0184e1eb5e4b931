"""torchrun: two agents that meet over c10d, as on two machines; preemption by SIGTERM; restarts after a kill."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from launch import REPOSITORY, environment, free_port, run, tiny, torchrun, wait_for_updates
from runs import logged, same_weights
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint

LONG = {"train__epochs": 4, "train__batch_size": 20}  # 16 updates per training epoch
RESTARTS = ("--max-restarts=1",)


def last(root: Path) -> Checkpoint:
    return read_checkpoint(root / "3class" / "ecg_base" / "last.pt")


def uninterrupted(store: Path, root: Path, **options: object) -> Checkpoint:
    """last.pt of the same run on two processes without torchrun."""
    run("train_ddp.py", "--config", "ecg_base", "--set", *tiny(store, root, **options), processes=2)
    return last(root)


def two_agents(script: str, overrides: list[str], *options: str, **variables: str) -> list[str]:
    """Run two torchrun agents of one process each, as on two machines; returns what each printed."""
    launch = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", "--rdzv_backend=c10d",
        f"--rdzv_endpoint=localhost:{free_port()}", "--rdzv_id=test", *options, script, "--config", "ecg_base", "--set",
    ]  # fmt: skip
    agents = [
        subprocess.Popen(
            [*launch, *overrides],
            cwd=REPOSITORY, env=environment() | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    printed = [agent.communicate(timeout=240)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], printed
    return printed


@pytest.mark.slow
def test_two_agents_restart_when_a_process_of_one_is_killed(store: Path, tmp_path: Path) -> None:
    """Rank 1 is killed before update 20."""
    printed = two_agents("tests/dying.py", tiny(store, tmp_path / "agents", **LONG), *RESTARTS, DIE="update:20")
    assert sum("on 2 x cpu" in text for text in printed) == 1
    assert sum(text.count(": resumes after update 16") for text in printed) == 1
    assert same_weights(last(tmp_path / "agents"), uninterrupted(store, tmp_path / "whole", **LONG))


def test_torchrun_restarts_after_a_kill_and_passes_sigterm_on(store: Path, tmp_path: Path) -> None:
    """Rank 1 is killed before update 20. The restarted run resumes, gets SIGTERM as Slurm sends it, and exits."""
    overrides = tiny(store, tmp_path / "killed", **LONG)
    process = torchrun("tests/dying.py", "--config", "ecg_base", "--set", *overrides, options=RESTARTS, DIE="update:20")
    folder = tmp_path / "killed" / "3class" / "ecg_base"
    wait_for_updates(process, folder, 24)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, 2)
    assert printed.count(": resumes after update 16") == 1
    assert f"the same command resumes from {folder / 'last.pt'}" in printed
    position = read_checkpoint(folder / "last.pt").position
    assert position.epoch < 4 and position.epoch * 16 + position.update >= 24
    resumed = uninterrupted(store, tmp_path / "killed", **LONG)
    assert same_weights(resumed, uninterrupted(store, tmp_path / "whole", **LONG))
    assert [line["step"] for line in logged(folder)] == list(range(1, 65))
