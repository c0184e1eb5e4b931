"""Makes sleepkd/weights: python -m scripts.weights --store STORE --real REAL.

STORE: simulated nights that YASA has staged, REAL: the twelve records of slpdb (docs/results/labels.md says how).
night: the student of ECG and beats, on STORE, targets by YASA and by the labels. tuned: its part for beats, which goes
on with REAL; judged by cross-validation over REAL's subjects, and kept only if it does better there than night.
Run again, it goes on where it was.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from examples.demo import run
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.data.splits import read_split, write_split
from sleepkd.data.store import Store
from sleepkd.checkpoints.trained import load_trained
from sleepkd.errors import run_command
from sleepkd.evaluation.predictions import read_predictions
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.metrics import batch_scores
from sleepkd.evaluation.scores.night import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of
from sleepkd.files import write_text_atomically
from sleepkd.prediction.model import own_weights
from sleepkd.provenance import launch_command
from sleepkd.study.folds import has_split
from sleepkd.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from sleepkd.checkpoints.temperature import temperature_path

CLASSES, FOLDS = 4, 5
SIZE = ("model.width=64", f"data.classes={CLASSES}")
SLPDB = (
    "MIT-BIH Polysomnographic Database (Ichimaru & Moody 1999, Psychiatry Clin Neurosci 53:175; PhysioNet, ODC-BY 1.0)"
)


def main() -> None:
    """Train, judge, keep."""
    args = _parse()
    night = args.out / f"{CLASSES}class" / "night" / "best.pt"
    _train("night_kd.yaml", args.out, f"data.store={args.store}", "stage.name=night", "stage.teacher=yasa",
           "distill.cache_teacher=true", f"train.epochs={args.epochs}", *SIZE)  # fmt: skip
    simulated = _evaluate(night, args.out / "on_test", "--store", args.store, "--calibrate")
    real = _evaluate(night, args.out / "on_real", "--store", args.real, "--split", "all", "--inputs", "beats")
    nights = len(read_split(Store(args.store), "default").parts["train"])
    about = f"Trained on {nights} simulated nights, targets by YASA's EEG stager and by their labels."
    _keep("night", night, about, _said(real, "not one of which it has seen"), simulated, real)
    tuned = _cross_validated(night, args)
    if _kappas(tuned).mean() <= _kappas(real).mean():
        print(f"tuned: {_said(tuned, 'by cross-validation')}: no better than night; not kept")
        return
    store = Store(args.real)
    _split(store, "everything", store.recordings, ())
    path = _tune(night, args, args.out, "everything")
    about += f" Then fine-tuned on twelve real records of the {SLPDB}."
    simulated = _evaluate(path, args.out / "tuned_on_test", "--store", args.store)
    said = _said(tuned, "each by a network that had not seen its sleeper") + _over(real, tuned)
    _keep("tuned", path, about, said, simulated, tuned)


def _train(config: str, out: Path, *settings: str, overlay: tuple[str, ...] = ()) -> None:
    run(launch_command("train_ddp.py", 1, ("--config", config, *overlay, "--set", f"runs_root={out}", *settings)))


def _evaluate(checkpoint: Path, out: Path, *arguments: object) -> list[NightPredictions]:
    run(launch_command("evaluate.py", 1, ("--checkpoint", checkpoint, "--out", out, "--only-scores", *arguments)))
    return read_predictions(out / "predictions")[0]


def _tune(night: Path, args: argparse.Namespace, out: Path, split: str) -> Path:
    start = ", ".join(f"{part}: {night}" for part in ("encoders.beats", "context", "classify"))
    _train("night_ecg.yaml", out, f"data.store={args.real}", f"data.split={split}", f"stage.start_from={{{start}}}",
           *SIZE, overlay=("scripts/tuned.yaml",))  # fmt: skip
    return out / f"{CLASSES}class" / "tuned" / "last.pt"


def _cross_validated(night: Path, args: argparse.Namespace) -> list[NightPredictions]:
    """Every real record, staged by a network that was tuned on other people's."""
    store = Store(args.real)
    people = sorted({store.info(name).subject for name in store.recordings})
    found = []
    for fold in range(FOLDS):
        name = f"tuned-{fold}"
        test = [x for x in store.recordings if people.index(store.info(x).subject) % FOLDS == fold]
        train = [x for x in store.recordings if x not in test]
        _split(store, name, train, test)
        checkpoint = _tune(night, args, args.out / name, name)
        found += _evaluate(checkpoint, args.out / name / "results")
    return found


def _split(store: Store, name: str, train: Sequence[str], test: Sequence[str]) -> None:
    """Write a split without a validation part, where it is not there yet."""
    if not has_split(store, name):
        parts = {"train": tuple(train), "validation": (), "test": tuple(test)}
        write_split(store.path / "splits" / name, parts, "written by scripts/weights.py")


def _kappas(nights: list[NightPredictions]) -> np.ndarray:
    """Kappa by night."""
    return batch_scores(confusions_of(nights, CLASSES))["kappa"]


def _said(nights: list[NightPredictions], how: str) -> str:
    kappas = _kappas(nights)
    return (
        f"On {len(nights)} real records (beats alone, most of the sleepers with apnea), {how}: kappa "
        f"{kappas.mean():.2f} by record, from {kappas.min():.2f} to {kappas.max():.2f}, in {CLASSES} classes."
    )


def _over(night: list[NightPredictions], tuned: list[NightPredictions]) -> str:
    found = compare({0: night}, {0: tuned}, CLASS_NAMES[CLASSES])
    gain, tests = found["difference"]["mean"]["kappa"], found["tests"]["kappa"]
    return (
        f" That is {gain['value']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}] over the network that has not seen "
        f"real hearts, better on {tests['better']}, worse on {tests['worse']}."
    )


def _keep(
    name: str,
    checkpoint: Path,
    trained_on: str,
    real_hearts: str,
    simulated: list[NightPredictions],
    real: list[NightPredictions],
) -> None:
    """Write a network, its temperature and its card where they come with sleepkd."""
    path = own_weights(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if checkpoint.name == "last.pt":  # without what it takes to train on
        save_checkpoint(path, replace(read_checkpoint(checkpoint), training={}))
    else:
        shutil.copyfile(checkpoint, path)
    if temperature_path(checkpoint).is_file():
        shutil.copyfile(temperature_path(checkpoint), temperature_path(path))
    card = {
        "trained_on": trained_on,
        "real_hearts": real_hearts,
        "classes": CLASS_NAMES[CLASSES],
        "kappa_by_night": {
            where: dict(zip((x.recording for x in nights), _kappas(nights).round(4).tolist(), strict=True))
            for where, nights in (("simulated", simulated), ("real", real))
            if nights
        },
        "made_by": "python -m " + " ".join(["scripts.weights", *sys.argv[1:]]),
    }
    write_text_atomically(path.with_name("card.json"), json.dumps(card, indent=1) + "\n")
    write_text_atomically(path.with_name("card.md"), _card(name, path, card))
    print(f"{path}: {real_hearts}")


def _card(name: str, path: Path, card: dict) -> str:
    """The card as a page."""
    trained = load_trained(path)
    parameters = sum(x.numel() for x in trained.network.parameters())
    parts = [
        f"# {name}",
        f"{parameters:,} parameters, {path.stat().st_size / 1e6:.2f} MB; sleep stages {', '.join(card['classes'])}, "
        f"every 30 s, from {' or '.join(trained.inputs)}. Not a medical device.",
        f"{card['trained_on']} {card['real_hearts']}",
        "Never shown to it: children, pacemakers, atrial fibrillation, naps, a watch's heart rate. Its simulated "
        "sleepers are adults, made after real heart rates by stage (docs/simulation.md).",
        f"Made by `{card['made_by']}`.",
    ]
    for where, kappas in card["kappa_by_night"].items():
        values = np.array(list(kappas.values()))
        parts.append(
            f"Kappa by night on {len(values)} {where} nights: {values.mean():.3f}, from {values.min():.3f} to "
            f"{values.max():.3f}."
        )
    return "\n\n".join(parts) + "\n"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="simulated nights, staged by YASA")
    parser.add_argument("--real", required=True, help="the twelve real records")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/weights"))
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
