"""Reproduce the paper's table, with what the paper left out: equal budgets of updates, several seeds, intervals.

Trains every row of sleepkd/study/paper_plan.py for every number of classes, seed and fold, each after the rows that it
needs, and evaluates it on the test nights of its split. Writes DIR/table.md, table.json and table.html. The same
command keeps finished runs, resumes interrupted ones and retries failed ones.

    sleepkd reproduce --overlay mine.yaml --set data.store=store --nproc 4 --dry-run
    sleepkd reproduce --folds 5 --rows ecg_base feat_temp ecg_base_long --nproc 4

`--study sensors` compares students of each sensor with and without a teacher of EEG, EOG and EMG (--study sensors -h).
"""

import argparse
import sys
from collections.abc import Sequence

from sleepkd import label_efficiency
from sleepkd.data.store import Store
from sleepkd.errors import UserError, run_command
from sleepkd.provenance import launch_command, shown
from sleepkd.settings import Config, load_config
from sleepkd.study import sensor_study
from sleepkd.study.cross_validation import SplitParts, splits_of, write_folds
from sleepkd.study.jobs import RunGroup, TrainingJob, overlays_for
from sleepkd.study.options import EXIT_FAILED, add_folds_option, add_study_options, check_at_least, check_folds
from sleepkd.study.paper_plan import BASELINE, BASELINES, PAPER_ROWS, PROPOSED, PUBLISHED, plan_paper
from sleepkd.study.paper_report import TableProvenance, is_simulated, write_table
from sleepkd.study.paper_table import table_of
from sleepkd.study.runner import Runner, position_of, read_results
from sleepkd.study.time_estimate import estimate_seconds
from sleepkd.training.schedule import is_finished


def main(arguments: list[str] | None = None) -> int:
    """Make the table; exit code 1 where a run failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--study" in arguments:  # in version 0.1, labels too
        at = arguments.index("--study")
        study, arguments = arguments[at + 1 : at + 2], arguments[:at] + arguments[at + 2 :]
        if study == ["labels"]:
            print("note: reproduce --study labels is now sleepkd label-efficiency", file=sys.stderr)
            return label_efficiency.main(arguments)
        if study == ["sensors"]:
            return sensor_study.main(arguments)
        if study != ["table"]:
            raise UserError(f"--study: is sensors or table, not {' '.join(study) or 'nothing'}")
    args = _parse(arguments)
    base = load_config([BASELINE, *overlays_for(BASELINE, args.overlay)], args.set)
    store = Store(base.data.store)
    splits = splits_of(store, base.data.split, args.folds, args.split_seed)
    groups = [
        RunGroup(classes, seed, split)
        for seed in dict.fromkeys(args.seeds)
        for classes in dict.fromkeys(args.classes)
        for split in splits
    ]
    jobs = plan_paper(args.rows or PUBLISHED, groups, args.overlay, args.set, args.out)
    if args.dry_run:
        _dry_run(jobs, args.nproc, splits)
        return 0
    write_folds(store, splits, args.split_seed)
    runner = Runner(args.out, args.nproc, args.jobs)
    runner.train_and_evaluate(jobs, {})
    failures = runner.report_failures()
    results = read_results(args.out, jobs, runner.failed)
    if results:
        command = shown([sys.executable, "-m", "sleepkd.reproduce", *arguments])
        about = _provenance(args, command, base, store, jobs, failures)
        write_table(args.out, table_of(results, BASELINES, draws=args.draws), about)
        print(f"{args.out / 'table.md'}, table.json, table.html", flush=True)
    return EXIT_FAILED if failures else 0


def _provenance(
    args: argparse.Namespace,
    command: str,
    base: Config,
    store: Store,
    jobs: Sequence[TrainingJob],
    failures: Sequence[str],
) -> TableProvenance:
    return TableProvenance(
        command=command,
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
        failed=tuple(failures),
    )


def _dry_run(jobs: Sequence[TrainingJob], processes: int, splits: dict[str | None, SplitParts]) -> None:
    """Print the training commands and an estimate of their time."""
    positions = {job: position_of(job) for job in jobs}
    left = [job for job in jobs if not ((p := positions[job]) and is_finished(job.config.train, p))]
    for job in left:
        print(shown(launch_command("train_ddp.py", processes, job.arguments)))
    hours = sum(estimate_seconds(left, positions, processes, splits).values()) / 3600
    done = f", {len(jobs) - len(left)} of them finished" if len(left) < len(jobs) else ""
    print(f"\n{len(jobs)} runs{done}; about {hours:.2g} h of training on {processes} processes, plus start-up")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sleepkd reproduce", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", nargs="+", metavar="ROW",
        help=f"rows, or YAML files of further stages; default: {' '.join(PUBLISHED)}; also: "
        f"{' '.join(name for name in PAPER_ROWS if name not in PUBLISHED)}",
    )  # fmt: skip
    parser.add_argument(
        "--classes", nargs="+", type=int, default=[3, 4], choices=(3, 4, 5), help="numbers of sleep stages"
    )
    add_folds_option(parser)
    parser.add_argument("--split-seed", type=int, default=0, metavar="SEED", help="seed of the folds")
    add_study_options(parser, "runs/table")
    args = parser.parse_args(arguments)
    check_at_least(args)
    check_folds(args)
    return args


if __name__ == "__main__":
    run_command(main)
