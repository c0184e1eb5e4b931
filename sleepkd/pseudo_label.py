"""python -m sleepkd.pseudo_label STORE: let another library's stager stage a store's nights, and see how well it does.

Its answers are kept in the store, for `stage.teacher: yasa` on machines that need not have the library. Scored nights
say how far to trust it: kappa, F1 by class, calibration, and the kappa of what it is sure of.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sleepkd.data.data_settings import Source
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.data.nights import ALL, open_nights
from sleepkd.data.store import Night, Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.inference import predictions_of
from sleepkd.evaluation.predictions import write_predictions
from sleepkd.evaluation.scores.calibration import calibration_of, fit_temperature
from sleepkd.evaluation.scores.night import NightPredictions
from sleepkd.evaluation.scores.summary import metrics_of, write_metrics
from sleepkd.settings import STAGER_NAMES
from sleepkd.teachers.external import answers, classes_of, compute_answers, keep_answers, path_of

SURE = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)


def main(arguments: list[str] | None = None) -> int:
    """Stage what is not staged yet; print and write the scores of the nights that are scored."""
    args = _parse(arguments)
    nights = open_nights((Source(args.store, args.split_name),), args.split)
    left = sum(not path_of(args.stager, night).is_file() for night in nights)
    with tqdm(total=left, desc=args.stager, unit="night", disable=None) as bar:
        compute_answers(args.stager, nights, Processes("cpu"), bar.update)
    print(f"{args.store}: {args.stager} has staged {left} nights now, {len(nights) - left} before")
    for other in args.into:
        print(f"{other}: has the answers to {hand_over(args.stager, nights, Store(other))} of these nights")
    scored = [predictions(args.stager, night, args.classes) for night in nights if night.has_labels]
    if not scored:
        print("nobody scored any of them: how well it does is not known")
        return 0
    names = CLASS_NAMES[args.classes]
    metrics = metrics_of(scored, names) | {
        "calibration": calibration_of(scored),
        "temperature": fit_temperature(scored),
    }
    print("\n".join(said(metrics, scored, names)))
    if args.out:
        write_predictions(scored, args.out / "predictions", names)
        write_metrics(args.out / "metrics.json", metrics)
        print(args.out / "metrics.json")
    return 0


def hand_over(stager: str, nights: Sequence[Night], store: Store) -> int:
    """Copy the answers to those nights that another store holds too, at another rate, say; returns how many.

    Raises UserError where a night is there with other sleep epochs.
    """
    held = [night for night in nights if night.info.recording in store.recordings]
    for night in held:
        other = store.open(night.info.recording)
        same = [
            np.array_equal(getattr(night.hypnogram, x), getattr(other.hypnogram, x)) for x in ("onset_s", "duration_s")
        ]
        if not all(same):
            raise UserError(f"{other.folder}: has other sleep epochs than {night.folder}; it is not the same night")
        keep_answers(stager, other, answers(stager, night))
    return len(held)


def predictions(stager: str, night: Night, classes: int) -> NightPredictions:
    """What it says of a night, beside what was scored."""
    every = np.arange(len(night.hypnogram))
    return predictions_of(night, night.info.recording, every, classes_of(answers(stager, night), classes), classes)


def said(metrics: dict, nights: Sequence[NightPredictions], names: Sequence[str]) -> list[str]:
    """Its scores in a few lines: overall, by class, and of the sleep epochs that it is sure of."""
    overall, calibration = metrics["overall"], metrics["calibration"]
    lines = [
        f"{len(nights)} scored nights, {overall['n']} sleep epochs: kappa {overall['kappa']:.3f} "
        f"(median night {metrics['over_recordings']['median']['kappa']:.3f}), "
        f"accuracy {overall['accuracy']:.3f}, calibration error {calibration['ece']:.3f}, "
        f"fitted temperature {metrics['temperature']['temperature']:.2f}"
    ]
    lines.append("  F1 " + ", ".join(f"{name} {overall['per_class'][name]['f1']:.2f}" for name in names))
    probabilities = np.concatenate([night.probabilities[night.scored] for night in nights])
    labels = np.concatenate([night.labels[night.scored] for night in nights])
    for least in SURE:
        kept = probabilities.max(axis=1) >= least
        right = (probabilities.argmax(axis=1) == labels)[kept].mean() if kept.any() else float("nan")
        lines.append(f"  at least {least:.1f} sure: {kept.mean():.1%} of sleep epochs, {right:.1%} of them right")
    return lines


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sleepkd.pseudo_label", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", help="a prepared store")
    parser.add_argument("--stager", default=STAGER_NAMES[0], choices=STAGER_NAMES)
    parser.add_argument("--split", default=ALL, choices=("train", "validation", "test", ALL), help="which part of it")
    parser.add_argument("--split-name", default="default", help="of which split")
    parser.add_argument("--classes", type=int, default=4, choices=(3, 4, 5))
    parser.add_argument(
        "--into", nargs="+", default=[], metavar="STORE", help="stores of the same nights that get the answers, too"
    )
    parser.add_argument("--out", type=Path, help="folder for metrics.json and predictions/")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
