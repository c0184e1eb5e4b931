"""Starts train_ddp.py and evaluate.py as a user does, in one or more processes of their own, on tiny networks.

The processes are forked from a server that has imported torch, which saves seconds per start. `command` is the command
line of the same run under torchrun, for tests of torchrun itself.
"""

import functools
import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parent.parent
STAGES = ("eeg_base", "ecg_base", "kd_temp", "feat_train", "feat_wce", "feat_temp")
NIGHT_STAGES = ("night_eeg", "night_ecg", "night_kd", "night_at", "night_feat")


def tiny(store: Path, runs_root: Path, **more: object) -> list[str]:
    """Overrides for a network of about a thousand parameters and one training epoch of two updates."""
    return _overrides(
        more,
        {
            "runs_root": runs_root,
            "data.store": store,
            "data.classes": 3,
            "model.filters": "[2,2,2,2,2]",
            "model.bottom_filters": 4,
            "train.epochs": 1,
            "train.batch_size": 300,
            "train.validate_every": 1,
            "train.log_every": 1,
        },
    )


def tiny_night(store: Path, runs_root: Path, **more: object) -> list[str]:
    """Overrides for a night network of about two thousand parameters and one training epoch on 5-minute segments."""
    return _overrides(
        more,
        {
            "runs_root": runs_root,
            "data.store": store,
            "data.classes": 3,
            "data.segment_minutes": 5,
            "model.width": 8,
            "model.filters": 4,
            "model.repeats": 1,
            "model.dilations": "[1,2]",
            "loss.at.taps": "[[fuse],[context.1]]",
            "loss.hint.tap": "context.1",
            "train.epochs": 1,
            "train.batch_size": 14,
            "train.validate_every": 1,
            "train.log_every": 1,
        },
    )


def _overrides(more: Mapping[str, object], defaults: dict[str, object]) -> list[str]:
    """KEY=VALUE of the defaults and of `more`, whose keys have two underscores for a dot."""
    values = defaults | {key.replace("__", "."): value for key, value in more.items()}
    return [f"{key}={value}" for key, value in values.items()]


class Started:
    """A script that was started in the background, in so many processes. variables: of their environment."""

    def __init__(self, script: str, *arguments: object, processes: int = 1, **variables: str):
        self._folder = tempfile.TemporaryDirectory()
        self._output = Path(self._folder.name) / "output.log"
        environments: list[dict[str, str]] = [variables]
        if processes > 1:
            shared = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
            ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
            environments = [{"LOCAL_WORLD_SIZE": str(processes), **shared, **rank, **variables} for rank in ranks]
        text = [str(argument) for argument in arguments]
        self.processes = [
            _server().Process(target=_run_script, args=(script, text, self._output, each)) for each in environments
        ]
        for process in self.processes:
            process.start()

    @property
    def output(self) -> str:
        """What the processes have printed so far."""
        return self._output.read_text() if self._output.exists() else ""

    def poll(self) -> int | None:
        """None while all processes run."""
        return next((process.exitcode for process in self.processes if not process.is_alive()), None)

    def terminate(self) -> None:
        """Send SIGTERM to all processes."""
        for process in self.processes:
            process.terminate()

    def kill(self) -> None:
        """Send SIGKILL to all processes."""
        for process in self.processes:
            process.kill()

    def wait(self, timeout: float = 300) -> int:
        """Wait for the end; returns the first exit code other than 0. A failed process ends the others."""
        deadline = time.monotonic() + timeout
        while any(process.is_alive() for process in self.processes):
            failed = [process for process in self.processes if process.exitcode]
            if time.monotonic() > deadline or failed:
                for process in self.processes:
                    process.join(2 if failed else 0)  # others may fail of the same
                    process.kill()
            time.sleep(0.005)
        return next((process.exitcode for process in self.processes if process.exitcode), 0)


def run(script: str, *arguments: object, processes: int = 1, code: int = 0, **variables: str) -> str:
    """Run a script to its end; returns what it printed. The test fails where it ends with another exit code."""
    started = Started(script, *arguments, processes=processes, **variables)
    found = started.wait()
    assert found == code, started.output
    return started.output


def wait_for_updates(process: Started | subprocess.Popen, run_directory: Path, updates: int) -> None:
    """Wait until a run has logged so many updates (`tiny` logs each). The test fails where the run ends before."""
    log = run_directory / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists() or log.read_text().count('"kind": "train"') < updates:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)


def command(script: str, *arguments: object, processes: int = 1, options: Sequence[str] = ()) -> list[str]:
    """The command line of a script, under torchrun for more than one process. options: of torchrun."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", *options)
    return [sys.executable, *(torchrun if processes > 1 else ()), script, *map(str, arguments)]


def environment() -> dict[str, str]:
    """The environment of a command: one thread per process, and the package importable."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


def torchrun(script: str, *arguments: object, options: Sequence[str] = (), **variables: str) -> subprocess.Popen:
    """Start a script on two processes under torchrun in the background. variables: of their environment."""
    return subprocess.Popen(
        command(script, *arguments, processes=2, options=options),
        cwd=REPOSITORY, env=environment() | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def free_port() -> int:
    """A port of this machine that no process listens on."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@functools.cache
def _server() -> ForkServerContext:
    """The server that processes are forked from, started once per test process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "torch._dynamo", "train_ddp", "evaluate"])
    before = dict(os.environ)
    os.environ.update(environment())
    forkserver.ensure_running()
    os.environ.clear()
    os.environ.update(before)
    return context


def _run_script(script: str, arguments: list[str], output: Path, variables: Mapping[str, str]) -> None:
    """Run a script in this process, as `python SCRIPT` does, with its output appended to a file."""
    with output.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.chdir(REPOSITORY)
    os.environ.update(variables)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [script, *arguments]
    runpy.run_path(str(REPOSITORY / script), run_name="__main__")
