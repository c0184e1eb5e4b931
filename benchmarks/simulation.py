"""Judges of the simulated cohort that know nothing of how it was made.

    python -m benchmarks.simulation --work /tmp/simulation --nights 20 --jobs 2

writes 20 nights of 8 h under the work folder (once), reads them back from their EDF files, and prints each judge's
measurements. `--write docs/simulation.md` puts them beside the bars between the two marks in that document, and
`--figures docs/figures` draws its pictures.
"""

import argparse
import json
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

# One core each: this must come before numpy is imported, and the speed bar is stated for one core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import mne
import numpy as np
import sleepecg
import yasa
from scipy.ndimage import median_filter
from scipy.signal import spectrogram, welch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import cohen_kappa_score, f1_score
from sklearn.model_selection import GroupKFold

from benchmarks.simulation_heart import EPOCH, heart_rate_features
from sleepkd.simulation.cohort import write_cohort

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
LABELS = ("W", "N1", "N2", "N3", "R")
FROM_TEXT = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4, "?": -1}
TO_THREE = np.array([0, 1, 1, 1, 2])
YASA_NAMES = {"WAKE": 0, "N1": 1, "N2": 2, "N3": 3, "REM": 4}
TABLE = Path(__file__).parents[2] / "shared" / "data" / "autonomic_by_stage.json"
TABLE_KEYS = {"W": "W", "N1": "N1", "N2": "N2", "N3": "N3", "R": "REM"}
MEASURES = {  # name: key of the table
    "heart rate / night's median": "hr_over_night_median_p10_25_50_75_90",
    "SDNN of 30 s, ms": "sdnn_30s_ms",
    "RMSSD of 30 s, ms": "rmssd_30s_ms",
    "LF/HF of 150 s": "lf_over_hf",
    "VLF/(LF+HF) of 150 s": "vlf_over_lf_plus_hf",
}
SCORERS, AGREED = 5, 4
"""People who score each night; how many of them must agree where signals are judged, not people."""
BEATS_ONLY = 30
BANDS = {"slow": (0.4, 1), "delta": (1, 4), "theta": (4, 8), "alpha": (8, 12), "sigma": (12, 16), "beta": (16, 30)}


def main() -> None:
    """Write the cohort where it does not stand yet, and let each judge measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="where the cohort is written, or already stands")
    parser.add_argument("--nights", type=int, default=20)
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=tuple(JUDGES), default=list(JUDGES))
    parser.add_argument("--write", type=Path, help="document whose table is replaced (all judges)")
    parser.add_argument("--figures", type=Path, help="folder the pictures go to")
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
            results[name] = JUDGES[name](pool, paths)
            print(name, json.dumps(results[name], indent=1), flush=True)
    if options.write:
        before, rest = options.write.read_text().split(BEGIN)
        options.write.write_text(f"{before}{BEGIN}\n{report(results)}\n{END}{rest.split(END)[1]}")
    if options.figures:
        draw_night(paths, options.figures / "simulation_night.png")
        draw_stages(paths, options.figures / "simulation_stages.png")


def report(results: dict[str, dict]) -> str:
    """The table of `docs/simulation.md`: judge, bar, measured."""
    both, alone = results["yasa"]["eeg+eog+emg"], results["yasa"]["eeg"]
    ecg = results["ecg"]
    scorers = results["scorers"]
    agreed = ", ".join(f"{name} {share:.2f}" for name, share in scorers["agreed"].items())
    stages = ", ".join(f"{name} {value:.2f}" for name, value in both["F1"].items())
    autonomic = results["autonomic"]
    rows = [
        ("YASA, EEG + EOG + EMG, 5 stages", "median kappa .70 to .85", f"{both['median kappa']:.3f}"),
        ("", "no stage's F1 below .35", stages),
        ("YASA, EEG alone", "median kappa ≥ .62", f"{alone['median kappa']:.3f}"),
        ("sleepecg's detector, clean stretches", "sensitivity ≥ .99", f"{results['detector']['sensitivity']:.5f}"),
        ("", "precision ≥ .99", f"{results['detector']['precision']:.5f}"),
        ("autonomic table", "every median inside the quartiles", autonomic["inside"]),
        (
            "heart-rate features, one sleep epoch, 3 classes",
            "kappa .10 to .25",
            f"{ecg['one sleep epoch']['kappa']:.3f}",
        ),
        ("the same, 10 minutes around it", "kappa .22 to .40", f"{ecg['ten minutes']['kappa']:.3f}"),
        ("", "sd over nights .10 to .20", f"{ecg['ten minutes']['sd over nights']:.3f}"),
        ("two scorers, AASM nights", "kappa .72 to .80", f"{scorers['kappa']:.3f}"),
        ("", "W .84, N1 .63, N2 .85, N3 .67, R .90, each ± .06", agreed),
        (
            "EEG band powers, 5 classes, where 4 of 5 scorers agree",
            "kappa .70 to .92",
            f"{results['eeg']['kappa']:.3f}",
        ),
        ("8 h, 12 channels, 256 Hz", "≤ 6 s of one core", f"{results['speed']['cpu']:.2f} s of CPU time"),
        ("8 h, beats and scoring alone", "≤ 0.1 s of one core", f"{results['speed']['beats alone']:.3f} s of CPU time"),
    ]
    medians = [f"| {' | '.join(cells)} |" for cells in autonomic["rows"]]
    head = ["| judge | bar | measured |", "|---|---|---|"]
    middle = ["", f"| median | {' | '.join(LABELS)} |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows), *middle, *medians])


# ---- reading ---------------------------------------------------------------------------------------------------------


def labels_of(psg: Path, scoring: str = "Base") -> tuple[float, np.ndarray]:
    """Onset of the first sleep epoch in seconds, and the label of each 30 s from there (n,): -1 is unscored.

    R&K nights are scored in 20 s; a window takes the label that fills most of it.
    """
    scoring = mne.read_annotations(psg.with_name(psg.name.replace("PSG", scoring)))
    texts = np.array([FROM_TEXT[text.split()[-1]] for text in scoring.description])
    length = round(scoring.duration[0])
    seconds = np.repeat(texts, length)
    seconds = seconds[: len(seconds) // EPOCH * EPOCH].reshape(-1, EPOCH)
    share = np.stack([(seconds == label).sum(axis=1) for label in range(-1, 5)], axis=1)
    return float(scoring.onset[0]), share.argmax(axis=1) - 1


def agreed_labels(psg: Path) -> np.ndarray:
    """The label of each 30 s that AGREED of the SCORERS have given (n,), else -1."""
    counts = np.zeros((0, 0))
    for name in scorer_names():
        labels = labels_of(psg, name)[1]
        counts = counts if len(counts) else np.zeros((len(labels), 6))
        counts[np.arange(len(labels)), labels + 1] += 1
    return np.where(counts.max(axis=1) >= AGREED, counts.argmax(axis=1) - 1, -1)


def scorer_names() -> list[str]:
    """What their files are called."""
    return ["Base", *(f"Scorer{number}" for number in range(2, SCORERS + 1))]


def signals_of(psg: Path) -> tuple[mne.io.BaseRaw, np.ndarray]:
    """The night from its first sleep epoch on, with `EEG` = C3 (C4 where only A1 exists) as staged, and its labels."""
    onset, labels = labels_of(psg)
    raw = mne.io.read_raw_edf(psg, preload=False)
    raw.crop(onset).load_data()
    names = {name.split()[1].split("-")[0]: name for name in raw.ch_names if name.startswith("EEG")}
    electrode, ear = ("C3", "A2") if "A2" in names else ("C4", "A1")
    eeg = raw.get_data(names[electrode])
    if names[electrode].endswith("CLE"):
        eeg = eeg - raw.get_data(names[ear])
    extra = mne.io.RawArray(eeg, mne.create_info(["EEG"], raw.info["sfreq"], "eeg"), first_samp=raw.first_samp)
    extra.set_meas_date(raw.info["meas_date"])
    raw.add_channels([extra], force_update_info=True)
    count = min(len(labels), int(raw.n_times / raw.info["sfreq"] / EPOCH))
    return raw, labels[:count]


# ---- YASA ------------------------------------------------------------------------------------------------------------


def yasa_night(psg: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and YASA's stages with EEG + EOG + EMG and with EEG alone (n,) each."""
    raw, labels = signals_of(psg)
    stages = []
    for channels in ({"eog_name": "EOG Left Horiz", "emg_name": "EMG Chin1"}, {}):
        predicted = yasa.SleepStaging(raw, eeg_name="EEG", **channels).predict()
        stages.append(np.array([YASA_NAMES[name] for name in predicted.hypno])[: len(labels)])
    return labels, *stages


def judge_yasa(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> dict[str, object]:
    """YASA's pretrained stager, 5 classes: median kappa per night, F1 of each stage over all nights."""
    nights = list(pool.map(yasa_night, paths))
    result = {}
    for name, place in (("eeg+eog+emg", 1), ("eeg", 2)):
        kept = [(night[0][night[0] >= 0], night[place][night[0] >= 0]) for night in nights]
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


# ---- the heart -------------------------------------------------------------------------------------------------------


def ecg_of(psg: Path) -> tuple[np.ndarray, float]:
    """The ECG that staging uses (samples,) and its rate: ECGII where there are three leads."""
    raw = mne.io.read_raw_edf(psg)
    names = [name for name in raw.ch_names if name.startswith("ECG")]
    name = next((name for name in names if name.endswith("ECGII")), names[0])
    return raw.get_data(name)[0], raw.info["sfreq"]


def detector_night(psg: Path) -> tuple[int, int, int]:
    """`detector_counts` of a recording against its true beats."""
    truth = np.load(psg.parents[1] / "truth" / f"{psg.name[:10]}.npz")
    return detector_counts(*ecg_of(psg), truth["beats"], truth["clean"])


def detector_counts(ecg: np.ndarray, rate: float, beats: np.ndarray, clean: np.ndarray) -> tuple[int, int, int]:
    """Beats found, missed and invented by `sleepecg` on clean stretches, within 100 ms (AAMI EC57 allows 150)."""
    found = sleepecg.detect_heartbeats(ecg, rate) / rate
    inside = (beats > 3) & (beats < len(ecg) / rate - 3) & clean
    hits = int((np.abs(beats - found[_nearest(beats, found)])[inside] < 0.1).sum())
    # A detection counts as invented where the true beat nearest to it is clean.
    nearest = _nearest(found, beats)
    invented = int(((np.abs(found - beats[nearest]) >= 0.1) & inside[nearest]).sum())
    return hits, int(inside.sum()) - hits, invented


def judge_detector(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> dict[str, object]:
    """`sleepecg.detect_heartbeats` against the true beats."""
    counts = np.array(list(pool.map(detector_night, paths)))
    hits, missed, false = counts.sum(axis=0)
    per_night = counts[:, 0] / counts[:, :2].sum(axis=1), counts[:, 0] / (counts[:, 0] + counts[:, 2])
    return {
        "sensitivity": round(float(hits / (hits + missed)), 5),
        "precision": round(float(hits / (hits + false)), 5),
        "worst night": [round(float(values.min()), 4) for values in per_night],
    }


def _nearest(values: np.ndarray, sorted_values: np.ndarray) -> np.ndarray:
    """Index into `sorted_values` of what is nearest to each value."""
    right = np.searchsorted(sorted_values, values).clip(1, len(sorted_values) - 1)
    return right - (values - sorted_values[right - 1] < sorted_values[right] - values)


def autonomic_night(psg: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels (n,) and what `heart_rate_features` makes of the beats `sleepecg` finds, as anyone else would have to."""
    onset, labels = labels_of(psg)
    ecg, rate = ecg_of(psg)
    beats = sleepecg.detect_heartbeats(ecg, rate) / rate
    count = min(len(labels), int((len(ecg) / rate - onset) / EPOCH))
    return labels[:count], *heart_rate_features(beats, onset, count)


@cache
def autonomic_nights(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> list[tuple[np.ndarray, ...]]:
    """`autonomic_night` of every recording: two judges look at it."""
    return list(pool.map(autonomic_night, paths))


def judge_autonomic(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> dict[str, object]:
    """Each measure's median by stage, with the quartiles measured on real nights, and whether it lies inside."""
    nights = autonomic_nights(pool, paths)
    labels, measures = np.concatenate([n[0] for n in nights]), np.concatenate([n[1] for n in nights])
    table = json.loads(TABLE.read_text())["stages"]
    inside, rows = 0, []
    for place, (measure, key) in enumerate(MEASURES.items()):
        rows.append([measure])
        for label, name in enumerate(LABELS):
            _, low, _, high, _ = table[TABLE_KEYS[name]][key]
            median = float(np.nanmedian(measures[labels == label, place]))
            inside += low <= median <= high
            rows[-1].append(f"{median:.3g} in {low:.3g} to {high:.3g}{'' if low <= median <= high else ' (OUT)'}")
    return {"inside": f"{inside} of {len(MEASURES) * len(LABELS)}", "rows": rows}


def judge_ecg(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> dict[str, object]:
    """Gradient boosting on heart-rate features, 3 classes, subject-wise folds: one sleep epoch, and 10 minutes."""
    nights = autonomic_nights(pool, paths)
    three = [np.where(labels >= 0, TO_THREE[labels], -1) for labels, *_ in nights]
    return {
        "one sleep epoch": _cross_validated([(y, night[2]) for y, night in zip(three, nights, strict=True)]),
        "ten minutes": _cross_validated([(y, night[3]) for y, night in zip(three, nights, strict=True)]),
    }


def _cross_validated(nights: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Kappa and F1 of gradient boosting over five subject-wise folds, unscored epochs left out."""
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


# ---- the scorers -----------------------------------------------------------------------------------------------------


def judge_scorers(_pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> dict[str, object]:
    """Of every two scorers of the AASM nights: mean kappa by night, and by stage the share of sleep epochs agreed."""
    kappas, confusion = [], np.zeros((5, 5))
    for psg in (path for path in paths if path.parent.name in ("SS1_EDF", "SS3_EDF")):
        scorings = [labels_of(psg, name)[1] for name in scorer_names()]
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


# ---- the brain -------------------------------------------------------------------------------------------------------


def bands_night(psg: Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n,) that most scorers agree on, else -1, and log band powers, absolute and relative, of C3 (n, 12)."""
    raw, labels = signals_of(psg)
    labels = agreed_labels(psg)[: len(labels)]
    rate = round(raw.info["sfreq"])
    epochs = raw.get_data("EEG")[0][: len(labels) * EPOCH * rate].reshape(len(labels), EPOCH * rate) * 1e6
    f, power = welch(epochs, rate, nperseg=4 * rate)
    bands = np.stack([power[:, (f >= low) & (f < high)].sum(axis=1) for low, high in BANDS.values()], axis=1)
    return labels, np.log(np.concatenate([bands, bands / bands.sum(axis=1, keepdims=True)], axis=1) + 1e-9)


def judge_eeg(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> dict[str, object]:
    """Gradient boosting on band powers of one sleep epoch of one EEG, 5 classes, subject-wise folds."""
    return _cross_validated(list(pool.map(bands_night, paths)))


# ---- the machine -----------------------------------------------------------------------------------------------------


def judge_speed(pool: ProcessPoolExecutor, paths: tuple[Path, ...]) -> dict[str, object]:
    """Seconds of a core for an 8-h night, written: of 12 channels at 256 Hz, the best of three; of beats alone."""
    seconds = []
    for _ in range(3):
        with TemporaryDirectory() as folder:
            wall, cpu = time.perf_counter(), time.process_time()
            write_cohort(Path(folder) / "raw", nights=1, hours=8, seed=0, channels="full")
            seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = min(seconds)
    with TemporaryDirectory() as folder:
        began = time.process_time()
        write_cohort(Path(folder) / "raw", nights=BEATS_ONLY, hours=8, seed=0, channels="beats")
        beats = (time.process_time() - began) / BEATS_ONLY
    return {"wall": round(wall, 2), "cpu": round(cpu, 2), "beats alone": round(beats, 3)}


# ---- pictures --------------------------------------------------------------------------------------------------------


def draw_night(paths: tuple[Path, ...], target: Path) -> None:
    """Hypnogram, heart rate and spectrogram of the first SS3 night."""
    psg = next(path for path in paths if "SS3" in str(path))
    raw, labels = signals_of(psg)
    onset, _ = labels_of(psg)
    rate = raw.info["sfreq"]
    ecg, _ = ecg_of(psg)
    beats = sleepecg.detect_heartbeats(ecg, rate) / rate - onset
    f, t, power = spectrogram(raw.get_data("EEG")[0] * 1e6, rate, nperseg=round(4 * rate), noverlap=0)
    power = power[:, : power.shape[1] // 8 * 8].reshape(len(f), -1, 8).mean(axis=2)  # of half a minute
    figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(12, 8), sharex=True, layout="constrained")
    height = np.array([np.nan, 4, 2, 1, 0, 3])[labels + 1]  # W on top, REM below it, as hypnograms are drawn
    top.step(np.arange(len(labels)) * EPOCH / 3600, height, where="post", lw=0.8)
    top.set_yticks([4, 3, 2, 1, 0], ["W", "REM", "N1", "N2", "N3"])
    middle.plot(beats[1:] / 3600, median_filter(60 / np.diff(beats), 15), lw=0.5)
    middle.set(ylabel="heart rate (1/min)", ylim=(40, 110))
    bottom.pcolormesh(t[: power.shape[1] * 8 : 8] / 3600, f, 10 * np.log10(power), vmin=-15, vmax=25, rasterized=True)
    bottom.set(ylim=(0, 30), ylabel="frequency (Hz)", xlabel=f"hours, {psg.name[:10]}")
    figure.savefig(target, dpi=90)


def draw_stages(paths: tuple[Path, ...], target: Path) -> None:
    """Ten seconds of each sleep stage in the first SS3 night: EEG, EOG, EMG, ECG."""
    raw, labels = signals_of(next(path for path in paths if "SS3" in str(path)))
    scales = {
        "EEG": 100,
        "EEG O1-LER": 100,
        "EOG Left Horiz": 150,
        "EOG Right Horiz": 150,
        "EMG Chin1": 100,
        "ECG ECGI": 1500,
    }
    figure, axes = plt.subplots(len(LABELS), 1, figsize=(12, 16), sharex=True, layout="constrained")
    for label, axis in enumerate(axes):
        run = (labels == label) & (np.roll(labels, 1) == label) & (np.roll(labels, -1) == label)
        start = np.flatnonzero(run)[run.sum() // 2] * EPOCH + 10
        for row, (channel, scale) in enumerate(scales.items()):
            signal = raw.get_data(channel, tmin=start, tmax=start + 10)[0] * 1e6
            axis.plot(
                np.arange(len(signal)) / raw.info["sfreq"], (signal - np.median(signal)) / scale - row, lw=0.6, c="k"
            )
        axis.set(ylabel=LABELS[label], ylim=(-len(scales) + 0.2, 0.8))
        axis.set_yticks(-np.arange(len(scales)), [f"{name} ({scale} uV)" for name, scale in scales.items()])
    axes[-1].set_xlabel("seconds; rows stand as far apart as the microvolts in brackets")
    figure.savefig(target, dpi=80)


JUDGES = {
    "speed": judge_speed,
    "detector": judge_detector,
    "autonomic": judge_autonomic,
    "ecg": judge_ecg,
    "scorers": judge_scorers,
    "eeg": judge_eeg,
    "yasa": judge_yasa,
}

if __name__ == "__main__":
    main()
