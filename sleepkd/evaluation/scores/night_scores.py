"""Scores by night that users ask for beside kappa: calibration error, share of each sleep stage, REM latency error."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sleepkd.evaluation.scores.bootstrap import (
    DRAWS,
    expanded_interval,
    resample_subjects,
    weighted_mean,
    weighted_median,
)
from sleepkd.evaluation.scores.calibration import BINS, bins_of
from sleepkd.evaluation.scores.metrics import batch_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of

SIMULATIONS = 100
"""Simulated scorings of a night for its floor of the calibration error."""
WAKE, REM = "W", "REM"
_SECONDS_PER_MINUTE = 60.0


def night_scores(
    nights: Sequence[NightPredictions], class_names: Sequence[str], *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Any]:
    """Kappa, calibration error, share of each sleep stage and REM latency error of a set of nights, with intervals.

    Only scored sleep epochs count.

    Parameters
    ----------
    nights
        Predictions beside labels, see `read_predictions`.
    class_names
        The K classes.
    draws, seed
        Of the bootstrap and of the simulated scorings.

    Returns
    -------
    dict
        recordings, subjects, and scores, each {value, low, high}; low and high are the 95 % bootstrap interval over
        subjects. Undefined values are NaN.

        - kappa: mean of the nights' kappas;
        - ece_by_night: mean of the nights' expected calibration errors; it also has `floor`, the mean over nights of
          `calibration_floor`, which a perfectly calibrated model would reach;
        - ece_pooled: expected calibration error of all sleep epochs together, where errors of different nights cancel;
        - stage_share_difference: {class: share predicted minus share scored, mean over nights};
        - largest_stage_share_difference: {class, value}, the largest of these in absolute value;
        - rem_latency_error_min: median and mean of the absolute error of REM latency, min, over the nights with REM on
          both sides; both, only_scored and only_predicted count the nights with REM on both sides or on one alone.

    Examples
    --------
    >>> labels = np.array([0] * 20 + [1] * 60 + [2] * 20, dtype=np.int8)
    >>> onset_s = 30.0 * np.arange(100)
    >>> perfect = np.eye(3, dtype=np.float32)[labels]
    >>> night = NightPredictions("r1", "s1", "", "aasm", onset_s, np.full(100, 30.0), labels, perfect)
    >>> night_scores([night], ("W", "NREM", "REM"), draws=100)["kappa"]["value"]
    1.0
    """
    subjects = [night.subject for night in nights]
    weights = np.concatenate([np.ones((1, len(nights))), resample_subjects(subjects, draws, seed)])
    n_subjects = len(set(subjects))

    def with_interval(drawn: np.ndarray) -> dict[str, float]:
        """The observed value, which comes first, with the interval of the draws."""
        low, high = expanded_interval(drawn[1:], n_subjects)
        return {"value": float(drawn[0]), "low": low, "high": high}

    confusions = confusions_of(nights, len(class_names))
    bins_RB3 = np.array([_bin_sums(night) for night in nights]).reshape(len(nights), BINS, 3)
    rng = np.random.default_rng(seed)
    floors = np.array([calibration_floor(night, rng) for night in nights])
    pooled_DB3 = np.tensordot(weights, bins_RB3, axes=1)
    shares_RK = stage_share_differences(confusions)
    by_class = {name: with_interval(weighted_mean(shares_RK[:, k], weights)) for k, name in enumerate(class_names)}
    return {
        "recordings": len(nights),
        "subjects": n_subjects,
        "kappa": with_interval(weighted_mean(batch_scores(confusions)["kappa"], weights)),
        "ece_by_night": with_interval(weighted_mean(_ece(bins_RB3), weights))
        | {"floor": float(weighted_mean(floors, weights[:1])[0])},
        "ece_pooled": with_interval(_ece(pooled_DB3)),
        "stage_share_difference": by_class,
        "largest_stage_share_difference": _largest(by_class),
        "rem_latency_error_min": _rem_latency_error(nights, class_names, weights, with_interval),
    }


def stage_share_differences(confusions_RKK: np.ndarray) -> np.ndarray:
    """Share of each class predicted minus share scored, by night (R, K); NaN where nothing is scored."""
    counts = np.asarray(confusions_RKK, dtype=np.float64)
    n = counts.sum(axis=(1, 2))[:, None]
    difference = counts.sum(axis=1) - counts.sum(axis=2)
    return np.divide(difference, n, out=np.full(difference.shape, np.nan), where=n > 0)


def calibration_floor(night: NightPredictions, rng: np.random.Generator, simulations: int = SIMULATIONS) -> float:
    """Expected calibration error of a night if its probabilities were perfectly calibrated; NaN if nothing is scored.

    Mean over simulated scorings, in which each prediction is correct with its own probability. It is above 0 because
    a bin holds few sleep epochs. Sleep epochs are drawn independently; a real scoring comes in runs, so the floor of a
    real night is somewhat higher.
    """
    confidence = _confidence(night)
    if not len(confidence):
        return float("nan")
    bins = bins_of(confidence)
    excess = (rng.random((simulations, len(confidence))) < confidence) - confidence
    sums = [np.bincount(bins, weights=simulated, minlength=BINS) for simulated in excess]
    return float(np.abs(sums).sum(axis=1).mean() / len(confidence))


def rem_latency_min(night: NightPredictions, classes: np.ndarray, class_names: Sequence[str]) -> float:
    """Time from the first sleep epoch that is not wake to the first of REM, min (AASM); NaN without REM.

    classes: (N,) labels or predictions. Sleep epochs without a label are left out.
    """
    asleep = night.scored & (classes != class_names.index(WAKE))
    in_rem = night.scored & (classes == class_names.index(REM))
    if not in_rem.any():
        return float("nan")
    return float(night.onset_s[in_rem][0] - night.onset_s[asleep][0]) / _SECONDS_PER_MINUTE


def _rem_latency_error(
    nights: Sequence[NightPredictions],
    class_names: Sequence[str],
    weights: np.ndarray,
    with_interval: Callable[[np.ndarray], dict[str, float]],
) -> dict[str, Any]:
    scored = np.array([rem_latency_min(night, night.labels, class_names) for night in nights])
    predicted = np.array([rem_latency_min(night, night.predictions, class_names) for night in nights])
    error = np.abs(predicted - scored)
    return {
        "median": with_interval(weighted_median(error, weights)),
        "mean": with_interval(weighted_mean(error, weights)),
        "both": int((~np.isnan(error)).sum()),
        "only_scored": int((~np.isnan(scored) & np.isnan(predicted)).sum()),
        "only_predicted": int((np.isnan(scored) & ~np.isnan(predicted)).sum()),
    }


def _largest(by_class: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The class with the largest absolute value, and that value with its sign."""
    defined = {name: entry["value"] for name, entry in by_class.items() if not np.isnan(entry["value"])}
    name = max(defined, key=lambda each: abs(defined[each]), default=None)
    return {"class": name, "value": defined[name] if name is not None else float("nan")}


def _confidence(night: NightPredictions) -> np.ndarray:
    """The largest probability of each scored sleep epoch, float64."""
    probabilities = night.probabilities[night.scored].astype(np.float64)
    return (probabilities / probabilities.sum(axis=1, keepdims=True)).max(axis=1)


def _bin_sums(night: NightPredictions) -> np.ndarray:
    """(B, 3): scored sleep epochs of a night in each bin of confidence, their confidence, and how many are correct."""
    confidence = _confidence(night)
    correct = night.predictions[night.scored] == night.labels[night.scored]
    bins = bins_of(confidence)
    sums = [np.bincount(bins, weights=x, minlength=BINS) for x in (np.ones(len(bins)), confidence, correct)]
    return np.stack(sums, axis=1)


def _ece(bins: np.ndarray) -> np.ndarray:
    """Expected calibration error (…) of sums (…, B, 3) in bins; NaN where there is no sleep epoch."""
    n, confidence, correct = np.moveaxis(bins, -1, 0)
    total = n.sum(axis=-1)
    out = np.full(total.shape, np.nan)
    return np.divide(np.abs(correct - confidence).sum(axis=-1), total, out=out, where=total > 0)
