"""Running a plan: each training run and each evaluation, in processes of their own; and what they left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

import torch

from sleepkd.checkpoints.checkpoint import Position
from sleepkd.checkpoints.trained import best_or_last
from sleepkd.config import to_dict
from sleepkd.distillation.stage import by_device
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation.predictions import read_predictions
from sleepkd.provenance import launch_command, shown
from sleepkd.study.plan import Group, Job
from sleepkd.study.table import Results
from sleepkd.training.run_directory import resumable
from sleepkd.training.schedule import is_finished

EXIT_STOPPED = 143


class Stopped(Exception):
    """It was asked to stop."""


class Runner:
    """Starts the runs, those of a group one after the other, of so many groups at a time.

    failed: what went wrong, by run; what does not need it goes on.
    """

    def __init__(self, out: Path, processes: int, groups_at_a_time: int = 1):
        self.out, self.processes, self.at_a_time = out, processes, groups_at_a_time
        self.failed: dict[Job, str] = {}
        self._children: set[subprocess.Popen] = set()
        self._places: SimpleQueue[dict[str, str]] = SimpleQueue()
        for place in places(groups_at_a_time, processes):
            self._places.put(place)
        self._stopped = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def each(self, groups: Sequence[Group], work: Callable[[Group], None]) -> None:
        """Do the work of every group. Leaves the process where it was asked to stop, when all runs have saved."""
        pool = ThreadPoolExecutor(self.at_a_time)
        try:
            if self.at_a_time == 1:
                for group in groups:
                    work(group)
            else:
                for working in [pool.submit(work, group) for group in groups]:
                    working.result()
        except Stopped:
            pool.shutdown()
            print("stopped; the same command goes on from here", flush=True)
            sys.exit(EXIT_STOPPED)
        finally:
            pool.shutdown(cancel_futures=True)

    def train(self, jobs: Sequence[Job]) -> None:
        """Train what is not finished. Raises Stopped."""
        for i, job in enumerate(jobs, start=1):
            name = f"{job.group}: {i}/{len(jobs)} {job.row}"
            broken = [other.row for other in self.failed if other.group == job.group and other.row in job.needs]
            if broken:
                self._fail(job, f"needs {' and '.join(broken)}")
                continue
            try:
                position = reached(job)
            except UserError as error:
                self._fail(job, str(error))
                continue
            if position and is_finished(job.config.train, position):
                print(f"{name}: kept", flush=True)
                continue
            print(f"{name}: {'goes on' if position else 'starts'}", flush=True)
            started = time.monotonic()
            why = self._run(f"{job.row}-{slug(job.group)}", "train_ddp.py", job.arguments)
            if why:
                self._fail(job, why)
            else:
                print(f"{name}: {(time.monotonic() - started) / 60:.1f} min", flush=True)

    def evaluate(self, jobs: Sequence[Job], store: str = "") -> None:
        """Predict the test nights with what has been trained since they were last predicted, or those of a store.

        Raises Stopped.
        """
        root = elsewhere(self.out, store)
        due = [job for job in jobs if job.scored and job not in self.failed and not is_evaluated(job, root)]
        if not due:
            return
        group = due[0].group
        results = group.results(root)
        out = results / due[0].row if len(due) == 1 else results  # evaluate.py makes a folder per run of several
        checkpoints = [best_or_last(job.config.run_directory) for job in due]
        arguments = ("--checkpoint", *checkpoints, "--out", out, "--only-scores")
        arguments += ("--store", store, "--split", "all") if store else ()
        why = self._run(f"evaluate-{slug(group)}{'-elsewhere' if store else ''}", "evaluate.py", arguments)
        for job in due if why else ():
            self._fail(job, why)

    def _run(self, name: str, script: str, arguments: Sequence[object]) -> str:
        """Run a script to its end, its output in OUT/logs; returns why it failed, "" where it did not.

        Raises Stopped.
        """
        if self._stopped:
            raise Stopped
        log = self.out / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = launch_command(script, self.processes, arguments)
        place = self._places.get()  # one is free: there are as many as groups at a time
        with log.open("w", encoding="utf-8") as file:
            file.write(f"$ {shown(command)}\n")
            file.flush()
            child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | place)
            self._children.add(child)
            if self._stopped:  # between the first look and the start
                child.terminate()
            code = child.wait()
        self._children.remove(child)
        self._places.put(place)
        if self._stopped:
            raise Stopped
        return f"exit code {code}: {last_words(log)} ({log})" if code else ""

    def _fail(self, job: Job, why: str) -> None:
        self.failed[job] = why
        print(f"{job.group}: {job.row}: FAILED, {why}", flush=True)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Pass SIGTERM on; a terminal's Ctrl-C has reached the child already. It saves and leaves."""
        self._stopped = True
        for child in tuple(self._children) if number == signal.SIGTERM else ():
            child.terminate()


def places(at_a_time: int, processes: int) -> list[dict[str, str]]:
    """Environment variables of runs side by side, by which they share the cores and the GPUs of a machine.

    A GPU has several of them where there are more runs than GPUs. A run by itself has all.
    """
    if at_a_time == 1:
        return [{}]
    threads = max(1, (os.cpu_count() or 1) // (at_a_time * processes))
    cores = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(threads)}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    sets = [gpus[first : first + processes] for first in range(0, len(gpus) - processes + 1, processes)]
    if not sets:
        return [cores] * at_a_time
    return [cores | {"CUDA_VISIBLE_DEVICES": ",".join(sets[i % len(sets)])} for i in range(at_a_time)]


def elsewhere(out: Path, store: str) -> Path:
    """Where the results of another store are kept, "" being the one that was trained on."""
    return out / "elsewhere" / Path(store).name if store else out


def reached(job: Job) -> Position | None:
    """How far a run has come; UserError where its folder holds a run with other settings, or a damaged one."""
    config = by_device(job.config, Processes(job.config.train.device).device)
    checkpoint = resumable(config.run_directory, to_dict(config))
    return checkpoint.position if checkpoint else None


def is_evaluated(job: Job, out: Path) -> bool:
    """Whether a run's predictions are there and younger than its checkpoint."""
    metrics = job.group.results(out) / job.row / "metrics.json"
    return metrics.is_file() and metrics.stat().st_mtime >= best_or_last(job.config.run_directory).stat().st_mtime


def read_results(out: Path, jobs: Sequence[Job], failed: dict[Job, str]) -> Results:
    """The predictions of all runs by classes, row and seed; the nights of a seed's folds together.

    A row counts only where all its folds are there: it would be scored on other nights than the others.
    """
    results: Results = {}
    lacking = {(job.group.classes, job.row, job.group.seed) for job in failed}
    for job in jobs:
        classes, seed = job.group.classes, job.group.seed
        if job.scored and (classes, job.row, seed) not in lacking:
            nights, names = read_predictions(job.group.results(out) / job.row / "predictions")
            of_row = results.setdefault(names, {}).setdefault(job.row, {})
            of_row.setdefault(seed, []).extend(nights)
    return results


def slug(group: Group) -> str:
    """A group as part of a file's name."""
    return f"{group.classes}class-seed{group.seed}" + (f"-{group.fold}" if group.fold else "")


def last_words(log: Path) -> str:
    """Why a run ended, as its output says: its error line, or else the last line."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines)[0 if errors else -1].strip()
