"""python -m sleepkd.reproduce --classes 3 4 --seeds 0 1 2 --nproc 4: the paper's table, with what the paper left out.

Trains every row of sleepkd/study/plan.py for every number of classes, seed and fold, in order of what needs what, on so
many processes each; evaluates them on the test nights of their split; writes OUT/table.md, table.json and table.html.
The same command again keeps what is finished, goes on with what was interrupted and tries again what failed.

    python -m sleepkd.reproduce --overlay mine.yaml --set data.store=store --nproc 4 --dry-run
    python -m sleepkd.reproduce --folds 5 --rows ecg_base feat_temp ecg_base_long --nproc 4
    python -m sleepkd.reproduce --study labels --overlay 'night_*=beats.yaml' --set data.store=store --out runs/labels
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sleepkd.data.store import Store
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.scores.statistics import DRAWS
from sleepkd.provenance import launch_command, shown
from sleepkd.settings import Config, load_config
from sleepkd.study.estimate import estimate
from sleepkd.study.folds import Parts, splits_of, write_folds
from sleepkd.study.label_table import against_consensus, label_table, write_label_table
from sleepkd.study.labels import ROWS as LABEL_ROWS
from sleepkd.study.labels import LabelStudy, readable, write_scored
from sleepkd.study.pages import About, is_simulated, write_table
from sleepkd.study.plan import BASELINE, BASELINES, PROPOSED, PUBLISHED, ROWS, Group, Job, for_row, plan
from sleepkd.study.runner import Runner, elsewhere, is_evaluated, reached, read_results
from sleepkd.study.table import table_of
from sleepkd.training.schedule import is_finished

EXIT_FAILED = 1  # some run failed: the table lacks it


def main() -> int:
    """Run the table; exit code 1 where a run failed."""
    args = _parse()
    if args.study == "labels":
        return _study_labels(args)
    base = load_config([BASELINE, *for_row(BASELINE, args.overlay)], args.set)
    store = Store(base.data.store)
    splits = splits_of(store, base.data.split, args.folds, args.split_seed)
    groups = [
        Group(classes, seed, fold)
        for seed in dict.fromkeys(args.seeds)
        for classes in dict.fromkeys(args.classes)
        for fold in splits
    ]
    jobs = plan(args.rows or PUBLISHED, groups, args.overlay, args.set, args.out)
    if args.dry_run:
        dry_run(jobs, args.nproc, splits)
        return 0
    write_folds(store, splits, args.split_seed)
    runner = Runner(args.out, args.nproc, args.jobs)
    _run(runner, jobs)
    results = read_results(args.out, jobs, runner.failed)
    if results:
        about = _about(args, base, store, jobs, runner.failed)
        write_table(args.out, table_of(results, BASELINES, draws=args.draws), about)
        print(f"{args.out / 'table.md'}, table.json, table.html", flush=True)
    for job, why in runner.failed.items():
        print(f"failed: {job.row}, {job.group}: {why}", file=sys.stderr)
    return EXIT_FAILED if runner.failed else 0


def _study_labels(args: argparse.Namespace) -> int:
    """The other table: over the number of scored nights."""
    study = LabelStudy(
        rows=tuple(args.rows or LABEL_ROWS),
        numbers=tuple(dict.fromkeys(args.scored)),
        seeds=tuple(dict.fromkeys(args.seeds)),
        classes=args.classes[-1],
        overlays=tuple(args.overlay),
        settings=tuple(args.set),
        updates=args.updates,
        out=args.out,
    )
    jobs = study.plan()
    if args.dry_run:
        for job in jobs:
            print(shown(launch_command("train_ddp.py", args.nproc, job.arguments)))
        print(f"\n{len(jobs)} runs of about {args.updates} updates")
        return 0
    write_scored(study.store, study.split, study.numbers, study.seeds)
    runner = Runner(args.out, args.nproc, args.jobs)
    if not args.finished:
        _run(runner, jobs, args.also)
    tables = _label_tables(args, study, jobs, runner.failed)
    if tables:
        command = shown([sys.executable, "-m", "sleepkd.reproduce", *sys.argv[1:]])
        failed = [f"{job.row}, {job.group}: {why}" for job, why in runner.failed.items()]
        write_label_table(args.out, tables, command, args.updates, failed)
        print(f"{args.out / 'labels.md'}, labels.json, labels.png", flush=True)
    for job, why in runner.failed.items():
        print(f"failed: {job.row}, {job.group}: {why}", file=sys.stderr)
    return EXIT_FAILED if runner.failed else 0


def _run(runner: Runner, jobs: Sequence[Job], also: Sequence[str] = ()) -> None:
    """Train and evaluate all groups; also: further stores, each for the runs that can read it."""

    def work(group: Group) -> None:
        of_group = [job for job in jobs if job.group == group]
        runner.train(of_group)
        runner.evaluate(of_group)
        for store in also:
            runner.evaluate(readable(of_group, store), store)

    runner.each(tuple(dict.fromkeys(job.group for job in jobs)), work)


def _label_tables(
    args: argparse.Namespace, study: LabelStudy, jobs: Sequence[Job], failed: dict[Job, str]
) -> dict[str, dict[int, dict]]:
    """The tables of what was tested on the study's own nights, and on those of other stores."""
    tables = {}
    for store in ("", *args.also):
        root = elsewhere(args.out, store)
        told = [job for job in readable(jobs, store) if not args.finished or is_evaluated(job, root)]
        by_number = {number: read_results(root, study.of_number(told, number), failed) for number in study.numbers}
        tested = Store(store) if store else study.store
        name = tested.path.name
        agreed = {number: against_consensus(results, tested) for number, results in by_number.items()}
        for where, each in ((name, by_number), (f"{name}, against the consensus of its scorers", agreed)):
            found = label_table({number: results for number, results in each.items() if results}, args.draws)
            if found:
                tables[where] = found
    return tables


def _about(args: argparse.Namespace, base: Config, store: Store, jobs: Sequence[Job], failed: dict[Job, str]) -> About:
    """How the table came about."""
    return About(
        command=shown([sys.executable, "-m", "sleepkd.reproduce", *sys.argv[1:]]),
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


def dry_run(jobs: Sequence[Job], processes: int, splits: dict[str | None, Parts]) -> None:
    """Print the commands, and how long they will take."""
    positions = {job: reached(job) for job in jobs}
    left = [job for job in jobs if not ((p := positions[job]) and is_finished(job.config.train, p))]
    for job in left:
        print(shown(launch_command("train_ddp.py", processes, job.arguments)))
    hours = sum(estimate(left, positions, processes, splits).values()) / 3600
    done = f", {len(jobs) - len(left)} of them finished" if len(left) < len(jobs) else ""
    print(f"\n{len(jobs)} runs{done}; about {hours:.2g} h of training on {processes} processes, and their start-up")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="ROW",
        help=f"of {' '.join(ROWS)}, or YAMLs; default: the published ones, without night_*; "
        f"of --study labels: {' '.join(LABEL_ROWS)}; default: all",
    )
    parser.add_argument(
        "--study", default="table", choices=("table", "labels"), help="labels: kappa over the number of scored nights"
    )
    parser.add_argument(
        "--scored", nargs="+", type=int, default=[0, 5, 10, 20, 40, 160], metavar="N", help="numbers of scored nights"
    )
    parser.add_argument(
        "--finished", action="store_true", help="--study labels: train nothing, write the table of what is finished"
    )
    parser.add_argument("--updates", type=int, default=400, help="of every run of --study labels")
    parser.add_argument(
        "--also",
        nargs="+",
        default=[],
        metavar="STORE",
        help="score the students of --study labels on all of these too",
    )
    parser.add_argument("--classes", nargs="+", type=int, default=[3, 4], choices=(3, 4, 5))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=0, help="cross-validate by subject, in place of the one split")
    parser.add_argument("--split-seed", type=int, default=0, help="of drawing the folds")
    parser.add_argument(
        "--overlay",
        nargs="+",
        default=[],
        metavar="YAML",
        help="overlays for every run, as --config, or PATTERN=YAML for some rows, as 'night_*=mine.yaml'",
    )
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="keys of every run")
    parser.add_argument("--nproc", type=int, default=1, help="processes of each run")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time, of different seeds, folds or numbers of scored nights"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/table"), help="folder for runs, results and the table")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of the bootstrap")
    parser.add_argument("--dry-run", action="store_true", help="print the commands and an estimate of the time")
    args = parser.parse_args()
    for option, value, least in (
        ("nproc", args.nproc, 1),
        ("jobs", args.jobs, 1),
        ("draws", args.draws, 1),
        ("updates", args.updates, 1),
        ("scored", min(args.scored), 0),
        ("seeds", min(args.seeds), 0),
    ):
        if value < least:
            raise UserError(f"--{option}: must be at least {least}")
    if args.finished and args.study != "labels":
        raise UserError("--finished: goes with --study labels")
    if args.folds and args.folds < 2:
        raise UserError("--folds: must be at least 2 (or 0: the store's own split)")
    return args


if __name__ == "__main__":
    run_command(main)
