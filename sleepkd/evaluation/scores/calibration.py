"""Are the probabilities honest, and what does keeping only the sure sleep epochs buy?

All functions take the scored sleep epochs of a set of nights as labels (N,), 0 … K - 1, and probabilities (N, K).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.metrics import batch_scores, confusion_matrix
from sleepkd.evaluation.scores.night_predictions import NightPredictions

BINS = 15
KEPT_SHARES = np.linspace(0.05, 1.0, 20)
TEMPERATURES = (0.05, 20.0)
_SMALLEST = float(np.finfo(np.float32).tiny)  # a float32 probability of 0 stands for something smaller


def scored_epochs(nights: Sequence[NightPredictions]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N,) int64 and probabilities (N, K) float64, each row summing to 1, of all scored sleep epochs."""
    if not nights:
        raise ValueError("no nights")
    labels = np.concatenate([night.labels[night.scored] for night in nights]).astype(np.int64)
    probabilities = np.concatenate([night.probabilities[night.scored] for night in nights]).astype(np.float64)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def calibration_of(nights: Sequence[NightPredictions]) -> dict:
    """Calibration of a set of nights: n, ece, brier, nll, the reliability bins and the risk-coverage curve.

    brier is the multi-class score, sum over classes (0 … 2), and nll in nats: scikit-learn's `brier_score_loss` and
    `log_loss`. All NaN, and no bins, where nothing is scored.
    """
    labels, probabilities = scored_epochs(nights)
    if not len(labels):
        nothing = float("nan")
        return {"n": 0, "ece": nothing, "brier": nothing, "nll": nothing, "bins": [], "risk_coverage": []}
    classes = range(probabilities.shape[1])
    bins = reliability(labels, probabilities)
    return {
        "n": len(labels),
        "ece": expected_calibration_error(bins),
        "brier": float(brier_score_loss(labels, probabilities, labels=classes)),
        "nll": _nll(labels, probabilities),
        "bins": bins,
        "risk_coverage": risk_coverage(labels, probabilities),
    }


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> list[dict]:
    """Reliability diagram: sleep epochs in equal-width bins of confidence (the largest probability).

    Returns one {low, high, n, confidence, accuracy} per bin: its limits, (low, high], and the means within it; NaN in
    an empty bin. Guo et al. 2017, On Calibration of Modern Neural Networks (ICML, arXiv 1706.04599), eqs. 1 and 2.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    n = np.bincount(index, minlength=bins)
    means = [
        np.divide(np.bincount(index, weights=values, minlength=bins), n, out=np.full(bins, np.nan), where=n > 0)
        for values in (confidence, right)
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
    """ECE: the mean gap between confidence and accuracy over bins, weighted by n (Guo et al. 2017, eq. 5)."""
    total = sum(entry["n"] for entry in bins)
    filled = (entry for entry in bins if entry["n"])
    return float(sum(entry["n"] * abs(entry["accuracy"] - entry["confidence"]) for entry in filled) / total)


def risk_coverage(
    labels: np.ndarray, probabilities: np.ndarray, shares: Sequence[float] = KEPT_SHARES
) -> list[dict[str, float]]:
    """What the scores are when only the most confident share of sleep epochs is kept, and the rest left to a person.

    Returns per share: share kept, n, confidence (the least that is kept), kappa, accuracy. El-Yaniv & Wiener 2010, On
    the Foundations of Noise-free Selective Classification, JMLR 11:1605-1641 (coverage; risk is 1 - accuracy).
    """
    confidence = probabilities.max(axis=1)
    surest_first = np.argsort(-confidence, kind="stable")
    predictions = probabilities.argmax(axis=1)
    curve = []
    for share in shares:
        kept = surest_first[: max(1, round(share * len(labels)))]
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
    """softmax(logits / T) from softmax(logits), (N, K): p^(1/T), normalised. T > 1 makes a model less sure.

    Guo et al. 2017, eq. 9. The most probable class never changes.
    """
    scaled = np.log(np.maximum(probabilities, _SMALLEST)) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def fit_temperature(nights: Sequence[NightPredictions]) -> dict:
    """The one temperature, between 0.05 and 20, that minimises the negative log-likelihood of a set of nights.

    Fit it on the validation split, never on the nights it is reported for. Returns temperature, n, and nll, brier and
    ece before and after. Raises UserError where nothing is scored.
    """
    labels, probabilities = scored_epochs(nights)
    if not len(labels):
        raise UserError("no temperature can be fitted: none of these nights has a scored sleep epoch")
    # Over log T: the loss is convex in 1 / T, so the one minimum within the bounds is found from anywhere.
    found = minimize_scalar(
        lambda log_t: _nll(labels, temperature_scaled(probabilities, np.exp(log_t))),
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
    """The same night with its probabilities at another temperature."""
    return dataclasses.replace(
        night, probabilities=temperature_scaled(night.probabilities.astype(np.float64), temperature).astype(np.float32)
    )


def _nll(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(log_loss(labels, probabilities, labels=range(probabilities.shape[1])))
