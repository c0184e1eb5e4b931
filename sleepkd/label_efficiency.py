"""Measure label efficiency: kappa over the number of labelled nights, for students with and without teachers.

Trains every row of sleepkd/study/label_plan.py with every number of labelled nights, every seed and every fold, for the
same number of updates. The other training nights are used without labels. Writes DIR/labels.md, labels.json and
labels.png. The same command keeps finished runs, resumes interrupted ones and retries failed ones.

    sleepkd label-efficiency --overlay 'night_*=beats.yaml' --set data.store=store --labelled 0 10 40 --jobs 2
    sleepkd label-efficiency --rows student kd yasa --set data.store=store --dry-run
    sleepkd label-efficiency --folds 5 --labelled 5 20 all --set 'data.nights=[{store: one}, {store: another}]'
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

from sleepkd.data.store import Store
from sleepkd.errors import run_command
from sleepkd.provenance import launch_command, shown
from sleepkd.study.jobs import TrainingJob
from sleepkd.study.label_plan import ALL_NIGHTS, LABEL_ROWS, LabelStudy, jobs_for_store
from sleepkd.study.label_report import against_consensus, by_standard, label_table, write_label_table
from sleepkd.study.options import EXIT_FAILED, add_study_options, check_at_least
from sleepkd.study.runner import Runner, is_evaluated, read_results, results_root


def main(arguments: list[str] | None = None) -> int:
    """Make the table; exit code 1 where a run failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = _parse(arguments)
    study = LabelStudy(
        rows=tuple(args.rows or LABEL_ROWS),
        numbers=tuple(dict.fromkeys(args.labelled)),
        seeds=tuple(dict.fromkeys(args.seeds)),
        classes=args.classes,
        overlays=tuple(args.overlay),
        settings=tuple(args.set),
        updates=args.updates,
        out=args.out,
        folds=args.folds,
        validates=not args.no_validation,
    )
    jobs = study.plan()
    if args.dry_run:
        for job in jobs:
            print(shown(launch_command("train_ddp.py", args.nproc, job.arguments)))
        print(f"\n{len(jobs)} runs of about {args.updates} updates")
        return 0
    study.write_splits()
    tested = {store: jobs_for_store(jobs, store) for store in args.test_stores}
    runner = Runner(args.out, args.nproc, args.jobs)
    if not args.table_only:
        runner.train_and_evaluate(jobs, tested)
    failures = runner.report_failures()
    tables = _tables(study, {"": jobs, **tested}, args.draws, runner.failed, only_evaluated=args.table_only)
    if tables:
        command = shown([sys.executable, "-m", "sleepkd.label_efficiency", *arguments])
        write_label_table(args.out, tables, command, study, failures)
        print(f"{args.out / 'labels.md'}, labels.json, labels.png", flush=True)
    return EXIT_FAILED if failures else 0


def _tables(
    study: LabelStudy,
    tested: Mapping[str, Sequence[TrainingJob]],
    draws: int,
    failed: dict[TrainingJob, str],
    only_evaluated: bool,
) -> dict[str, dict[int, dict]]:
    """The tables by test set: the study's own test nights (store ""), and all nights of other stores.

    The own test nights have a table by scoring standard too, if there are several, and one against the consensus of
    their scorers.
    """
    tables = {}
    for store, jobs in tested.items():
        root = results_root(study.out, store)
        scored = [job for job in jobs if not only_evaluated or is_evaluated(job, root)]
        by_number = {number: read_results(root, study.of_number(scored, number), failed) for number in study.counts}
        opened = [Store(store)] if store else list(study.stores.values())
        name = " and ".join(each.path.name for each in opened)
        agreed = {number: against_consensus(results, opened) for number, results in by_number.items()}
        parts = {name: by_number} | {
            f"{name}, {standard}": of_standard for standard, of_standard in by_standard(by_number).items()
        }
        for where, results in (parts | {f"{name}, against the consensus of its scorers": agreed}).items():
            table = label_table({number: each for number, each in results.items() if each}, draws)
            if table:
                tables[where] = table
    return tables


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sleepkd label-efficiency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", metavar="ROW", help=f"rows of {' '.join(LABEL_ROWS)}; default: all")
    parser.add_argument(
        "--labelled",
        nargs="+",
        type=_number_of_nights,
        default=[0, 5, 10, 20, 40, 160],
        metavar="N",
        help=f"numbers of labelled nights; {ALL_NIGHTS}: every night outside the test set",
    )
    parser.add_argument(
        "--folds", type=int, default=0, metavar="K",
        help="folds of a cross-validation by subject, other ones for each seed; 0: the stores' splits",
    )  # fmt: skip
    parser.add_argument(
        "--no-validation", action="store_true",
        help="train on all labelled nights, to the last training epoch; default: one in five chooses the epoch",
    )  # fmt: skip
    parser.add_argument("--updates", type=int, default=400, metavar="N", help="updates per run")
    parser.add_argument("--classes", type=int, default=4, choices=(3, 4, 5), help="number of sleep stages")
    parser.add_argument(
        "--test-stores", nargs="+", default=[], type=str, metavar="STORE", help="further stores to test the students on"
    )
    parser.add_argument("--table-only", action="store_true", help="train nothing; write the table of the finished runs")
    for former, current in (("--scored", "labelled"), ("--also", "test_stores")):
        kind = _number_of_nights if current == "labelled" else str
        parser.add_argument(former, nargs="+", dest=current, type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--finished", action="store_true", dest="table_only", help=argparse.SUPPRESS)
    add_study_options(parser, "runs/labels")
    args = parser.parse_args(arguments)
    check_at_least(args, updates=1, folds=0)
    return args


def _number_of_nights(text: str) -> int | str:
    """A number from 0, or ALL_NIGHTS. Raises ArgumentTypeError."""
    if text == ALL_NIGHTS or text.isdigit():
        return text if text == ALL_NIGHTS else int(text)
    raise argparse.ArgumentTypeError(f"{text} is neither a number of nights nor {ALL_NIGHTS}")


if __name__ == "__main__":
    run_command(main)
