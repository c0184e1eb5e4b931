"""Calibration and selective prediction: ECE, Brier score, NLL, risk-coverage curve, temperature scaling.

All functions take the scored sleep epochs of a set of nights as labels (N,), 0 … K - 1, and probabilities (N, K).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.metrics import batch_scores, confusion_matrix
from sleepkd.evaluation.scores.night_predictions import NightPredictions

BINS = 15
COVERAGES = np.linspace(0.05, 1.0, 20)
TEMPERATURES = (0.05, 20.0)
_SMALLEST = float(np.finfo(np.float32).tiny)  # stands for a float32 probability of 0, whose logarithm is undefined


def scored_sleep_epochs(nights: Sequence[NightPredictions]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) int64 and probabilities (N, K) float64, rows summing to 1, of all scored sleep epochs."""
    if not nights:
        raise ValueError("no nights")
    labels = np.concatenate([night.labels[night.scored] for night in nights]).astype(np.int64)
    probabilities = np.concatenate([night.probabilities[night.scored] for night in nights]).astype(np.float64)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def calibration_of(nights: Sequence[NightPredictions]) -> dict:
    """Calibration of a set of nights: n, ece, brier, nll, the reliability bins and the risk-coverage curve.

    brier is the multi-class score, the sum over classes (0 … 2); nll is in nats. Both are scikit-learn's values
    (`brier_score_loss`, `log_loss`). All are NaN, and there are no bins, where nothing is scored.
    """
    labels, probabilities = scored_sleep_epochs(nights)
    if not len(labels):
        undefined = float("nan")
        return {"n": 0, "ece": undefined, "brier": undefined, "nll": undefined, "bins": [], "risk_coverage": []}
    bins = reliability(labels, probabilities)
    return {
        "n": len(labels),
        "ece": expected_calibration_error(bins),
        "brier": brier_score(labels, probabilities),
        "nll": negative_log_likelihood(labels, probabilities),
        "bins": bins,
        "risk_coverage": risk_coverage(labels, probabilities),
    }


def bins_of(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Index (N,) of the bin of equal width that each confidence (N,) falls in; a limit belongs to the lower bin."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> list[dict]:
    """Reliability diagram: accuracy in bins of equal width of the confidence (the largest probability).

    Returns one {low, high, n, confidence, accuracy} per bin: its limits, (low, high], and the means within it; NaN in
    an empty bin. Guo et al. 2017, On Calibration of Modern Neural Networks (ICML, arXiv 1706.04599), section 2.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    index = bins_of(confidence, bins)
    n = np.bincount(index, minlength=bins)
    means = [
        np.divide(np.bincount(index, weights=values, minlength=bins), n, out=np.full(bins, np.nan), where=n > 0)
        for values in (confidence, correct)
    ]
    return [
        {
            "low": b / bins,
            "high": (b + 1) / bins,
            "n": int(n[b]),
            "confidence": float(means[0][b]),
            "accuracy": float(means[1][b]),
        }
        for b in range(bins)
    ]


def expected_calibration_error(bins: Sequence[dict]) -> float:
    """ECE: mean difference between confidence and accuracy over bins, weighted by n (Guo et al. 2017, section 2)."""
    total = sum(entry["n"] for entry in bins)
    filled = (entry for entry in bins if entry["n"])
    return float(sum(entry["n"] * abs(entry["accuracy"] - entry["confidence"]) for entry in filled) / total)


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Multi-class Brier score, 0 … 2: mean squared distance between probabilities and one-hot labels (Brier 1950)."""
    one_hot = np.eye(probabilities.shape[1])[labels]
    return float(((one_hot - probabilities) ** 2).sum(axis=1).mean())


def negative_log_likelihood(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative logarithm of the labels' probabilities, in nats; a probability of 0 counts as 2.2e-16."""
    of_label = probabilities[np.arange(len(labels)), labels]
    epsilon = np.finfo(np.float64).eps
    return float(-np.log(np.clip(of_label, epsilon, 1 - epsilon)).mean())


def risk_coverage(
    labels: np.ndarray, probabilities: np.ndarray, coverages: Sequence[float] | np.ndarray = COVERAGES
) -> list[dict[str, float]]:
    """Selective prediction: scores of the most confident sleep epochs, while the model abstains from the others.

    Returns per coverage: share (of the sleep epochs kept), n, confidence (the least that is kept), kappa, accuracy.
    El-Yaniv & Wiener 2010, On the Foundations of Noise-free Selective Classification, JMLR 11:1605-1641 (the risk is
    1 - accuracy).
    """
    confidence = probabilities.max(axis=1)
    most_confident_first = np.argsort(-confidence, kind="stable")
    predictions = probabilities.argmax(axis=1)
    curve = []
    for coverage in coverages:
        kept = most_confident_first[: max(1, round(coverage * len(labels)))]
        score = batch_scores(confusion_matrix(labels[kept], predictions[kept], probabilities.shape[1]))
        curve.append(
            {
                "share": len(kept) / len(labels),
                "n": len(kept),
                "confidence": float(confidence[kept[-1]]),
                "kappa": float(score["kappa"]),
                "accuracy": float(score["accuracy"]),
            }
        )
    return curve


def temperature_scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Temperature scaling of probabilities (N, K): softmax(logits / T) from softmax(logits), p^(1/T) normalised.

    T > 1 lowers the confidence; the most probable class never changes. Guo et al. 2017, eq. 9.
    """
    scaled = np.log(np.maximum(probabilities, _SMALLEST)) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def fit_temperature(nights: Sequence[NightPredictions]) -> dict:
    """Fit the temperature, between 0.05 and 20, that minimises the negative log-likelihood of a set of nights.

    Fit it on the validation split, never on the nights whose scores are reported. Returns temperature, n, and nll,
    brier and ece before and after. Raises UserError where nothing is scored.
    """
    labels, probabilities = scored_sleep_epochs(nights)
    if not len(labels):
        raise UserError("no temperature can be fitted: none of these nights has a scored sleep epoch")
    # Over log T: the loss is convex in 1 / T, so it has one minimum within the bounds.
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(labels, temperature_scaled(probabilities, np.exp(log_t))),
        bounds=tuple(np.log(TEMPERATURES)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    temperature = float(np.exp(found.x))
    before = calibration_of(nights)
    after = calibration_of([temperature_scaled_night(night, temperature) for night in nights])
    return {
        "temperature": temperature,
        "n": len(labels),
        **{score: {"before": before[score], "after": after[score]} for score in ("nll", "brier", "ece")},
    }


def temperature_scaled_night(night: NightPredictions, temperature: float) -> NightPredictions:
    """The same night with temperature-scaled probabilities."""
    return dataclasses.replace(
        night, probabilities=temperature_scaled(night.probabilities.astype(np.float64), temperature).astype(np.float32)
    )
