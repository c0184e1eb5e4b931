"""Networks trained on real nights judge simulated nights, and a network trained on simulated nights judges real ones.

    sleepkd simulate --out beats --nights 60 --hours 8 --seed 101 --channels beats
    sleepkd prepare --dataset simulated_beats --raw beats --out stores/beats
    sleepkd simulate --out watch --nights 60 --hours 8 --seed 101 --channels beats --device watch
    sleepkd prepare --dataset simulated_rate --raw watch --out stores/watch
    python -m benchmarks.simulation_judges --real-networks a/last.pt b/last.pt --simulated stores/beats stores/watch \\
        --simulated-network runs/weights/runs/simulated/seed0/4class/simulated/last.pt \\
        --real stores/sleep_accel stores/slpdb --write docs/simulation.md

SleepECG and the real networks, whose probabilities are averaged, stage the simulated stores; the simulated network
stages the real ones, unless both are left out. A night's kappa is that of its scored sleep epochs. `--write` replaces
the table between the two marks in a document.
"""

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import cohen_kappa_score

from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.data.hypnogram import UNSCORED
from sleepkd.data.store import Night, Store
from sleepkd.errors import run_command
from sleepkd.prediction.ecg_check import USABLE
from sleepkd.prediction.staged import MIN_USABLE_SHARE, stage_night
from sleepkd.simulation.recording_files import PARTICIPANTS
from sleepkd.teachers.sleepecg import SleepEcgTeacher

BEGIN, END = "<!-- judges -->", "<!-- end of judges -->"
TO_CLASSES = {3: np.array([0, 1, 1, 1, 2]), 4: np.array([0, 1, 1, 2, 3])}
"""By number of classes: the class of each label W, N1, N2, N3, REM."""
APNEA_INDEX = 5.0
"""Apneas per hour of sleep from which on a simulated sleeper has sleep apnea."""

Judge = Callable[[Night], np.ndarray]
"""From a night to the probabilities (N, K) of its sleep epochs; all NaN where the judge cannot stage it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print or write a table: judge, nights, kappa."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real-networks", type=Path, nargs="+", required=True, metavar="FILE", help="checkpoints")
    parser.add_argument("--simulated", type=Path, nargs="+", required=True, metavar="STORE", help="simulated nights")
    parser.add_argument("--simulated-network", type=Path, metavar="FILE", help="checkpoint (needs --real)")
    parser.add_argument("--real", type=Path, nargs="+", default=[], metavar="STORE", help="real nights")
    parser.add_argument("--write", type=Path, metavar="FILE", help="document whose table is replaced")
    options = parser.parse_args(arguments)
    if (options.simulated_network is None) != (not options.real):
        parser.error("--simulated-network and --real need each other")
    real = network_judge(options.real_networks)
    lines = ["| judge | nights | classes | mean kappa | median | with apnea |", "|---|---|---:|---:|---:|---:|"]
    for store in options.simulated:
        lines.append(row("SleepECG, trained on 1,971 real nights", store, SleepEcgTeacher.stage_night, 3))
        lines.append(row("networks trained on real nights alone", store, real, 4))
    if options.simulated_network:
        simulated = network_judge([options.simulated_network])
        lines += [row("network trained on simulated nights alone", store, simulated, 4) for store in options.real]
    lines = [line for line in lines if line]
    print("\n".join(lines))
    if options.write:
        before, rest = options.write.read_text().split(BEGIN)
        options.write.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{rest.split(END)[1]}"]))


def network_judge(checkpoints: Sequence[Path]) -> Judge:
    """The networks of these checkpoints, whose probabilities are averaged."""
    networks: list[TrainedNetwork] = [load_trained(path) for path in checkpoints]
    return lambda night: np.mean([stage_night(one, night).predicted.probabilities for one in networks], axis=0)


def row(name: str, store: Path, judge: Judge, classes: int) -> str:
    """The line of a Markdown table with a judge's kappas on the nights of a store; empty where it stages none."""
    kappas = kappas_of(Store(store), judge, classes)
    if not kappas:
        return ""
    apneic = [kappas[night] for night in apneic_nights(store) if night in kappas]
    cells = [f"{np.mean(list(kappas.values())):.2f}", f"{np.median(list(kappas.values())):.2f}"]
    cells.append(f"{np.mean(apneic):.2f}" if apneic else "")
    return f"| {name} | {len(kappas)}, {store.name} | {classes} | {' | '.join(cells)} |"


def kappas_of(store: Store, judge: Judge, classes: int) -> dict[str, float]:
    """Cohen's kappa of every labelled night that the judge can stage and that has enough usable heartbeats."""
    found = {}
    for recording in store.recordings:
        night = store.open(recording)
        if not night.has_labels or (night.beat_quality() >= USABLE).mean() < MIN_USABLE_SHARE:
            continue
        if (kappa := kappa_of(night.hypnogram.labels, judge(night), classes)) is not None:
            found[recording] = kappa
    return found


def kappa_of(labels: np.ndarray, probabilities: np.ndarray, classes: int) -> float | None:
    """Cohen's kappa of labels (N,), W to REM, and probabilities (M, K) from the same start; None if all are NaN."""
    count = min(len(labels), len(probabilities))
    labels, probabilities = labels[:count], probabilities[:count]
    known = (labels != UNSCORED) & np.isfinite(probabilities).all(axis=1)
    if not known.any():
        return None
    return float(cohen_kappa_score(TO_CLASSES[classes][labels[known]], probabilities[known].argmax(axis=1)))


def apneic_nights(store: Path) -> list[str]:
    """The recordings of simulated sleepers with sleep apnea; none of a store of real nights."""
    path = store / PARTICIPANTS
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [row["recording"] for row in rows if float(row["apnea_index"]) >= APNEA_INDEX]


if __name__ == "__main__":
    run_command(main)
