"""Pseudo-labels for a store by an external model, and their agreement with the labels.

    sleepkd pseudo-label store                      # YASA, on the EEG
    sleepkd pseudo-label store --model sleepecg     # SleepECG, on the heartbeats: W, NREM and REM
    sleepkd pseudo-label store --copy-to store32 --out results    # a store of the same nights at another rate, too

The pseudo-labels are kept in the store. `stage.teacher: yasa` trains with them, and `loss.pseudo` with those of any
models, also on machines without the library.
Labelled nights are scored: kappa, F1 by class, calibration, and accuracy by confidence (selective prediction).
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.data.data_settings import Source
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.data.nights import ALL, open_nights
from sleepkd.data.pseudo_labels import (
    known_sleep_epochs,
    merge_probabilities,
    pseudo_label_path,
    read_pseudo_labels,
    write_pseudo_labels,
)
from sleepkd.data.store import Night, Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.inference import predictions_of
from sleepkd.evaluation.predictions import write_predictions
from sleepkd.evaluation.scores.calibration import calibration_of, fit_temperature
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import metrics_of, write_metrics
from sleepkd.extras import require_extra
from sleepkd.progress import Progress
from sleepkd.teachers import EXTERNAL
from sleepkd.teachers.external import compute_pseudo_labels

CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9)


def main(arguments: list[str] | None = None) -> int:
    """Compute missing pseudo-labels; print and write the scores of the labelled nights."""
    args = _parse(arguments)
    teacher = EXTERNAL[args.model]
    classes = min(args.classes, teacher.model_classes)
    names = CLASS_NAMES[classes]
    nights = open_nights((Source(args.store, args.split_name),), args.split)
    missing = sum(not pseudo_label_path(args.model, night).is_file() for night in nights)
    for library in teacher.libraries if missing else ():
        require_extra(library, "teachers", f"sleepkd pseudo-label --model {args.model}")
    with Progress(args.model, missing, "night") as progress:
        compute_pseudo_labels(teacher, nights, Processes("cpu"), progress.advance)
    print(f"{args.store}: pseudo-labels by {args.model} for {missing} nights; {len(nights) - missing} had them before")
    for store in args.copy_to:
        copied = copy_pseudo_labels(args.model, nights, Store(store))
        print(f"{store}: pseudo-labels copied for {copied} nights")
    if silent := sum(not known_sleep_epochs(read_pseudo_labels(args.model, night)).any() for night in nights):
        print(f"{args.model} knows nothing of {silent} nights: a loss on its pseudo-labels leaves them out")
    every = [predictions(args.model, night, classes) for night in nights if night.has_labels]
    labelled = [night for night in every if night.scored.any()]
    if not labelled:
        print("no labelled nights with pseudo-labels: agreement with labels is unknown")
        return 0
    metrics = metrics_of(labelled, names) | {
        "calibration": calibration_of(labelled),
        "temperature": fit_temperature(labelled),
    }
    print("\n".join(score_lines(metrics, labelled, names)))
    if args.out:
        write_predictions(labelled, args.out / "predictions", names)
        write_metrics(args.out / "metrics.json", metrics)
        print(args.out / "metrics.json")
    return 0


def copy_pseudo_labels(model: str, nights: Sequence[Night], store: Store) -> int:
    """Copy pseudo-labels to another store that holds the same nights, at another rate say; returns their number.

    Raises UserError for a night with other sleep epochs there.
    """
    shared = [night for night in nights if night.info.recording in store.recordings]
    for night in shared:
        other = store.open(night.info.recording)
        same = [
            np.array_equal(getattr(night.hypnogram, x), getattr(other.hypnogram, x)) for x in ("onset_s", "duration_s")
        ]
        if not all(same):
            raise UserError(f"{other.folder}: has other sleep epochs than {night.folder}, so it is another night")
        write_pseudo_labels(model, other, read_pseudo_labels(model, night))
    return len(shared)


def predictions(model: str, night: Night, classes: int) -> NightPredictions:
    """The pseudo-labels of a night as predictions beside its labels; sleep epochs without them are left out."""
    probabilities = merge_probabilities(read_pseudo_labels(model, night), classes)
    known = np.flatnonzero(known_sleep_epochs(probabilities))
    return predictions_of(night, night.info.recording, known, probabilities[known], classes)


def score_lines(metrics: Mapping[str, Any], nights: Sequence[NightPredictions], names: Sequence[str]) -> list[str]:
    """The scores in a few lines: overall, F1 by class, and accuracy above each confidence."""
    overall, calibration, by_night = metrics["overall"], metrics["calibration"], metrics["over_recordings"]
    lines = [
        f"{len(nights)} labelled nights, {overall['n']} sleep epochs: kappa {_score(overall['kappa'])} "
        f"(by night {_score(by_night['mean']['kappa'])} on average, median {_score(by_night['median']['kappa'])}), "
        f"accuracy {overall['accuracy']:.3f}, calibration error {calibration['ece']:.3f}, "
        f"fitted temperature {metrics['temperature']['temperature']:.2f}"
    ]
    lines.append("  F1 " + ", ".join(f"{name} {_score(overall['per_class'][name]['f1'], 2)}" for name in names))
    probabilities = np.concatenate([night.probabilities[night.scored] for night in nights])
    labels = np.concatenate([night.labels[night.scored] for night in nights])
    correct = probabilities.argmax(axis=1) == labels
    for confidence in CONFIDENCES:
        kept = probabilities.max(axis=1) >= confidence
        accuracy = correct[kept].mean() if kept.any() else float("nan")
        lines.append(
            f"  confidence {confidence:.1f} or more: {kept.mean():.1%} of sleep epochs, accuracy {accuracy:.1%}"
        )
    return lines


def _score(value: float | None, decimals: int = 3) -> str:
    """A score in text, "undefined" if it is None: kappa of one class, F1 of a class that does not occur."""
    return "undefined" if value is None else f"{value:.{decimals}f}"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sleepkd pseudo-label", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", metavar="STORE", help="folder of a prepared store")
    parser.add_argument(
        "--model", "--teacher", default="yasa", choices=tuple(EXTERNAL), help="external model; default: yasa"
    )
    parser.add_argument("--stager", dest="model", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # version 0.1
    parser.add_argument(
        "--split",
        default=ALL,
        choices=("train", "validation", "test", ALL),
        help=f"part of the split to label; default: {ALL}",
    )
    parser.add_argument("--split-name", default="default", metavar="NAME", help="split of the store; default: default")
    parser.add_argument(
        "--classes",
        type=int,
        default=4,
        choices=(3, 4, 5),
        help="number of classes of the scores, at most those of the model; default: 4",
    )
    parser.add_argument(
        "--copy-to", nargs="+", default=[], metavar="STORE", help="stores of the same nights that get copies"
    )
    parser.add_argument("--into", dest="copy_to", nargs="+", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="output: metrics.json and predictions/")
    args = parser.parse_args(arguments)
    if args.model not in EXTERNAL:
        parser.error(f"--stager: {args.model} is not one of {', '.join(EXTERNAL)}")
    return args


if __name__ == "__main__":
    run_command(main)
