"""How tests start the scripts: in their own processes, as a user does."""

import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STAGES = ("eeg_base", "ecg_base", "kd_temp", "feat_train", "feat_wce", "feat_temp")
NIGHT_STAGES = ("night_eeg", "night_ecg", "night_kd", "night_at", "night_feat")


def tiny(store: Path, runs_root: Path, **more: object) -> list[str]:
    """Overrides for a network of about a thousand parameters and one epoch of two updates on the test cohort."""
    values = {
        "runs_root": runs_root,
        "data.store": store,
        "data.classes": 3,
        "model.filters": "[2,2,2,2,2]",
        "model.bottom_filters": 4,
        "train.epochs": 1,
        "train.batch_size": 300,
        "train.validate_every": 1,
        "train.log_every": 1,
    } | {key.replace("__", "."): value for key, value in more.items()}
    return [f"{key}={value}" for key, value in values.items()]


def tiny_night(store: Path, runs_root: Path, **more: object) -> list[str]:
    """Overrides for a network of nights of about two thousand parameters, and one epoch on the test cohort's crops."""
    values = {
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
    } | {key.replace("__", "."): value for key, value in more.items()}
    return [f"{key}={value}" for key, value in values.items()]


def command(script: str, *arguments: object, processes: int = 1) -> list[str]:
    """The command line of a script, under torchrun for more than one process."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}")
    return [sys.executable, *(torchrun if processes > 1 else ()), script, *map(str, arguments)]


def environment() -> dict[str, str]:
    """One thread per process, and the package importable."""
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


def run(script: str, *arguments: object, processes: int = 1, code: int = 0) -> str:
    """Run a script to its end; returns what it printed. The test fails where it ends with another exit code."""
    done = subprocess.run(
        command(script, *arguments, processes=processes),
        cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    return output


def wait_for_updates(process: subprocess.Popen, run_directory: Path, updates: int) -> None:
    """Wait until a run that was started has logged so many updates (`tiny` logs each). The test fails where it ends."""
    log = run_directory / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not log.exists() or log.read_text().count('"kind": "train"') < updates:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
