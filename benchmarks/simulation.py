"""Checks of the simulated cohort that read only its files, as they would read real recordings.

    python -m benchmarks.simulation --work /tmp/simulation --nights 20 --jobs 2

simulates 20 nights of 8 h in the work folder (once), reads their EDF files, and prints the result of each check.
`--write docs/simulation.md` replaces the table between the two marks in that document, beside the targets.
`--figures docs/figures` draws its figures.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Before numpy is imported: the target for speed is for one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import mne
import numpy as np
import sleepecg
import yasa
from scipy.signal import welch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import cohen_kappa_score, f1_score
from sklearn.model_selection import GroupKFold

from benchmarks.nearest import nearest, to_nearest
from benchmarks.simulation_figures import draw_night, draw_stages
from benchmarks.simulation_recordings import (
    LABELS,
    SCORERS,
    majority_labels_of,
    read_ecg,
    read_labels,
    read_recording,
    scorer_names,
)
from benchmarks.simulation_rr_intervals import EPOCH, heart_rate_features
from sleepkd.simulation.cohort import write_cohort

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
TO_THREE_CLASSES = np.array([0, 1, 1, 1, 2])
YASA_CODES = {"WAKE": 0, "N1": 1, "N2": 2, "N3": 3, "REM": 4}
NIGHTS_OF_BEATS = 30
"""Nights without signals that the speed check writes."""
BANDS = {"slow": (0.4, 1), "delta": (1, 4), "theta": (4, 8), "alpha": (8, 12), "sigma": (12, 16), "beta": (16, 30)}

Result = Mapping[str, Any]


def main() -> None:
    """Simulate the cohort unless it exists, and run each check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="folder of the simulated cohort")
    parser.add_argument("--nights", type=int, default=20, metavar="COUNT", help="number of recordings (default: 20)")
    parser.add_argument("--hours", type=float, default=8.0, metavar="HOURS", help="hours per recording (default: 8)")
    parser.add_argument("--seed", type=int, default=0, metavar="SEED", help="random seed (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="PROCESSES", help="parallel processes (default: 1)")
    parser.add_argument("--only", nargs="*", choices=tuple(CHECKS), default=list(CHECKS), help="checks to run")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="document whose table is replaced (needs all checks)"
    )
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="folder of the figures")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    mne.set_log_level("ERROR")
    raw = options.work / f"raw-{options.nights}x{options.hours:g}-{options.seed}"
    if not raw.exists():
        write_cohort(raw, options.nights, options.hours, options.seed, options.jobs, scorers=SCORERS)
    paths = tuple(sorted(raw.glob("SS*_EDF/*PSG.edf")))
    results = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        for name in options.only:
            results[name] = CHECKS[name](pool, paths)
            print(name, json.dumps(results[name], indent=1), flush=True)
    if options.write:
        before, rest = options.write.read_text().split(BEGIN)
        options.write.write_text(f"{before}{BEGIN}\n{report(results)}\n{END}{rest.split(END)[1]}")
    if options.figures:
        draw_night(paths, options.figures / "simulation_night.png")
        draw_stages(paths, options.figures / "simulation_stages.png")


def report(results: Mapping[str, Result]) -> str:
    """The table of `docs/simulation.md` in Markdown: check, target, measured."""
    both, alone = results["yasa"]["eeg+eog+emg"], results["yasa"]["eeg"]
    ecg = results["ecg"]
    scorers = results["scorers"]
    agreed = ", ".join(f"{name} {share:.2f}" for name, share in scorers["agreed"].items())
    stages = ", ".join(f"{name} {value:.2f}" for name, value in both["F1"].items())
    rows = [
        ("YASA, EEG + EOG + EMG, 5 stages", "median kappa .70 to .85", f"{both['median kappa']:.3f}"),
        ("", "no stage's F1 below .35", stages),
        ("YASA, EEG alone", "median kappa ≥ .62", f"{alone['median kappa']:.3f}"),
        (
            "sleepecg's R-peak detector, artifact-free beats",
            "sensitivity ≥ .99",
            f"{results['detector']['sensitivity']:.5f}",
        ),
        ("", "precision ≥ .99", f"{results['detector']['precision']:.5f}"),
        (
            "staging by heart-rate features of one sleep epoch, 3 classes",
            "kappa .10 to .25",
            f"{ecg['one sleep epoch']['kappa']:.3f}",
        ),
        ("the same, of the 10 minutes around it", "kappa .22 to .40", f"{ecg['ten minutes']['kappa']:.3f}"),
        ("", "sd over nights .10 to .20", f"{ecg['ten minutes']['sd over nights']:.3f}"),
        ("two scorers, AASM nights", "kappa .72 to .80", f"{scorers['kappa']:.3f}"),
        ("", "W .84, N1 .63, N2 .85, N3 .67, R .90, each ± .06", agreed),
        (
            "staging by EEG band powers, 5 classes, where 4 of 5 scorers agree",
            "kappa .70 to .92",
            f"{results['eeg']['kappa']:.3f}",
        ),
        ("8 h, 12 channels, 256 Hz", "≤ 3.5 s of one core", f"{results['speed']['cpu']:.2f} s of CPU time"),
        ("8 h, heartbeats and scoring only", "≤ 0.1 s of one core", f"{results['speed']['beats']:.3f} s of CPU time"),
    ]
    head = ["| check | target | measured |", "|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


# ---- YASA ------------------------------------------------------------------------------------------------------------


def yasa_night(psg: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and the sleep stages by YASA from EEG, EOG and EMG, and from EEG alone, (n,) each."""
    raw, labels = read_recording(psg)

    def stage(**channels: str) -> np.ndarray:
        predicted = yasa.SleepStaging(raw, eeg_name="EEG", **channels).predict()
        return np.array([YASA_CODES[name] for name in predicted.hypno])[: len(labels)]

    return labels, stage(eog_name="EOG Left Horiz", emg_name="EMG Chin1"), stage()


def check_yasa(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> Result:
    """YASA's pretrained sleep stager, 5 classes: median kappa per night, F1 of each sleep stage over all nights."""
    nights = list(pool.map(yasa_night, paths))
    result = {}
    for name, index in (("eeg+eog+emg", 1), ("eeg", 2)):
        kept = [(night[0][night[0] >= 0], night[index][night[0] >= 0]) for night in nights]
        kappas = [cohen_kappa_score(labels, stages) for labels, stages in kept]
        truth, stages = (np.concatenate([pair[i] for pair in kept]) for i in (0, 1))
        f1 = f1_score(truth, stages, average=None, labels=range(5))
        confusion = [[int(((truth == i) & (stages == j)).sum()) for j in range(5)] for i in range(5)]
        result[name] = {
            "median kappa": round(float(np.median(kappas)), 3),
            "kappas": [round(k, 2) for k in kappas],
            "F1": dict(zip(LABELS, np.round(f1, 2).tolist(), strict=True)),
            "confusion": confusion,
        }
    return result


# ---- ECG and heartbeats ----------------------------------------------------------------------------------------------


def detector_night(psg: Path) -> tuple[int, int, int]:
    """`detector_counts` of one recording."""
    truth = np.load(psg.parents[1] / "truth" / f"{psg.name[:10]}.npz")
    return detector_counts(*read_ecg(psg), truth["beats"], truth["clean"])


def detector_counts(ecg: np.ndarray, rate: float, beats: np.ndarray, clean: np.ndarray) -> tuple[int, int, int]:
    """True positives, false negatives and false positives of sleepecg's R-peak detector, within 100 ms.

    AAMI EC57 allows 150 ms. `clean`: whether each true beat (n,) is artifact-free; others are not counted.
    """
    found = sleepecg.detect_heartbeats(ecg, rate) / rate
    inside = (beats > 3) & (beats < len(ecg) / rate - 3) & clean
    hits = int((np.abs(to_nearest(beats, found))[inside] < 0.1).sum())
    # A false positive counts only where the nearest true beat is artifact-free.
    false = int(((np.abs(to_nearest(found, beats)) >= 0.1) & inside[nearest(found, beats)]).sum())
    return hits, int(inside.sum()) - hits, false


def check_detector(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> Result:
    """Sensitivity and precision of `sleepecg.detect_heartbeats` against the true beats."""
    counts = np.array(list(pool.map(detector_night, paths)))
    hits, missed, false = counts.sum(axis=0)
    per_night = counts[:, 0] / counts[:, :2].sum(axis=1), counts[:, 0] / (counts[:, 0] + counts[:, 2])
    return {
        "sensitivity": round(float(hits / (hits + missed)), 5),
        "precision": round(float(hits / (hits + false)), 5),
        "worst night": [round(float(values.min()), 4) for values in per_night],
    }


def heart_rate_night(psg: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (n,) and the `heart_rate_features` of the beats that sleepecg detects."""
    onset, labels = read_labels(psg)
    ecg, rate = read_ecg(psg)
    beats = sleepecg.detect_heartbeats(ecg, rate) / rate
    count = min(len(labels), int((len(ecg) / rate - onset) / EPOCH))
    return labels[:count], *heart_rate_features(beats, onset, count)


def check_heart_rate_staging(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> Result:
    """Staging by gradient boosting on heart-rate features, 3 classes: of one sleep epoch, and of 10 min around it."""
    nights = list(pool.map(heart_rate_night, paths))
    three = [np.where(labels >= 0, TO_THREE_CLASSES[labels], -1) for labels, *_ in nights]
    return {
        "one sleep epoch": _cross_validated([(y, night[1]) for y, night in zip(three, nights, strict=True)]),
        "ten minutes": _cross_validated([(y, night[2]) for y, night in zip(three, nights, strict=True)]),
    }


def _cross_validated(nights: list[tuple[np.ndarray, np.ndarray]]) -> Result:
    """Kappa and F1 of gradient boosting in five subject-wise folds; unscored sleep epochs are left out."""
    labels, x = (np.concatenate([night[i] for night in nights]) for i in (0, 1))
    groups = np.repeat(np.arange(len(nights)), [len(night[0]) for night in nights])
    kept = labels >= 0
    labels, x, groups = labels[kept], x[kept], groups[kept]
    predicted = np.empty_like(labels)
    for train, test in GroupKFold(5).split(x, labels, groups):
        model = HistGradientBoostingClassifier(
            max_iter=150, learning_rate=0.06, max_leaf_nodes=15, class_weight="balanced", random_state=0
        )
        predicted[test] = model.fit(x[train], labels[train]).predict(x[test])
    f1 = f1_score(labels, predicted, average=None)
    per_night = [cohen_kappa_score(labels[groups == g], predicted[groups == g]) for g in np.unique(groups)]
    return {
        "kappa": round(float(cohen_kappa_score(labels, predicted)), 3),
        "median kappa per night": round(float(np.median(per_night)), 3),
        "sd over nights": round(float(np.std(per_night)), 3),
        "F1": np.round(f1, 2).tolist(),
    }


# ---- inter-rater agreement -------------------------------------------------------------------------------------------


def check_scorers(_pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> Result:
    """Mean kappa of pairs of scorers of the AASM nights, and the share of sleep epochs agreed on by sleep stage."""
    kappas, confusion = [], np.zeros((5, 5))
    for psg in (path for path in paths if path.parent.name in ("SS1_EDF", "SS3_EDF")):
        scorings = [read_labels(psg, name)[1] for name in scorer_names()]
        for a, b in combinations(scorings, 2):
            both = (a >= 0) & (b >= 0)
            kappas.append(cohen_kappa_score(a[both], b[both]))
            np.add.at(confusion, (a[both], b[both]), 1)
    confusion += confusion.T
    share = np.diag(confusion) / confusion.sum(axis=1)
    return {
        "kappa": round(float(np.mean(kappas)), 3),
        "agreed": dict(zip(LABELS, share.round(2).tolist(), strict=True)),
    }


# ---- EEG -------------------------------------------------------------------------------------------------------------


def bands_night(psg: Path) -> tuple[np.ndarray, np.ndarray]:
    """`majority_labels_of` (n,), and absolute and relative log band powers of the EEG (n, 12)."""
    raw, labels = read_recording(psg)
    labels = majority_labels_of(psg)[: len(labels)]
    rate = round(raw.info["sfreq"])
    epochs = raw.get_data("EEG")[0][: len(labels) * EPOCH * rate].reshape(len(labels), EPOCH * rate) * 1e6
    f, power = welch(epochs, rate, nperseg=4 * rate)
    bands = np.stack([power[:, (f >= low) & (f < high)].sum(axis=1) for low, high in BANDS.values()], axis=1)
    return labels, np.log(np.concatenate([bands, bands / bands.sum(axis=1, keepdims=True)], axis=1) + 1e-9)


def check_eeg_staging(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> Result:
    """Staging by gradient boosting on EEG band powers of one sleep epoch, 5 classes."""
    return _cross_validated(list(pool.map(bands_night, paths)))


# ---- speed -----------------------------------------------------------------------------------------------------------


def check_speed(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> Result:
    """Seconds of one core to write an 8-h night: 12 channels at 256 Hz (best of three), and heartbeats only."""
    seconds = []
    for _ in range(3):
        with TemporaryDirectory() as folder:
            wall, cpu = time.perf_counter(), time.process_time()
            write_cohort(Path(folder) / "raw", nights=1, hours=8, seed=0, channels="full")
            seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = min(seconds)
    with TemporaryDirectory() as folder:
        began = time.process_time()
        write_cohort(Path(folder) / "raw", nights=NIGHTS_OF_BEATS, hours=8, seed=0, channels="beats")
        beats = (time.process_time() - began) / NIGHTS_OF_BEATS
    return {"wall": round(wall, 2), "cpu": round(cpu, 2), "beats": round(beats, 3)}


CHECKS: dict[str, Callable[[ProcessPoolExecutor, tuple[Path, ...]], Result]] = {
    "speed": check_speed,
    "detector": check_detector,
    "ecg": check_heart_rate_staging,
    "scorers": check_scorers,
    "eeg": check_eeg_staging,
    "yasa": check_yasa,
}

if __name__ == "__main__":
    main()
