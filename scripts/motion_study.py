"""Measure what the movement of a watch adds to its heart rate: cross-validation by subject on real nights.

    sleepkd prepare --dataset sleep_accel --raw sleep_accel --signals motion --out stores/sleep_accel_motion
    python -m scripts.motion_study --labelled stores/sleep_accel_motion stores/slpdb --seeds 0

The networks of heartbeats are the member `scratch` of scripts.weights; those of heartbeats and movement differ by that
input alone, and by segments without it (`drop_input`). `--beats-runs OUT` takes the former from the OUT of
scripts.weights, where the folds of subjects are the same. Nights without movement train both, and only nights with it
are tested. The same command resumes.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.weights import CLASSES, FOLD_SEED, FOLDS, MEMBER_FILES, MEMBER_UPDATES, NETWORK, SCRATCH, STUDENT, train
from scripts.weights_card import calibration_of
from sleepkd.checkpoints.trained import TrainedNetwork, best_or_last, load_trained
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.data.store import Store
from sleepkd.errors import run_command
from sleepkd.evaluation.pages.page import interval
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.night_scores import night_scores
from sleepkd.evaluation.scores.summary import json_safe
from sleepkd.files import write_text_atomically
from sleepkd.study.ensemble_distillation import EnsembleDistillation, Row, calibrated, network_predictions
from sleepkd.study.runner import Runner

MOTION = "motion"
BOTH, BEATS, HIDDEN, ALONE = "heart rate and movement", "heart rate", "heart rate, by the network of both", "movement"
ROWS = {
    SCRATCH: Row(MEMBER_FILES, (*NETWORK, "model.repeats=1"), MEMBER_UPDATES),
    MOTION: Row(
        MEMBER_FILES,
        (*NETWORK, "model.repeats=1", "stage.inputs.motion={}", "data.augment.drop_input=0.3"),
        MEMBER_UPDATES,
    ),
}
"""Networks of heartbeats, and of heartbeats and movement."""

Nights = dict[int, list[NightPredictions]]
"""The nights that no network trained on, by seed."""


def main(arguments: list[str] | None = None) -> int:
    """Train the networks that are missing, evaluate them, and write OUT/motion.json."""
    args = _parse(arguments)
    stores = [Store(store) for store in args.labelled]
    plan = EnsembleDistillation(stores, [], ROWS, STUDENT, CLASSES, FOLDS, FOLD_SEED, args.out)
    plan.write_splits()
    jobs = {
        (fold, seed): {job.row: job for job in plan.members_without((fold,), seed)}
        for seed in args.seeds
        for fold in range(FOLDS)
    }
    trained_here = [MOTION] if args.beats_runs else [MOTION, SCRATCH]
    train(Runner(args.out, 1, args.jobs), [of_fold[row] for row in trained_here for of_fold in jobs.values()])
    found: dict[str, Nights] = {}
    for seed in args.seeds:
        raw: dict[str, list[list[NightPredictions]]] = {}
        for fold in range(FOLDS):
            folders = {row: job.config.run_directory for row, job in jobs[fold, seed].items()}
            if args.beats_runs:
                folders[SCRATCH] = args.beats_runs / folders[SCRATCH].relative_to(args.out)
            networks = {row: load_trained(best_or_last(folder)) for row, folder in folders.items()}
            for name, nights in predict_fold(plan, networks, fold).items():
                raw.setdefault(name, []).append(nights)
        for name, folds in raw.items():
            found.setdefault(name, {})[seed] = calibrated_by_fold(folds)
    report(found, args.out)
    return 0


def predict_fold(
    plan: EnsembleDistillation, networks: dict[str, TrainedNetwork], fold: int
) -> dict[str, list[NightPredictions]]:
    """The nights of a fold that hold movement, predicted with and without it."""
    nights = [night for night in plan.test_nights((fold,)) if MOTION in night.info.signals]
    return {
        BEATS: network_predictions(networks[SCRATCH], nights),
        BOTH: network_predictions(networks[MOTION], nights),
        HIDDEN: network_predictions(networks[MOTION].with_inputs(["beats"]), nights),
        ALONE: network_predictions(networks[MOTION].with_inputs([MOTION]), nights),
    }


def calibrated_by_fold(folds: Sequence[Sequence[NightPredictions]]) -> list[NightPredictions]:
    """All nights, those of each fold with the class bias fitted on the other folds."""
    everything = []
    for fold, nights in enumerate(folds):
        others = [night for number, some in enumerate(folds) if number != fold for night in some]
        everything += [calibrated(night, calibration_of(others)) for night in nights]
    return everything


def report(found: dict[str, Nights], out: Path) -> None:
    """Print kappa by night, and what each row adds to heart rate; write OUT/motion.json."""
    names = CLASS_NAMES[CLASSES]
    results: dict[str, Any] = {}
    for row, by_seed in found.items():
        scores = night_scores([night for nights in by_seed.values() for night in nights], names)
        gain = compare(found[BEATS], by_seed, names)
        results[row] = {"scores": scores, "over_heart_rate": gain}
        kappa, difference, tests = scores["kappa"], gain["difference"]["mean"]["kappa"], gain["tests"]["kappa"]
        line = f"{row}: kappa {interval(kappa, 3)}"
        if row != BEATS:
            line += f", {interval(difference, 3, sign=True)}, better {tests['better']}, worse {tests['worse']}"
        print(line)
    write_text_atomically(out / "motion.json", json.dumps(json_safe(results), indent=1))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.motion_study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--labelled", required=True, nargs="+", type=Path, metavar="FOLDER", help="stores of labelled nights"
    )
    parser.add_argument("--beats-runs", type=Path, metavar="OUT", help="output of scripts.weights with member scratch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="N", help="default: 0")
    parser.add_argument("--jobs", type=int, default=1, metavar="RUNS", help="training runs side by side; default: 1")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/motion"), metavar="FOLDER", help="runs and results; default: runs/motion"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
