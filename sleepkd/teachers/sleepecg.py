"""SleepECG as a teacher: a classifier of W, NREM and REM that reads heartbeats, trained on 1,971 nights of MESA."""

import warnings
from typing import Any

import numpy as np
import torch

from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.store import Night
from sleepkd.teachers.external import ExternalTeacher, overlap_mean
from sleepkd.teachers.sleepecg_network import load_sleepecg

CLASSIFIER = "wrn-gru-mesa"
W, NREM, REM = 3, 1, 2
"""Where its output holds the three classes; 0 is an undefined stage, which it never predicts."""
SUBJECT_FEATURES = 3
"""Its last features are the time of day at which the recording began, age and sex. A store holds none of them."""
MISSING = -1.0
"""What the library puts for a feature that cannot be computed."""
MIN_BEAT_QUALITY = 0.5
"""Least share of a sleep epoch within plausible RR intervals; the classifier knows nothing of one with less."""


class SleepEcgTeacher(ExternalTeacher):
    """SleepECG's classifier (Brunner & Hofer, JOSS 2023, doi 10.21105/joss.05411) on heartbeats; W, NREM and REM."""

    model, libraries = "sleepecg", ("sleepecg", "h5py")
    model_classes = 3

    @staticmethod
    def stage_night(night: Night) -> np.ndarray:
        """Probabilities (N, 3) of every sleep epoch.

        It stages 30 s at a time from the first onset; a sleep epoch gets the mean over those that it overlaps. All NaN
        for a night without heartbeats or with an averaged heart rate in their place; NaN for sleep epochs with few.
        """
        few = np.full((len(night.hypnogram), 3), np.nan, dtype=np.float32)
        if not _has_heartbeats(night):
            return few
        known = night.beat_quality() >= MIN_BEAT_QUALITY
        if not known.any():
            return few
        network, parameters = load_sleepecg(CLASSIFIER)
        features_EF = night_features(night, parameters, network.training_means)
        probabilities_E4 = network(torch.from_numpy(features_EF)).softmax(dim=-1).numpy()
        probabilities_E3 = probabilities_E4[:, [W, NREM, REM]]
        probabilities_E3 /= probabilities_E3.sum(axis=1, keepdims=True)
        probabilities_N3 = overlap_mean(probabilities_E3, float(night.hypnogram.onset_s[0]), night)
        return np.where(known[:, None], probabilities_N3, few)


def night_features(night: Night, parameters: dict[str, Any], training_means: np.ndarray) -> np.ndarray:
    """SleepECG's features (E, 36) float32 of the 30-s epochs from the first onset to the end of the hypnogram.

    parameters: of `sleepecg.extract_features`. training_means: (36,), of the features over the training nights; they
    stand for the time of day, age and sex. The library would put -1, 13, 8 and 3 standard deviations away.
    """
    import sleepecg

    hypnogram = night.hypnogram
    onset, end = float(hypnogram.onset_s[0]), float(hypnogram.onset_s[-1] + hypnogram.duration_s[-1])
    epochs = int(np.ceil((end - onset) / EPOCH_SECONDS - 1e-3))
    record = sleepecg.SleepRecord(
        sleep_stages=np.zeros(epochs),  # their number is the length of the night
        sleep_stage_duration=round(EPOCH_SECONDS),
        heartbeat_times=night.beats() - onset,
    )
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.filterwarnings("ignore", "HR analysis window too short")  # of 270 s, with which it was trained
        features_EF = sleepecg.extract_features([record], **parameters)[0][0]
    features_EF[:, -SUBJECT_FEATURES:] = training_means[-SUBJECT_FEATURES:]
    features_EF[~np.isfinite(features_EF)] = MISSING
    return features_EF.astype(np.float32)


def _has_heartbeats(night: Night) -> bool:
    """Whether a night has measured heartbeats, not those made from an averaged heart rate."""
    return bool(night.info.beats) and night.cadence_s() == 0
