"""Run a study: every training run and every evaluation in its own process, several side by side if asked."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

import torch

from sleepkd.checkpoints.checkpoint import Position
from sleepkd.checkpoints.trained import best_or_last
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation.predictions import read_predictions
from sleepkd.precision import for_device
from sleepkd.provenance import launch_command, shown
from sleepkd.study.jobs import RunGroup, TrainingJob
from sleepkd.study.paper_table import Results
from sleepkd.training.run_directory import resumable
from sleepkd.training.schedule import is_finished

EXIT_STOPPED = 143


class StudyStopped(Exception):
    """The study received SIGTERM or SIGINT."""


class Runner:
    """Runs jobs: those of a group one after the other, and up to `groups_at_a_time` groups side by side.

    processes: of each training run. failed: the reason by job; jobs that do not need a failed one still run.
    """

    def __init__(self, out: Path, processes: int, groups_at_a_time: int = 1):
        self.out, self.processes, self._at_a_time = out, processes, groups_at_a_time
        self.failed: dict[TrainingJob, str] = {}
        self._children: set[subprocess.Popen] = set()
        self._slots: SimpleQueue[dict[str, str]] = SimpleQueue()
        for slot in environments(groups_at_a_time, processes):
            self._slots.put(slot)
        self._stopped = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def each(self, groups: Sequence[RunGroup], work: Callable[[RunGroup], None]) -> None:
        """Do the work of every group. On SIGTERM, exits the process after all running jobs have saved."""
        pool = ThreadPoolExecutor(self._at_a_time)
        try:
            if self._at_a_time == 1:
                for group in groups:
                    work(group)
            else:
                for working in [pool.submit(work, group) for group in groups]:
                    working.result()
        except StudyStopped:
            pool.shutdown()
            print("stopped; the same command resumes", flush=True)
            sys.exit(EXIT_STOPPED)
        finally:
            pool.shutdown(cancel_futures=True)

    def train(self, jobs: Sequence[TrainingJob]) -> None:
        """Train the jobs that are not finished. Raises StudyStopped."""
        for i, job in enumerate(jobs, start=1):
            name = f"{job.group}: {i}/{len(jobs)} {job.row}"
            broken = [other.row for other in self.failed if other.group == job.group and other.row in job.needs]
            if broken:
                self._fail(job, f"needs {' and '.join(broken)}")
                continue
            try:
                position = position_of(job)
            except UserError as error:
                self._fail(job, str(error))
                continue
            if position and is_finished(job.config.train, position):
                print(f"{name}: kept", flush=True)
                continue
            print(f"{name}: {'resumes' if position else 'starts'}", flush=True)
            started = time.monotonic()
            why = self._run(f"{job.row}-{job.group.slug}", "train_ddp.py", job.arguments)
            if why:
                self._fail(job, why)
            else:
                print(f"{name}: {(time.monotonic() - started) / 60:.1f} min", flush=True)

    def evaluate(self, jobs: Sequence[TrainingJob], store: str = "") -> None:
        """Predict the test nights, or all nights of another store, with every job trained since its last prediction.

        Raises StudyStopped.
        """
        root = results_root(self.out, store)
        due = [job for job in jobs if job.is_scored and job not in self.failed and not is_evaluated(job, root)]
        if not due:
            return
        group = due[0].group
        results = group.results(root)
        out = results / due[0].row if len(due) == 1 else results  # evaluate.py makes a folder per run of several
        checkpoints = [best_or_last(job.config.run_directory) for job in due]
        arguments: tuple[object, ...] = ("--checkpoint", *checkpoints, "--out", out, "--only-scores")
        arguments += ("--store", store, "--split", "all") if store else ()
        why = self._run(f"evaluate-{group.slug}{'-other-store' if store else ''}", "evaluate.py", arguments)
        for job in due if why else ():
            self._fail(job, why)

    def train_and_evaluate(
        self, jobs: Sequence[TrainingJob], other_stores: Mapping[str, Sequence[TrainingJob]]
    ) -> None:
        """Train and evaluate the jobs of all groups. other_stores: {store: the jobs that are tested on it too}."""

        def work(group: RunGroup) -> None:
            of_group = [job for job in jobs if job.group == group]
            self.train(of_group)
            self.evaluate(of_group)
            for store, tested in other_stores.items():
                self.evaluate([job for job in of_group if job in tested], store)

        self.each(tuple(dict.fromkeys(job.group for job in jobs)), work)

    def report_failures(self) -> list[str]:
        """Print the failed jobs on stderr; returns the same lines."""
        lines = [f"{job.row}, {job.group}: {why}" for job, why in self.failed.items()]
        for line in lines:
            print(f"failed: {line}", file=sys.stderr)
        return lines

    def _run(self, name: str, script: str, arguments: Sequence[object]) -> str:
        """Run a script to its end, with its output in OUT/logs; returns the reason of a failure, "" on success.

        Raises StudyStopped.
        """
        if self._stopped:
            raise StudyStopped
        log = self.out / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = launch_command(script, self.processes, arguments)
        slot = self._slots.get()  # never waits: there are as many slots as groups at a time
        with log.open("w", encoding="utf-8") as file:
            file.write(f"$ {shown(command)}\n")
            file.flush()
            child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | slot)
            self._children.add(child)
            if self._stopped:  # between the first look and the start
                child.terminate()
            code = child.wait()
        self._children.remove(child)
        self._slots.put(slot)
        if self._stopped:
            raise StudyStopped
        return f"exit code {code}: {error_line(log)} ({log})" if code else ""

    def _fail(self, job: TrainingJob, why: str) -> None:
        self.failed[job] = why
        print(f"{job.group}: {job.row}: FAILED, {why}", flush=True)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Pass SIGTERM on to the children, which save and exit. Ctrl-C in a terminal reaches them directly."""
        self._stopped = True
        for child in tuple(self._children) if number == signal.SIGTERM else ():
            child.terminate()


def environments(at_a_time: int, processes: int) -> list[dict[str, str]]:
    """Environment variables of runs side by side, which share out the cores and GPUs of a machine.

    Several runs share a GPU where there are more runs than GPUs. A run alone gets the whole machine.
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


def results_root(out: Path, store: str) -> Path:
    """The folder of the results on another store; "" is the store of the training runs."""
    return out / "other_stores" / Path(store).name if store else out


def position_of(job: TrainingJob) -> Position | None:
    """The position of a run, None before its start. Raises UserError: other settings, or a damaged checkpoint."""
    checkpoint = resumable(for_device(job.config, Processes(job.config.train.device).device))
    return checkpoint.position if checkpoint else None


def is_evaluated(job: TrainingJob, out: Path) -> bool:
    """Whether a run's predictions exist and are newer than its checkpoint."""
    metrics = job.group.results(out) / job.row / "metrics.json"
    return metrics.is_file() and metrics.stat().st_mtime >= best_or_last(job.config.run_directory).stat().st_mtime


def read_results(out: Path, jobs: Sequence[TrainingJob], failed: dict[TrainingJob, str]) -> Results:
    """The predictions of all runs by classes, row and seed; the nights of a seed's folds are pooled.

    A row with a failed fold is left out: it would be scored on other nights than the other rows.
    """
    results: Results = {}
    incomplete = {(job.group.classes, job.row, job.group.seed) for job in failed}
    for job in jobs:
        classes, seed = job.group.classes, job.group.seed
        if job.is_scored and (classes, job.row, seed) not in incomplete:
            nights, names = read_predictions(job.group.results(out) / job.row / "predictions")
            of_row = results.setdefault(names, {}).setdefault(job.row, {})
            of_row.setdefault(seed, []).extend(nights)
    return results


def error_line(log: Path) -> str:
    """The error line of a log, or else its last line."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines)[0 if errors else -1].strip()
