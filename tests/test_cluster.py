"""Several machines, as far as one can play them: two torchrun agents that meet over c10d; preemption by SIGTERM."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from launch import REPOSITORY, command, environment, run, tiny, wait_for_updates

from sleepkd.checkpoints.checkpoint import read_checkpoint


def model(root: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(root / "3class" / "ecg_base" / "last.pt").model


def two_agents(script: str, overrides: list[str], *options: str, **variables: str) -> list[str]:
    """Start two torchrun agents of one process each, as on two nodes; returns what each printed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    launch = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", "--rdzv_backend=c10d",
        f"--rdzv_endpoint=localhost:{port}", "--rdzv_id=test", *options, script, "--config", "ecg_base", "--set",
    ]  # fmt: skip
    nodes = [
        subprocess.Popen(
            [*launch, *overrides],
            cwd=REPOSITORY, env=environment() | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    printed = [node.communicate(timeout=240)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], printed
    return printed


def test_two_agents_are_two_nodes_of_one_run(store: Path, tmp_path: Path) -> None:
    printed = two_agents("train_ddp.py", tiny(store, tmp_path / "nodes"))
    assert sum("on 2 x cpu" in text for text in printed) == 1
    run("train_ddp.py", "--config", "ecg_base", "--set", *tiny(store, tmp_path / "one"), processes=2)
    one, two = model(tmp_path / "one"), model(tmp_path / "nodes")
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_both_nodes_start_anew_when_a_process_of_one_is_killed(store: Path, tmp_path: Path) -> None:
    """64 updates, saved every 8: rank 1 is killed before the 40th update of its first life."""
    long = {"train__epochs": 8, "train__batch_size": 40}
    printed = two_agents("tests/dying.py", tiny(store, tmp_path / "nodes", **long), "--max-restarts=3", DIE="update:40")
    assert sum(text.count("going on after update") for text in printed) == 1
    run("train_ddp.py", "--config", "ecg_base", "--set", *tiny(store, tmp_path / "one", **long), processes=2)
    one, two = model(tmp_path / "one"), model(tmp_path / "nodes")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_torchrun_passes_a_preemption_on(store: Path, tmp_path: Path) -> None:
    """SIGTERM to the agent, as Slurm sends it: every process saves and leaves, and the same command goes on."""
    overrides = tiny(store, tmp_path / "preempted", train__epochs=6, train__batch_size=16)
    process = subprocess.Popen(
        command("train_ddp.py", "--config", "ecg_base", "--set", *overrides, processes=2),
        cwd=REPOSITORY, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    folder = tmp_path / "preempted" / "3class" / "ecg_base"
    wait_for_updates(process, folder, 3)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, 2)
    assert "the same command goes on from" in printed
    assert read_checkpoint(folder / "last.pt").position.update > 0
    run("train_ddp.py", "--config", "ecg_base", "--set", *overrides, processes=2)
    whole = tiny(store, tmp_path / "whole", train__epochs=6, train__batch_size=16)
    run("train_ddp.py", "--config", "ecg_base", "--set", *whole, processes=2)
    resumed, straight = model(tmp_path / "preempted"), model(tmp_path / "whole")
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
