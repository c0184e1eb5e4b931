"""Estimate the training time of planned runs: from finished runs of the same row, or else from a few timed updates."""

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from sleepkd.checkpoints.checkpoint import Position, save_checkpoint
from sleepkd.checkpoints.trained import untrained
from sleepkd.data.splits import write_split
from sleepkd.data.store import Store
from sleepkd.data.views import segment_table
from sleepkd.errors import UserError
from sleepkd.provenance import launch_command
from sleepkd.study.cross_validation import SplitParts
from sleepkd.study.jobs import TrainingJob

TIMED_UPDATES = 3
FORWARD = 1 / 3  # of an update's arithmetic: the backward pass computes two products for each of the forward's


def estimate_seconds(
    jobs: Sequence[TrainingJob],
    positions: Mapping[TrainingJob, Position | None],
    processes: int,
    splits: Mapping[str | None, SplitParts],
) -> dict[TrainingJob, float]:
    """Seconds of training that each run still needs, without start-up and evaluation.

    positions: of all runs, including those that others need. processes: of each run. splits: recordings of each part,
    by `RunGroup.split`. Raises UserError where the store cannot be read or a run cannot start.
    """
    per_epoch: dict[str, float] = {}
    for job, position in positions.items():
        if position and position.epoch:
            per_epoch[job.row] = position.seconds / position.epoch
    for job in jobs:
        if job.row not in per_epoch:
            needed = [other for other in positions if other.group == job.group and other.row in job.needs]
            per_epoch[job.row] = _measured(job, needed, processes, splits[job.group.split])
    left = {job: job.config.train.epochs - (position.epoch if (position := positions[job]) else 0) for job in jobs}
    return {job: per_epoch[job.row] * left[job] for job in jobs}


def _measured(job: TrainingJob, needed: Sequence[TrainingJob], processes: int, parts: SplitParts) -> float:
    """Seconds of one training epoch: its updates and its share of validation."""
    config = job.config
    store = Store(config.data.store)
    segments = {}
    for part in ("train", "validation"):
        nights = [store.open(recording) for recording in parts[part]]
        segments[part] = len(segment_table(nights, [{}] * len(nights), config.data, scored_only=True, unlabelled=False))
    update = time_update(job, needed, processes, parts, store.rate_hz)
    validations = 1 / config.train.validate_every if config.train.validate_every else 0
    updates, forwards = (-(-count // config.train.batch_size) for count in segments.values())
    return update * (updates + validations * forwards * FORWARD)


def time_update(
    job: TrainingJob, needed: Sequence[TrainingJob], processes: int, parts: SplitParts, rate_hz: float
) -> float:
    """Seconds per update: the run is started in a temporary folder and stopped after a few updates.

    Earlier stages that it needs are replaced by untrained networks.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_split(folder / "split", parts, "of a time estimate")
        for other in needed:
            run_directory = folder / other.config.run_directory.relative_to(other.config.runs_root)
            save_checkpoint(run_directory / "best.pt", untrained(other.config, rate_hz))
        run_directory = folder / job.config.run_directory.relative_to(job.config.runs_root)
        settings = (
            f"runs_root={folder}", f"data.split={folder / 'split'}", "train.log_every=1", "train.validate_every=0",
            "distill.cache_teacher=false", f"train.epochs={TIMED_UPDATES + 1}",
        )  # fmt: skip
        command = launch_command("train_ddp.py", processes, (*job.arguments, *settings))
        log = folder / "log"
        with log.open("w") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
            try:
                while process.poll() is None and len(_moments(run_directory)) <= TIMED_UPDATES:
                    time.sleep(0.05)
            finally:
                process.terminate()
                process.wait()
        moments = _moments(run_directory)
        if len(moments) <= TIMED_UPDATES:
            lines = log.read_text(errors="replace").splitlines()
            errors = [line for line in lines if line.startswith("error: ")]
            raise UserError(
                f"{job.row}: cannot be timed: {(errors or lines or ['it ended'])[0].removeprefix('error: ')}"
            )
        return float(np.median([later - earlier for earlier, later in pairwise(moments)]))


def _moments(run_directory: Path) -> list[float]:
    """Times at which updates were logged, s."""
    path = run_directory / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line)["time"] for line in lines if line.startswith('{"kind": "train"') and line.endswith("}")]
