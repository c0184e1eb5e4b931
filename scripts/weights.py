"""Train, evaluate and store the network that ships with sleepkd (sleepkd/weights/night).

    python -m scripts.weights --store STORE --real REAL

STORE holds simulated nights with labels and YASA's pseudo-labels, REAL the twelve recordings of slpdb; the commands
that make both are in docs/results/labels.md. The student of ECG and heartbeats is trained on STORE; its kappa on the
test nights of STORE and on REAL (heartbeats alone) goes into the model card. The same command resumes.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from examples.demo import run
from sleepkd.checkpoints.temperature import temperature_path
from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.errors import run_command
from sleepkd.evaluation.predictions import read_predictions
from sleepkd.evaluation.scores.metrics import batch_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of
from sleepkd.files import write_text_atomically
from sleepkd.prediction.model import SHIPPED, shipped_checkpoint
from sleepkd.provenance import launch_command

CLASSES = 4


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, and write the weights and their model card."""
    args = _parse(arguments)
    settings = (
        f"runs_root={args.out}", f"data.store={args.store}", f"stage.name={SHIPPED}", "stage.teacher=yasa",
        "distill.cache_teacher=true", f"train.epochs={args.epochs}", "model.width=64", f"data.classes={CLASSES}",
    )  # fmt: skip
    run(launch_command("train_ddp.py", 1, ("--config", "night_kd.yaml", "--set", *settings)))
    checkpoint = args.out / f"{CLASSES}class" / SHIPPED / "best.pt"
    simulated = evaluate(checkpoint, args.out / "on_test", "--store", args.store, "--calibrate")
    real = evaluate(checkpoint, args.out / "on_real", "--store", args.real, "--split", "all", "--inputs", "beats")
    nights = len(read_split(Store(args.store), "default").parts["train"])
    write_weights(checkpoint, nights, simulated, real)
    return 0


def evaluate(checkpoint: Path, out: Path, *arguments: object) -> list[NightPredictions]:
    """Run evaluate.py on a checkpoint; returns the predictions that it wrote."""
    run(launch_command("evaluate.py", 1, ("--checkpoint", checkpoint, "--out", out, "--only-scores", *arguments)))
    return read_predictions(out / "predictions")[0]


def write_weights(
    checkpoint: Path, training_nights: int, simulated: list[NightPredictions], real: list[NightPredictions]
) -> None:
    """Copy a checkpoint and its temperature to sleepkd/weights, and write its model card (JSON and Markdown)."""
    path = shipped_checkpoint()
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(checkpoint, path)
    if temperature_path(checkpoint).is_file():
        shutil.copyfile(temperature_path(checkpoint), temperature_path(path))
    kappas = kappa_by_night(real)
    card = {
        "trained_on": f"Trained on {training_nights} simulated nights, with their labels and YASA's pseudo-labels "
        "of their EEG.",
        "real_recordings": f"On {len(kappas)} real recordings, none used in training (heartbeats alone, most subjects "
        f"with sleep apnea): kappa {kappas.mean():.2f} per recording, from {kappas.min():.2f} to {kappas.max():.2f}, "
        f"in {CLASSES} classes.",
        "classes": CLASS_NAMES[CLASSES],
        "kappa_by_night": {
            name: dict(zip((x.recording for x in nights), kappa_by_night(nights).round(4).tolist(), strict=True))
            for name, nights in (("simulated", simulated), ("real", real))
        },
        "made_by": "python -m " + " ".join(["scripts.weights", *sys.argv[1:]]),
    }
    write_text_atomically(path.with_name("card.json"), json.dumps(card, indent=1) + "\n")
    write_text_atomically(path.with_name("card.md"), card_page(path, card))
    print(f"{path}: {card['real_recordings']}")


def kappa_by_night(nights: list[NightPredictions]) -> np.ndarray:
    """Kappa (nights,) of each night."""
    return batch_scores(confusions_of(nights, CLASSES))["kappa"]


def card_page(path: Path, card: dict[str, Any]) -> str:
    """The model card in Markdown."""
    trained = load_trained(path)
    parameters = sum(x.numel() for x in trained.network.parameters())
    parts = [
        f"# {SHIPPED}",
        f"{parameters:,} parameters, {path.stat().st_size / 1e6:.2f} MB; sleep stages {', '.join(card['classes'])}, "
        f"every 30 s, from {' or '.join(trained.inputs)}. Not a medical device.",
        f"{card['trained_on']} {card['real_recordings']}",
        "Neither trained nor tested on children, pacemakers, atrial fibrillation, naps, or the heart rate of a watch. "
        "The simulated subjects are adults, with heart rates by sleep stage as measured on real nights "
        "(docs/simulation.md).",
        f"Made by `{card['made_by']}`.",
    ]
    for name, kappas in card["kappa_by_night"].items():
        values = np.array(list(kappas.values()))
        parts.append(
            f"Kappa per night on {len(values)} {name} nights: mean {values.mean():.3f}, from {values.min():.3f} to "
            f"{values.max():.3f}."
        )
    return "\n\n".join(parts) + "\n"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.weights", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", required=True, metavar="FOLDER", help="store of simulated nights, pseudo-labelled")
    parser.add_argument("--real", required=True, metavar="FOLDER", help="store of the twelve real recordings")
    parser.add_argument("--epochs", type=int, default=10, metavar="N", help="training epochs; default: 10")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/weights"),
        metavar="FOLDER",
        help="runs and results; default: runs/weights",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
