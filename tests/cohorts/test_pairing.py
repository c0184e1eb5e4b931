"""Checks that scoring, EEG and ECG belong to one night, and the alignment of a scoring with its signals."""

import re

import numpy as np
import pytest

from sleepkd.cohorts.alignment import align_scoring
from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.labels import ScoredFile
from sleepkd.cohorts.pairing import check_pairing
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.errors import UserError

RATE = 64.0
RNG = np.random.default_rng(0)


def hypnogram(labels, onset=0.0, seconds=30.0) -> Hypnogram:
    labels = np.asarray(labels, dtype=np.int8)
    return Hypnogram(onset + seconds * np.arange(len(labels)), np.full(len(labels), seconds), labels)


def stages(count: int, seed: int) -> np.ndarray:
    """Runs of 5 to 40 sleep epochs of one label."""
    rng = np.random.default_rng(seed)
    runs = [np.full(rng.integers(5, 40), rng.integers(5)) for _ in range(count)]
    return np.concatenate(runs)[:count]


def eeg_of(labels, seconds=30.0) -> np.ndarray:
    """Slow waves whose amplitude depends on the label, with noise."""
    n = round(seconds * RATE)
    t = np.arange(n * len(labels)) / RATE
    slow = np.repeat(np.array([5.0, 10, 20, 60, 12])[labels], n) * np.sin(2 * np.pi * 1.2 * t)
    return slow + 10 * RNG.normal(size=len(t))


def beats_and_trace(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """66 beats per minute, and their trace in a channel: (beats,), (samples,)."""
    beats = np.cumsum(RNG.normal(0.91, 0.03, size=int(seconds / 0.91)))
    beats = beats[beats < seconds - 1]
    t = np.arange(round(seconds * RATE)) / RATE
    trace = np.zeros_like(t)
    for shift, width, height in ((0.0, 0.02, 1.0), (0.25, 0.06, 0.2)):
        centre = np.rint((beats + shift) * RATE).astype(int)
        spread = np.arange(-16, 17)
        at = (centre[:, None] + spread).clip(0, len(t) - 1)
        wave = height * np.exp(-((spread / RATE / width) ** 2) / 2)
        np.add.at(trace, at.ravel(), np.tile(wave, len(beats)))
    return beats, trace


LABELS = stages(480, 1)


def test_labels_of_the_same_night_are_not_warned_of():
    assert check_pairing(eeg_of(LABELS), RATE, hypnogram(LABELS), None) == []


def test_labels_of_another_night_are_warned_of():
    (remark,) = check_pairing(eeg_of(LABELS), RATE, hypnogram(stages(480, 2)), None)
    assert remark.startswith("WARNING: the labels explain 0.") and remark.endswith("is the scoring of this night?")


@pytest.mark.parametrize("minutes", [-10, 5])
def test_shifted_labels_are_warned_of_with_the_shift(minutes):
    late = hypnogram(LABELS[120:360], onset=120 * 30.0 + 60 * minutes)
    (remark,) = check_pairing(eeg_of(LABELS), RATE, late, None)
    assert remark.startswith(f"WARNING: the labels fit the EEG better when moved by {-minutes:+.1f} min")


def test_an_hour_and_a_single_sleep_stage_are_not_checked():
    assert check_pairing(eeg_of(LABELS), RATE, hypnogram(stages(119, 2)), None) == []
    assert check_pairing(eeg_of(LABELS), RATE, hypnogram(np.zeros(480)), None) == []


def test_heartbeats_in_the_eeg_are_found():
    labels = np.zeros(20, dtype=int)
    eeg = eeg_of(labels)
    beats, trace = beats_and_trace(600)
    night = hypnogram(labels)
    assert check_pairing(eeg, RATE, night, beats) == []
    (some,) = check_pairing(eeg + 30 * trace, RATE, night, beats)
    assert re.fullmatch(r"heartbeats explain \d\d% of the EEG near them", some)
    (much,) = check_pairing(eeg + 300 * trace, RATE, night, beats)
    assert much.startswith("WARNING: heartbeats explain ") and much.endswith("check its channel")


def test_exchanged_channels_are_found_without_beats():
    _, trace = beats_and_trace(600)
    night = hypnogram(np.zeros(20))
    ecg = 1000 * trace + RNG.normal(size=len(trace))
    (remark,) = check_pairing(ecg, RATE, night, None)
    assert remark == "WARNING: heartbeats in the EEG, as regular as an ECG's: were the channels exchanged?"
    assert check_pairing(eeg_of(np.zeros(20, dtype=int)), RATE, night, None) == []


# --- in time ---


def scored(count, onset=0.0, start=None) -> ScoredFile:
    return ScoredFile(hypnogram(np.zeros(count), onset), start, {})


def test_sleep_epochs_beyond_the_signals_are_counted_and_left_out(tmp_path):
    def beyond(count, onset=0.0):
        found, remarks = align_scoring(
            scored(count, onset), None, 3000, "date_and_time", tmp_path / "h", tmp_path / "s"
        )
        return len(found), [remark for remark in remarks if "beyond" in remark]

    assert beyond(100) == (100, [])
    assert beyond(102) == (100, ["2 scored sleep epochs lie beyond the signals"])
    assert beyond(130) == (100, ["WARNING: 30 scored sleep epochs lie beyond the signals"])
    assert beyond(100, onset=15.0) == (100, [])  # the last outlasts the signals, and is there
    assert beyond(40, onset=-600.0) == (20, ["WARNING: 20 scored sleep epochs lie beyond the signals"])


def test_a_scoring_far_shorter_than_its_signals_is_warned_of(tmp_path):
    _, remarks = align_scoring(scored(20), None, 3600, "date_and_time", tmp_path / "h", tmp_path / "s")
    assert "WARNING: the scoring spans 10 of 60 minutes of signals" in remarks


def test_a_scoring_outside_the_signals_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"h: no sleep epoch lies within the 600 s of s: the scoring runs from 900 to"):
        align_scoring(scored(20, 900.0), None, 600, "date_and_time", tmp_path / "h", tmp_path / "s")


def test_a_scoring_that_counts_from_the_first_sample_is_not_shifted(tmp_path):
    start = Start(None, None, 60.0)
    found, _ = align_scoring(scored(20), start, 600, "date_and_time", tmp_path / "h", tmp_path / "s")
    assert found.onset_s[0] == 0
