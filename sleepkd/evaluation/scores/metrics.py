"""Accuracy, Cohen's kappa, F1, precision and recall from confusion matrices. Training imports this: numpy only.

Every score is a function of the (K, K) confusion matrix of the scored sleep epochs (rows scored, columns predicted), so
that nights, subjects and bootstrap draws combine by adding matrices. Undefined scores are NaN, never a silent 0:

- precision of a class never predicted, recall of a class never scored, F1 of a class neither scored nor predicted;
- kappa where chance agreement is 1 (all scored and all predicted sleep epochs are of the same class);
- all scores where nothing is scored.

A class that is scored but never predicted (or predicted but never scored) has F1 = 0: that is its value.
All values equal scikit-learn's where scikit-learn defines one without its `zero_division` argument.
"""

from collections.abc import Sequence

import numpy as np

from sleepkd.data.hypnogram import UNSCORED

SCALAR_SCORES = ("accuracy", "balanced_accuracy", "kappa", "macro_f1", "weighted_f1")


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, n_classes: int) -> np.ndarray:
    """Confusion matrix: sleep epochs by scored (row) and predicted (column) class.

    labels, predictions: same shape, integers in 0 … n_classes - 1; a label of -1 is unscored and does not
    count, whatever is predicted there. Returns (K, K) int64. Raises ValueError for other values or unequal shapes.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(f"labels have shape {labels.shape}, predictions {predictions.shape}")
    scored = labels != UNSCORED
    labels, predictions = labels[scored].astype(np.int64), predictions[scored].astype(np.int64)
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.size and (values.min() < 0 or values.max() >= n_classes):
            raise ValueError(f"{name} outside 0 … {n_classes - 1}: {values.min()} … {values.max()}")
    counts = np.bincount(labels * n_classes + predictions, minlength=n_classes * n_classes)
    return counts.reshape(n_classes, n_classes).astype(np.int64)


def batch_scores(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of many confusion matrices at once.

    confusions: (..., K, K) counts, integer or float. Returns arrays of shape (...): n, accuracy, balanced_accuracy,
    kappa, macro_f1, weighted_f1; and of shape (..., K): precision, recall, f1, support.

    Balanced accuracy is the mean recall over the classes that are scored; macro F1 the mean F1 over the classes that
    are scored or predicted; weighted F1 the mean F1 weighted by support (scikit-learn's definitions). Kappa is Cohen's
    (1960, Educ. Psychol. Meas. 20:37-46, eq. 1): (p_o - p_e) / (1 - p_e).
    """
    counts = np.asarray(confusions, dtype=np.float64)
    correct = np.diagonal(counts, axis1=-2, axis2=-1)
    support, predicted = counts.sum(-1), counts.sum(-2)
    n = support.sum(-1)
    precision, recall = _ratio(correct, predicted), _ratio(correct, support)
    f1 = _ratio(2 * correct, support + predicted)
    chance = (support * predicted).sum(-1)  # n² p_e: as counts, so that the test for p_e = 1 is exact
    return {
        "n": n,
        "accuracy": _ratio(correct.sum(-1), n),
        "balanced_accuracy": _mean_defined(recall),
        "kappa": _ratio(n * correct.sum(-1) - chance, n * n - chance),
        "macro_f1": _mean_defined(f1),
        "weighted_f1": _ratio((support * np.nan_to_num(f1)).sum(-1), n),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "support": support,
    }


def scores(confusion: np.ndarray, class_names: Sequence[str]) -> dict:
    """Scores of one (K, K) confusion matrix as plain Python values.

    Returns n and the scalar scores of `batch_scores`; per_class {name: {precision, recall, f1, support}}; confusion,
    the matrix as a nested list. Raises ValueError for a matrix of another shape.
    """
    confusion = np.asarray(confusion)
    if confusion.shape != (len(class_names), len(class_names)):
        raise ValueError(f"a confusion matrix of shape {confusion.shape} for {len(class_names)} classes")
    arrays = batch_scores(confusion)
    per_class = {
        name: {
            **{score: float(arrays[score][k]) for score in ("precision", "recall", "f1")},
            "support": int(arrays["support"][k]),
        }
        for k, name in enumerate(class_names)
    }
    return {
        "n": int(arrays["n"]),
        **{score: float(arrays[score]) for score in SCALAR_SCORES},
        "per_class": per_class,
        "confusion": confusion.astype(int).tolist(),
    }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient; NaN, without a warning, where the denominator is 0."""
    out = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) != 0)


def _mean_defined(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, NaN left out; NaN where all values are."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(-1), defined.sum(-1))
