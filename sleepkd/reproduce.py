"""python -m sleepkd.reproduce --classes 3 4 --seeds 0 1 2 --nproc 4: the paper's table, with what the paper left out.

Trains every row of sleepkd/study/plan.py for every number of classes, seed and fold, in order of what needs what, each
by torchrun; evaluates them on the test nights of their split; writes OUT/table.md, table.json and table.html. The same
command again keeps what is finished, goes on with what was interrupted and tries again what failed.

    python -m sleepkd.reproduce --overlay mine.yaml --set data.store=store --nproc 4 --dry-run
    python -m sleepkd.reproduce --folds 5 --rows ecg_base feat_temp ecg_base_long --nproc 4
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sleepkd.data.store import Store
from sleepkd.distillation.settings import Config, load_config
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.scores.statistics import DRAWS
from sleepkd.provenance import shown, torchrun
from sleepkd.study.estimate import estimate
from sleepkd.study.folds import Parts, splits_of, write_folds
from sleepkd.study.pages import About, is_simulated, write_table
from sleepkd.study.plan import BASELINE, BASELINES, PROPOSED, PUBLISHED, ROWS, Group, Job, for_row, plan
from sleepkd.study.runner import Runner, reached, read_results
from sleepkd.study.table import table_of
from sleepkd.training.schedule import is_finished

EXIT_FAILED = 1  # some run failed: the table lacks it


def main() -> int:
    """Run the table; exit code 1 where a run failed."""
    args = _parse()
    base = load_config([BASELINE, *for_row(BASELINE, args.overlay)], args.set)
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
        write_table(args.out, table_of(results, BASELINES, draws=args.draws), about)
        print(f"{args.out / 'table.md'}, table.json, table.html", flush=True)
    for job, why in runner.failed.items():
        print(f"failed: {job.row}, {job.group}: {why}", file=sys.stderr)
    return EXIT_FAILED if runner.failed else 0


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
        print(shown(torchrun("train_ddp.py", processes, job.arguments)))
    hours = sum(estimate(left, positions, processes, splits).values()) / 3600
    done = f", {len(jobs) - len(left)} of them finished" if len(left) < len(jobs) else ""
    print(f"\n{len(jobs)} runs{done}; about {hours:.2g} h of training on {processes} processes, and their start-up")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows",
        nargs="+",
        default=list(PUBLISHED),
        metavar="ROW",
        help=f"of {' '.join(ROWS)}, or YAMLs; default: the published ones, without night_*",
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
