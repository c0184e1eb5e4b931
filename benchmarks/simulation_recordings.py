"""Read simulated recordings with MNE, for the checks and figures of `benchmarks/simulation.py`."""

from pathlib import Path

import mne
import numpy as np

from benchmarks.simulation_rr_intervals import EPOCH

LABELS = ("W", "N1", "N2", "N3", "R")
LABEL_CODES = {"W": 0, "1": 1, "2": 2, "3": 3, "4": 3, "R": 4, "?": -1}
SCORERS, MAJORITY = 5, 4
"""Scorers of each night, and how many of them must agree for a majority label."""


def scorer_names() -> list[str]:
    """Names of the scorers, as in the names of their files."""
    return ["Base", *(f"Scorer{number}" for number in range(2, SCORERS + 1))]


def read_labels(psg: Path, scorer: str = "Base") -> tuple[float, np.ndarray]:
    """Onset of the first sleep epoch in seconds, and the label of every 30 s from there (n,): -1 is unscored.

    Of the 20-s sleep epochs of R&K nights, each 30 s takes the label that fills most of it.
    """
    scoring = mne.read_annotations(psg.with_name(psg.name.replace("PSG", scorer)))
    codes = np.array([LABEL_CODES[text.split()[-1]] for text in scoring.description])
    by_second = np.repeat(codes, round(scoring.duration[0]))
    count = len(by_second) // EPOCH
    epochs = by_second[: count * EPOCH].reshape(count, EPOCH)
    share = np.stack([(epochs == code).sum(axis=1) for code in range(-1, 5)], axis=1)
    return float(scoring.onset[0]), share.argmax(axis=1) - 1


def majority_labels_of(psg: Path) -> np.ndarray:
    """The label of every 30 s (n,) on which at least `MAJORITY` of the scorers agree, else -1."""
    labels = np.stack([read_labels(psg, name)[1] for name in scorer_names()])
    counts = np.stack([(labels == code).sum(axis=0) for code in range(-1, 5)], axis=1)
    return np.where(counts.max(axis=1) >= MAJORITY, counts.argmax(axis=1) - 1, -1)


def read_recording(psg: Path) -> tuple[mne.io.BaseRaw, np.ndarray]:
    """The recording from its first sleep epoch on, and its labels.

    Its channel `EEG` is the derivation that `configs/datasets/mass.yaml` reads: C3, or C4 where only A1 was recorded.
    """
    onset, labels = read_labels(psg)
    raw = mne.io.read_raw_edf(psg, preload=False)
    raw.crop(onset).load_data()
    names = {name.split()[1].split("-")[0]: name for name in raw.ch_names if name.startswith("EEG")}
    electrode, earlobe = ("C3", "A2") if "A2" in names else ("C4", "A1")
    eeg = raw.get_data(names[electrode])
    if names[electrode].endswith("CLE"):
        eeg = eeg - raw.get_data(names[earlobe])
    extra = mne.io.RawArray(eeg, mne.create_info(["EEG"], raw.info["sfreq"], "eeg"), first_samp=raw.first_samp)
    extra.set_meas_date(raw.info["meas_date"])
    raw.add_channels([extra], force_update_info=True)
    count = min(len(labels), int(raw.n_times / raw.info["sfreq"] / EPOCH))
    return raw, labels[:count]


def read_ecg(psg: Path) -> tuple[np.ndarray, float]:
    """The ECG lead that staging uses (samples,), ECGII of three leads, and its rate in Hz."""
    raw = mne.io.read_raw_edf(psg)
    names = [name for name in raw.ch_names if name.startswith("ECG")]
    name = next((name for name in names if name.endswith("ECGII")), names[0])
    return raw.get_data(name)[0], raw.info["sfreq"]
