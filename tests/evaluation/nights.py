"""Nights made up for the tests of this folder."""

import numpy as np

from sleepkd.evaluation.scores.night_predictions import NightPredictions


def made_up_night(
    recording: str = "r1",
    n: int = 200,
    classes: int = 4,
    skill: float = 1.5,
    seed: int = 0,
    subject: str | None = None,
    subset: str = "SS1",
    standard: str = "aasm",
) -> NightPredictions:
    """A night of runs of sleep stages, with probabilities that favour the true class by `skill` nats, 5 % unscored."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, classes, size=n), rng.integers(1, 20, size=n))[:n].astype(np.int8)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels[rng.random(n) < 0.05] = -1
    duration = 30.0 if standard == "aasm" else 20.0
    return NightPredictions(
        recording=recording,
        subject=subject or recording,
        subset=subset,
        standard=standard,
        onset_s=3.3717 + duration * np.arange(n),
        duration_s=np.full(n, duration),
        labels=labels,
        probabilities=probabilities.astype(np.float32),
    )
