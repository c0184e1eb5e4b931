"""python -m sleepkd.reproduce --classes 3 4 --seeds 0 1 2 --nproc 4: the paper's table, with what the paper left out.

Trains every row of sleepkd/plan.py for every number of classes, seed and fold, in order of what needs what, each by
torchrun; evaluates them on the test nights of their split; writes OUT/table.md, table.json and table.html. The same
command again keeps what is finished, goes on with what was interrupted and tries again what failed.

    python -m sleepkd.reproduce --overlay mine.yaml --set data.store=store --nproc 4 --dry-run
    python -m sleepkd.reproduce --folds 5 --rows ecg_base feat_temp ecg_base_long --nproc 4
"""

import argparse
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sleepkd.checkpoint import Position
from sleepkd.config import Config, load_config
from sleepkd.data.splits import draw_folds, read_split, write_split
from sleepkd.data.store import Store
from sleepkd.distillation.stage import by_device
from sleepkd.distributed import Processes
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.predictions import read_predictions
from sleepkd.evaluation.scores.groups import participants_of
from sleepkd.evaluation.scores.statistics import DRAWS
from sleepkd.run_directory import resumable
from sleepkd.schedule import is_finished
from sleepkd.study.estimate import estimate
from sleepkd.study.pages import About, write_table
from sleepkd.study.plan import BASELINE, EQUAL_BUDGET, PROPOSED, ROWS, Group, Job, plan, shown, torchrun
from sleepkd.study.table import Results, table_of

EXIT_FAILED = 1  # some run failed: the table lacks it
EXIT_STOPPED = 143
VALIDATION_SHARE = 0.1  # of the subjects that do not test, in a cross-validation

Parts = dict[str, tuple[str, ...]]


def main() -> int:
    """Run the table; exit code 1 where a run failed."""
    args = _parse()
    base = load_config([BASELINE, *args.overlay], args.set)
    store = Store(base.data.store)
    splits = splits_of(store, base.data.split, args.folds, args.split_seed)
    groups = [
        Group(classes, seed, fold)
        for seed in dict.fromkeys(args.seeds)
        for classes in dict.fromkeys(args.classes)
        for fold in splits
    ]
    jobs = plan(args.rows, groups, args.overlay, args.set, args.out)
    if args.dry_run:
        dry_run(jobs, args.nproc, splits)
        return 0
    write_folds(store, splits, args.split_seed)
    runner = Runner(args.out, args.nproc)
    for group in groups:
        runner.train([job for job in jobs if job.group == group])
        runner.evaluate([job for job in jobs if job.group == group])
    results = read_results(args.out, jobs, runner.failed)
    if results:
        about = _about(args, base, store, jobs, runner.failed)
        write_table(args.out, table_of(results, (BASELINE, EQUAL_BUDGET), draws=args.draws), about)
        print(f"{args.out / 'table.md'}, table.json, table.html", flush=True)
    for job, why in runner.failed.items():
        print(f"failed: {job.row}, {job.group}: {why}", file=sys.stderr)
    return EXIT_FAILED if runner.failed else 0


def _about(args: argparse.Namespace, base: Config, store: Store, jobs: Sequence[Job], failed: dict[Job, str]) -> About:
    """How the table came about."""
    return About(
        command=shlex.join(["python", "-m", "sleepkd.reproduce", *sys.argv[1:]]),
        store=base.data.store,
        cohort=store.settings.cohort,
        simulated=is_simulated(base.data.store),
        overlays=tuple(args.overlay),
        settings=tuple(args.set),
        split=f"{args.folds}-fold cross-validation by subject" if args.folds else f"one split: {base.data.split}",
        seeds=tuple(dict.fromkeys(args.seeds)),
        epochs={job.row: job.config.train.epochs for job in jobs},
        proposed=PROPOSED,
        baseline=BASELINE,
        failed=tuple(f"{job.row}, {job.group}: {why}" for job, why in failed.items()),
    )


class Runner:
    """Starts the runs one after the other. failed: what went wrong, by run; what does not need it goes on."""

    def __init__(self, out: Path, processes: int):
        self.out, self.processes = out, processes
        self.failed: dict[Job, str] = {}
        self._child: subprocess.Popen | None = None
        self._stopped = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def train(self, jobs: Sequence[Job]) -> None:
        """Train what is not finished; leaves the process where it was asked to stop."""
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

    def evaluate(self, jobs: Sequence[Job]) -> None:
        """Predict the test nights with what has been trained since they were last predicted."""
        due = [job for job in jobs if job.scored and job not in self.failed and not is_evaluated(job, self.out)]
        if not due:
            return
        group = due[0].group
        results = group.results(self.out)
        out = results / due[0].row if len(due) == 1 else results  # evaluate.py makes a folder per run of several
        checkpoints = [best(job) for job in due]
        arguments = ("--checkpoint", *checkpoints, "--out", out, "--only-scores")
        why = self._run(f"evaluate-{slug(group)}", "evaluate.py", arguments)
        for job in due if why else ():
            self._fail(job, why)

    def _run(self, name: str, script: str, arguments: Sequence[object]) -> str:
        """Run a script to its end, its output in OUT/logs; returns why it failed, "" where it did not."""
        log = self.out / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = torchrun(script, self.processes, arguments)
        with log.open("w", encoding="utf-8") as file:
            file.write(f"$ {shown(command)}\n")
            file.flush()
            self._child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
            code = self._child.wait()
        self._child = None
        if self._stopped:
            print("stopped; the same command goes on from here", flush=True)
            sys.exit(EXIT_STOPPED)
        return f"exit code {code}: {last_words(log)} ({log})" if code else ""

    def _fail(self, job: Job, why: str) -> None:
        self.failed[job] = why
        print(f"{job.group}: {job.row}: FAILED, {why}", flush=True)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Pass SIGTERM on; a terminal's Ctrl-C has reached the child already. It saves and leaves."""
        self._stopped = True
        if self._child and number == signal.SIGTERM:
            self._child.terminate()


def reached(job: Job) -> Position | None:
    """How far a run has come; UserError where its folder holds a run with other settings, or a damaged one."""
    checkpoint = resumable(by_device(job.config, Processes(job.config.train.device).device))
    return checkpoint.position if checkpoint else None


def best(job: Job) -> Path:
    """The checkpoint that validation chose, the last where nothing was validated."""
    folder = job.config.run_directory
    return next((folder / name for name in ("best.pt", "last.pt") if (folder / name).is_file()), folder / "best.pt")


def is_evaluated(job: Job, out: Path) -> bool:
    """Whether a run's predictions are there and younger than its checkpoint."""
    metrics = job.group.results(out) / job.row / "metrics.json"
    return metrics.is_file() and metrics.stat().st_mtime >= best(job).stat().st_mtime


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


def splits_of(store: Store, split: str, folds: int, seed: int) -> dict[str | None, Parts]:
    """{None: the one split} or, for a cross-validation, its splits by name: as the store has them, or else drawn."""
    if not folds:
        return {None: read_split(store, split).parts}
    drawn = draw_folds(store, folds, VALIDATION_SHARE, seed)
    named = {f"{folds}fold-seed{seed}-{i}": parts for i, parts in enumerate(drawn)}
    return {name: read_split(store, name).parts if has_split(store, name) else named[name] for name in named}


def write_folds(store: Store, splits: dict[str | None, Parts], seed: int) -> None:
    """Write a cross-validation's splits into the store, where they are not there yet."""
    for name, parts in splits.items():
        if name and not has_split(store, name):
            comment = f"cross-validation by subject, drawn by sleepkd.reproduce with seed {seed}"
            write_split(store.path / "splits" / name, parts, comment)


def has_split(store: Store, name: str) -> bool:
    """Whether a store has a split of this name."""
    return (store.path / "splits" / name).is_dir()


def is_simulated(store: str) -> bool:
    """Whether the store's participants say that they are simulated (sleepkd.simulate writes it)."""
    participants = participants_of(None, [store]) or {}
    return any(row.get("origin") == "simulated" for row in participants.values())


def dry_run(jobs: Sequence[Job], processes: int, splits: dict[str | None, Parts]) -> None:
    """Print the commands, and how long they will take."""
    positions = {job: reached(job) for job in jobs}
    left = [job for job in jobs if not ((p := positions[job]) and is_finished(job.config.train, p))]
    for job in left:
        print(shown(torchrun("train_ddp.py", processes, job.arguments)))
    hours = sum(estimate(left, positions, processes, splits).values()) / 3600
    done = f", {len(jobs) - len(left)} of them finished" if len(left) < len(jobs) else ""
    print(f"\n{len(jobs)} runs{done}; about {hours:.2g} h of training on {processes} processes, and their start-up")


def slug(group: Group) -> str:
    """A group as part of a file's name."""
    return f"{group.classes}class-seed{group.seed}" + (f"-{group.fold}" if group.fold else "")


def last_words(log: Path) -> str:
    """Why a run ended, as its output says: its error line, or else the last line."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines)[0 if errors else -1].strip()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), metavar="ROW", help=f"default: {' '.join(ROWS)}")
    parser.add_argument("--classes", nargs="+", type=int, default=[3, 4], choices=(3, 4, 5))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=0, help="cross-validate by subject, in place of the one split")
    parser.add_argument("--split-seed", type=int, default=0, help="of drawing the folds")
    parser.add_argument("--overlay", nargs="+", default=[], metavar="YAML", help="overlays for every run, as --config")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="keys of every run")
    parser.add_argument("--nproc", type=int, default=1, help="processes of each run")
    parser.add_argument("--out", type=Path, default=Path("runs/table"), help="folder for runs, results and the table")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the bootstrap")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and an estimate of the time")
    args = parser.parse_args()
    for option, value, least in (("nproc", args.nproc, 1), ("draws", args.draws, 1), ("seeds", min(args.seeds), 0)):
        if value < least:
            raise UserError(f"--{option}: must be at least {least}")
    if args.folds and args.folds < 2:
        raise UserError("--folds: must be at least 2 (or 0: the store's own split)")
    return args


if __name__ == "__main__":
    run_command(main)
