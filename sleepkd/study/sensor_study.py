"""What each sensor is worth, and what an EEG teacher adds to it: a table and a figure.

Trains a teacher of EEG, EOG and EMG, and for each sensor that the store holds (heartbeats, movement, PPG, belts,
airflow, SpO2 …) and for all of them together a student without and one with the teacher, with as many updates. Writes
DIR/sensors.md, sensors.json and sensors.png. The same command keeps finished runs, resumes and retries.

    sleepkd simulate --out raw --nights 200 --hours 8 --seed 31 --channels full --jobs 4
    sleepkd prepare --dataset mass --raw raw --out store --signals eog emg motion ppg thorax abdomen airflow spo2
    sleepkd reproduce --study sensors --set data.store=store distill.cache_teacher=true
    sleepkd reproduce --study sensors --sensors beats motion beats+motion --set data.store=store --folds 5
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sleepkd.data.store import Store
from sleepkd.evaluation.pages import page
from sleepkd.evaluation.pages.page import MISSING
from sleepkd.evaluation.pages.report import report_versions
from sleepkd.evaluation.pictures.sensor_figure import SensorScore, sensor_figure
from sleepkd.evaluation.scores.bootstrap import bootstrap_intervals
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of, json_safe
from sleepkd.files import write_text_atomically
from sleepkd.provenance import launch_command, shown
from sleepkd.settings import load_config
from sleepkd.study.cross_validation import splits_of, write_folds
from sleepkd.study.jobs import RunGroup, overlays_for
from sleepkd.study.options import EXIT_FAILED, add_folds_option, add_study_options, check_at_least, check_folds
from sleepkd.study.paper_plan import plan_paper
from sleepkd.study.paper_report import ReportBlock, markdown
from sleepkd.study.paper_table import Results
from sleepkd.study.runner import Runner, read_results
from sleepkd.study.sensor_plan import (
    ALL_SENSORS,
    ALONE_CONFIG,
    BEATS,
    TEACHER,
    held_kinds,
    sensor_rows,
    students_of,
    taught,
)

KAPPA = "kappa"
SPLIT_SEED = 0

BySeed = Mapping[int, Sequence[NightPredictions]]


def main(arguments: list[str]) -> int:
    """Make the table and the figure; exit code 1 where a run failed."""
    args = _parse(arguments)
    base = load_config([ALONE_CONFIG, *overlays_for(ALONE_CONFIG, args.overlay)], args.set)
    store = Store(base.data.store)
    splits = splits_of(store, base.data.split, args.folds, SPLIT_SEED)
    held = held_kinds(store, sorted({name for parts in splits.values() for part in parts.values() for name in part}))
    students = students_of(held, args.sensors)
    groups = [RunGroup(args.classes, seed, split) for seed in dict.fromkeys(args.seeds) for split in splits]
    jobs = plan_paper(sensor_rows(students, held), groups, args.overlay, args.set, args.out)
    if args.dry_run:
        for job in jobs:
            print(shown(launch_command("train_ddp.py", args.nproc, job.arguments)))
        print(f"\n{len(jobs)} runs")
        return 0
    write_folds(store, splits, SPLIT_SEED)
    runner = Runner(args.out, args.nproc, args.jobs)
    runner.train_and_evaluate(jobs, {})
    failures = runner.report_failures()
    results = read_results(args.out, jobs, runner.failed)
    if results:
        command = shown([sys.executable, "-m", "sleepkd.reproduce", "--study", "sensors", *arguments])
        write_sensor_table(args.out, sensor_table(results, list(students), args.draws), command, failures)
        print(f"{args.out / 'sensors.md'}, sensors.json, sensors.png", flush=True)
    return EXIT_FAILED if failures else 0


def sensor_table(results: Results, students: Sequence[str], draws: int) -> dict:
    """Kappa by night of the teacher and of every student, with and without it: JSON-safe.

    Returns classes, nights, subjects, seeds, teacher (a score), and by student: alone and taught (scores); `gain` of
    taught over alone, and `over_heartbeats` of each (differences), of the students that were trained. A score is
    {value, low, high}, a difference {value, low, high, better, worse}, paired by seed and night, with intervals over
    subjects (differences: and seeds).
    """
    ((names, rows),) = results.items()
    k = len(names)

    def score(row: str) -> dict | None:
        nights = [night for of_seed in rows[row].values() for night in of_seed] if row in rows else []
        if not nights:
            return None
        subjects = [night.subject for night in nights]
        return bootstrap_intervals(confusions_of(nights, k), subjects, draws=draws)["mean"][KAPPA]

    def difference(first: str, second: str) -> dict | None:
        if first == second or not (first in rows and second in rows):
            return None
        found = compare(rows[first], rows[second], names, draws=draws)
        tests = found["tests"][KAPPA]
        return {**found["difference"]["mean"][KAPPA], "better": tests["better"], "worse": tests["worse"]}

    first: BySeed = next(iter(rows.values()))
    nights = [night for of_seed in first.values() for night in of_seed]
    table = {
        "classes": list(names),
        "nights": len({night.recording for night in nights}),
        "subjects": len({night.subject for night in nights}),
        "seeds": list(first),
        "teacher": score(TEACHER),
        "students": {
            name: {
                "alone": score(name),
                "taught": score(taught(name)),
                "gain": difference(name, taught(name)),
                "over_heartbeats": {
                    "alone": difference(BEATS, name),
                    "taught": difference(taught(BEATS), taught(name)),
                },
            }
            for name in students
        },
    }
    return json_safe(table)


def write_sensor_table(folder: Path, table: dict, command: str, failed: Sequence[str]) -> None:
    """Write sensors.md, sensors.json and sensors.png."""
    content = {"command": command, "versions": report_versions(), "table": table}
    write_text_atomically(folder / "sensors.json", json.dumps(content, indent=1) + "\n")
    students = table["students"]
    about = (
        f"{table['nights']} test nights of {table['subjects']} subjects, {len(table['classes'])} classes, seeds "
        f"{', '.join(map(str, table['seeds']))}. Kappa by night, with 95 % intervals over subjects; differences are "
        "paired by seed and night, with intervals over subjects and seeds, and numbers of nights better / worse. The "
        f"teacher sees EEG, EOG and EMG (as far as the store holds them): kappa {_interval(table['teacher'])}."
    )
    blocks = [
        ReportBlock(heading="Sensors, and what an EEG teacher adds to them"),
        ReportBlock(text=about),
        ReportBlock(
            header=["sensor", "alone", "taught", "taught over alone"],
            rows=[[sensor, *(_interval(x[key]) for key in ("alone", "taught")), _gain(x["gain"])]
                  for sensor, x in students.items()],
        ),
    ]  # fmt: skip
    compared = {name: x["over_heartbeats"] for name, x in students.items() if any(x["over_heartbeats"].values())}
    if compared:
        rows = [[name, _gain(x["alone"]), _gain(x["taught"])] for name, x in compared.items()]
        blocks.append(ReportBlock(header=["over heartbeats", "alone", "taught"], rows=rows))
    blocks += [ReportBlock(text=f"Missing: {line}") for line in failed]
    blocks.append(ReportBlock(heading="To reproduce", code=command))
    write_text_atomically(folder / "sensors.md", markdown(blocks))
    scores = [SensorScore(name, x["alone"], x["taught"]) for name, x in students.items()]
    sensor_figure(scores, table["teacher"], folder / "sensors.png")


def _interval(score: dict | None) -> str:
    return page.interval(score, digits=2) if score else MISSING


def _gain(gain: dict | None) -> str:
    return f"{page.interval(gain, digits=2, sign=True)}, {gain['better']} / {gain['worse']}" if gain else MISSING


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sleepkd reproduce --study sensors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--sensors", nargs="+", default=[], metavar="KIND",
        help=f"students by their inputs: kinds of signals, several joined by + (beats+motion), or {ALL_SENSORS}; "
        f"default: each kind that all recordings hold, and {ALL_SENSORS}",
    )  # fmt: skip
    parser.add_argument("--classes", type=int, default=4, choices=(3, 4, 5), help="number of sleep stages")
    add_folds_option(parser)
    add_study_options(parser, "runs/sensors")
    args = parser.parse_args(arguments)
    check_at_least(args)
    check_folds(args)
    return args
