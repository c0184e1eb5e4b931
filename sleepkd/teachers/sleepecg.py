"""SleepECG as a teacher: a classifier of W, NREM and REM that reads heartbeats, trained on 1,971 nights of MESA."""

import warnings
from datetime import time
from typing import Any

import numpy as np
import torch

from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.recording_info import RecordingInfo
from sleepkd.data.store import Night
from sleepkd.teachers.external import ExternalTeacher, overlap_mean
from sleepkd.teachers.sleepecg_network import load_sleepecg

CLASSIFIER = "wrn-gru-mesa"
W, NREM, REM = 3, 1, 2
"""Where its output holds the three classes; 0 is an undefined stage, which it never predicts."""
SUBJECT_FEATURES = 3
"""Its last features: the time of day at which the recording began, s; age, years; sex, 0 for F and 1 for M."""
FARTHEST_SDS = 2.0
"""These three are limited to so many standard deviations around the mean of the training nights, 51 to 87 years for
example: beyond, the network extrapolates. Our choice; on slpdb, kappa was .16 with 1 to 2, .14 with 2.5, .12 with 4."""
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
        features_EF = night_features(night, parameters, network.training_means, network.training_sds)
        probabilities_E4 = network(torch.from_numpy(features_EF)).softmax(dim=-1).numpy()
        probabilities_E3 = probabilities_E4[:, [W, NREM, REM]]
        probabilities_E3 /= probabilities_E3.sum(axis=1, keepdims=True)
        probabilities_N3 = overlap_mean(probabilities_E3, float(night.hypnogram.onset_s[0]), night)
        return np.where(known[:, None], probabilities_N3, few)


def night_features(
    night: Night, parameters: dict[str, Any], training_means: np.ndarray, training_sds: np.ndarray
) -> np.ndarray:
    """SleepECG's features (E, 36) float32 of the 30-s epochs from the first onset to the end of the hypnogram.

    parameters: of `sleepecg.extract_features`. training_means, training_sds: (36,), of the features over the training
    nights. See `subject_features` for the last three.
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
    means, sds = training_means[-SUBJECT_FEATURES:], training_sds[-SUBJECT_FEATURES:]
    features_EF[:, -SUBJECT_FEATURES:] = subject_features(night.info, means, sds)
    features_EF[~np.isfinite(features_EF)] = MISSING
    return features_EF.astype(np.float32)


def subject_features(info: RecordingInfo, means: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """Time of day of the start, s, age and sex (3,) of a recording, limited to `FARTHEST_SDS` around the means.

    means, sds: (3,), over the training nights. The mean stands for what is unknown; the library would put -1, which is
    13, 8 and 3 standard deviations away. Times after midnight count on from the evening, as 24 h and more: the library
    would put 60 for a minute past midnight, 13 standard deviations from all training nights.
    """
    own = np.array([
        _seconds_from_noon_on(info.start_time) if info.start_time else np.nan,
        np.nan if info.age is None else info.age,
        np.nan if info.sex is None else float(info.sex == "M"),
    ])  # fmt: skip
    return np.clip(np.where(np.isnan(own), means, own), means - FARTHEST_SDS * sds, means + FARTHEST_SDS * sds)


def _seconds_from_noon_on(text: str) -> float:
    """Seconds from midnight to a time of day; one before noon is of the next day."""
    at = time.fromisoformat(text)
    seconds = 3600.0 * at.hour + 60.0 * at.minute + at.second
    return seconds if at.hour >= 12 else seconds + 86400.0


def _has_heartbeats(night: Night) -> bool:
    """Whether a night has measured heartbeats, not those made from an averaged heart rate."""
    return bool(night.info.beats) and night.cadence_s() == 0
