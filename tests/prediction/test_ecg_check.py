"""Signals that are ECGs and signals that are rejected: synthetic, simulated, and of a real recording."""

from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.errors import UserError
from sleepkd.prediction.ecg_check import LEAST_LIKENESS, ecg_beats, likeness

EXCERPT = Path(__file__).parents[3] / "shared" / "data" / "dreams_excerpt3" / "excerpt3.edf"
RATE, SECONDS = 200, 900
t = np.arange(RATE * SECONDS) / RATE
drawn = np.random.default_rng(0)
NO_ECGS = {
    "constant": (np.ones(len(t)), "is constant"),
    "white noise": (drawn.standard_normal(len(t)), "no common shape|a poor one"),
    "brown noise": (np.cumsum(drawn.standard_normal(len(t))), "no common shape|a poor one"),
    "slow sine": (np.sin(2 * np.pi * t), "as regular as a clock's|stands out"),
    "alpha": (np.sin(2 * np.pi * 10 * t), "as regular as a clock's|stands out"),
    "square wave": (np.sign(np.sin(2 * np.pi * t)), "jumps between few values"),
    "square wave, noisy": (np.sign(np.sin(2 * np.pi * t)) + 0.01 * drawn.standard_normal(len(t)), "jumps between"),
    "hum": (np.sin(2 * np.pi * 50 * t) + 0.01 * drawn.standard_normal(len(t)), "jumps between|a poor one"),
}


@pytest.mark.parametrize("name", NO_ECGS)
def test_a_signal_that_is_no_ecg_is_rejected_with_the_reason(name: str) -> None:
    signal, why = NO_ECGS[name]
    with pytest.raises(UserError, match=f"the file: .*({why})"):
        ecg_beats(signal, RATE, "the file")


@pytest.mark.parametrize("suffix", ["ECG", "EEG C3", "EEG C4"])
def test_ecg_and_eeg_of_simulated_nights(cohort: Path, suffix: str) -> None:
    for path in sorted(cohort.glob("SS*_EDF/*PSG.edf")):
        file = EdfFile(path)
        for index, label in enumerate(file.labels):
            if not label.startswith(suffix):
                continue
            samples = file.channel(index).samples
            if suffix == "ECG":
                truth = np.load(cohort / "truth" / f"{path.name.split()[0]}.npz")["beats"]
                found = ecg_beats(samples, file.rates[index], str(path)).times
                near = np.abs(found[:, None] - truth).min(axis=1) < 0.1
                assert near.mean() > 0.9
            else:
                with pytest.raises(UserError, match="is not an ECG"):
                    ecg_beats(samples, file.rates[index], str(path))


@pytest.mark.skipif(not EXCERPT.is_file(), reason="the real recording is not there")
def test_the_ecg_of_a_real_recording_and_its_other_channels() -> None:
    file = EdfFile(EXCERPT)
    for index, label in enumerate(file.labels):
        if label not in ("ECG", "C3-A1", "O1-A1", "FP1-A1", "EMG1", "NAF1", "PHONO", "POS"):
            continue
        samples = file.channel(index).samples
        if label == "ECG":
            beats = ecg_beats(samples, file.rates[index], label)
            assert beats.likeness > 0.85 and 1500 < len(beats.times) < 3000
        else:
            with pytest.raises(UserError, match="is not an ECG"):
                ecg_beats(samples, file.rates[index], label)


def test_likeness_of_identical_beats_at_the_right_and_at_wrong_times() -> None:
    beats = np.cumsum(drawn.normal(0.9, 0.05, 900))
    beats = beats[beats < SECONDS - 1]
    signal = sum(np.exp(-(((t - b) / 0.02) ** 2)) for b in beats)
    alike, crest = likeness(signal, RATE, beats)
    assert alike > 0.99 > LEAST_LIKENESS and crest > 3
    moved, _ = likeness(signal, RATE, beats + drawn.uniform(-0.3, 0.3, len(beats)))
    assert moved < LEAST_LIKENESS
