"""Staged nights of known stages, for tests of what is written of them."""

import datetime as dt
from pathlib import Path

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.data.hypnogram import CLASS_NAMES, unscored_hypnogram
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.store import Night
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.prediction.judged import GivenInput, JudgedInput
from sleepkd.prediction.predicted_night import PredictedNight
from sleepkd.prediction.recorded import OpenedRecording
from sleepkd.prediction.staged import StagedNight

START = Start(dt.date(2024, 1, 31), dt.time(23, 0, 0, 250_000), 0.5)
LETTERS = {"W": 0, "L": 1, "D": 2, "R": 3}


def night_of(letters: str, start: Start | None = START) -> PredictedNight:
    """A night of four classes, a letter for every 30 s: W, L(ight), D(eep), R; "?" is unscored, "-" a gap."""
    epochs = unscored_hypnogram(30.0 * len(letters), 30.0)
    kept = np.array([k for k, letter in enumerate(letters) if letter != "-"])
    stages = np.array([LETTERS.get(letters[k], -1) for k in kept], dtype=np.int8)
    probabilities = np.full((len(kept), 4), 0.1, dtype=np.float32)
    probabilities[np.arange(len(kept)), np.maximum(stages, 0)] = 0.7
    onset_s, length_s = epochs.onset_s[kept], epochs.duration_s[kept]
    predicted = NightPredictions("n", "n", "", "aasm", onset_s, length_s, stages, probabilities)
    quality = np.linspace(0, 1, len(kept)).astype(np.float32)
    staged = StagedNight(predicted, quality, stages, CLASS_NAMES[4])
    beats = np.arange(0.5, 30.0 * len(letters))
    info = RecordingInfo("n", "n", "", "aasm", "n.csv", "", 30.0 * len(letters), {}, {}, BeatsInfo("", len(beats), 1.0))
    night = Night(Path("n.csv"), info, epochs, "", 0.0, _maps={"beats.npy": beats})
    lost = np.repeat(np.arange(len(letters))[:, None] / 100, 2, axis=1)
    judged = JudgedInput(GivenInput("heartbeats"), ())
    return PredictedNight(staged, OpenedRecording(night, start, lost), judged, ["Staged by night.pt."])
