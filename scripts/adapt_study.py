"""Measure the gain of adapting a network to one's own labelled nights, by their number.

    python -m scripts.adapt_study --checkpoint PT --store STORE --jobs 2

PT is a network that was not trained on the nights of STORE. For each number of own nights and each draw of them,
configs/adapt.yaml adapts it; both networks are then scored on the nights of other people, paired by night. Writes
DIR/adapt.md and adapt.json. The same command keeps finished runs and resumes interrupted ones.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.errors import run_command
from sleepkd.evaluation.held_out import evaluation_nights
from sleepkd.evaluation.inference import evaluate_network
from sleepkd.evaluation.pages.page import interval, number
from sleepkd.evaluation.pages.report import report_versions
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import json_safe
from sleepkd.files import write_text_atomically
from sleepkd.provenance import shown
from sleepkd.study.adapt_plan import ROW, AdaptStudy, adaptation_gain
from sleepkd.study.jobs import TrainingJob
from sleepkd.study.options import EXIT_FAILED, add_study_options, check_at_least
from sleepkd.study.paper_report import ReportBlock, markdown
from sleepkd.study.runner import Runner, read_results


def main(arguments: list[str] | None = None) -> int:
    """Run the study; exit code 1 where a run failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = _parse(arguments)
    study = AdaptStudy(
        args.checkpoint,
        Store(args.store),
        tuple(sorted(set(args.numbers))),
        tuple(dict.fromkeys(args.seeds)),
        tuple(args.overlay),
        tuple(args.set),
        args.out,
    )
    by_number = study.plan()
    jobs = [job for of_number in by_number.values() for job in of_number]
    if args.dry_run:
        print(*(shown(["train_ddp.py", *job.arguments]) for job in jobs), sep="\n")
        return 0
    before = unadapted_nights(study, jobs)
    runner = Runner(args.out, args.nproc, args.jobs)
    runner.train_and_evaluate(jobs, {})
    table = {}
    for own, of_number in by_number.items():
        finished = [job for job in of_number if job not in runner.failed]
        for names, rows in read_results(args.out, finished, {}).items():
            table[own] = adaptation_gain(dict.fromkeys(rows[ROW], before), rows[ROW], names, args.draws)
    failures = runner.report_failures()
    about = (
        f"{args.checkpoint}, adapted to nights of {study.store.path.name} and tested on nights of other people there, "
        f"in {jobs[0].group.classes} classes. Kappa: mean over nights, then over draws of own nights. Gain: paired by "
        "night, 95 % interval over subjects and draws."
    )
    write_gains(args.out, table, about, shown(["python", "-m", "scripts.adapt_study", *arguments]), failures)
    return EXIT_FAILED if failures else 0


def unadapted_nights(study: AdaptStudy, jobs: Sequence[TrainingJob]) -> Sequence[NightPredictions]:
    """All nights of the store, predicted before adaptation. Raises UserError where the network was trained on one."""
    trained = study.unadapted(jobs)
    nights = evaluation_nights(trained, [str(study.store.path)], "all")
    print(*nights.lines, sep="\n", flush=True)
    return evaluate_network(trained, nights, Processes("auto")).nights


def write_gains(out: Path, table: Mapping[int, dict], about: str, command: str, failures: Sequence[str]) -> None:
    """Write adapt.json and adapt.md, and print the table. about: what was measured."""
    content = {"command": command, "versions": report_versions(), "own_nights": table, "failed": list(failures)}
    write_text_atomically(out / "adapt.json", json.dumps(json_safe(content), indent=1) + "\n")
    rows = [
        [
            str(own),
            number(found["before"]),
            number(found["after"]),
            interval(found["gain"]["kappa"], sign=True),
            f"{found['better']} / {found['worse']}",
            f"{found['nights']}, {found['draws']}",
        ]
        for own, found in table.items()
    ]
    header = ["own nights", "kappa before", "after", "gain", "nights better / worse", "nights, draws"]
    blocks = [
        ReportBlock(heading="Adaptation: kappa by number of own nights"),
        ReportBlock(text=about, header=header, rows=rows),
        *(ReportBlock(text=f"Missing: {line}") for line in failures),
        ReportBlock(heading="To reproduce", code=command),
    ]
    write_text_atomically(out / "adapt.md", markdown(blocks))
    print(*(f"{row[0]} own nights: kappa {row[1]} to {row[2]}, gain {row[3]}" for row in rows), sep="\n")
    print(out / "adapt.md", flush=True)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.adapt_study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="PT", help="network to adapt")
    parser.add_argument("--store", required=True, metavar="STORE", help="store of labelled nights it has not seen")
    parser.add_argument("--numbers", nargs="+", type=int, default=[1, 3, 5, 10], metavar="N", help="own nights")
    add_study_options(parser, "runs/adapt")
    parser.set_defaults(seeds=[0, 1, 2, 3, 4])  # each draws other own nights; of few, the interval of the gain is wide
    args = parser.parse_args(arguments)
    check_at_least(args, numbers=1)
    return args


if __name__ == "__main__":
    run_command(main)
