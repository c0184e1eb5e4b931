"""metrics.json: scores pooled over sleep epochs, per standard, per recording, and over recordings."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores, scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.files import write_text_atomically

if TYPE_CHECKING:  # training imports this file, without pandas
    import pandas as pd


@dataclass(frozen=True)
class Analysis:
    """All scores of one model on a set of nights.

    metrics: JSON-safe, see `analyse`. statistics: the frame of `sleep_medicine_of`, or None where it is undefined.
    """

    name: str
    class_names: tuple[str, ...]
    nights: Sequence[NightPredictions]
    metrics: dict
    statistics: "pd.DataFrame | None"


def metrics_of(nights: Sequence[NightPredictions], class_names: Sequence[str]) -> dict:
    """Scores of a set of nights, JSON-safe (undefined values are None).

    Returns classes; overall and by_standard (scores of the pooled sleep epochs); by_recording (scores, subject, subset
    and standard); over_recordings (see there: mean, median, quartiles).
    Raises ValueError where a recording occurs twice.
    """
    matrices = confusions_of(nights, len(class_names))
    standards = np.array([night.standard for night in nights], dtype=object)
    by_recording = {
        night.recording: {
            "subject": night.subject,
            "subset": night.subset,
            "standard": night.standard,
            **scores(matrix, class_names),
        }
        for night, matrix in zip(nights, matrices, strict=True)
    }
    if len(by_recording) != len(nights):
        raise ValueError("a recording occurs more than once in this set of nights")
    return json_safe(
        {
            "classes": list(class_names),
            "overall": scores(matrices.sum(0), class_names),
            "by_standard": {
                standard: scores(matrices[standards == standard].sum(0), class_names)
                for standard in sorted(set(standards.tolist()))
            },
            "by_recording": by_recording,
            "over_recordings": over_recordings(matrices),
        }
    )


def confusions_of(nights: Sequence[NightPredictions], n_classes: int) -> np.ndarray:
    """(R, K, K) int64: one confusion matrix per night."""
    return np.array([night.confusion for night in nights], dtype=np.int64).reshape(-1, n_classes, n_classes)


def over_recordings(matrices: np.ndarray) -> dict[str, dict[str, float]]:
    """Mean, median and quartiles of each score over recordings. matrices: (R, K, K).

    NaN where no recording defines the score. `defined` counts the recordings that do: kappa, for example, is undefined
    for a night that is all wake, scored and predicted.
    """
    arrays = batch_scores(matrices)
    defined = {score: arrays[score][~np.isnan(arrays[score])] for score in SCALAR_SCORES}
    summaries: dict[str, Callable[[np.ndarray], np.floating]] = {
        "mean": np.mean,
        "median": np.median,
        "q1": lambda values: np.quantile(values, 0.25),
        "q3": lambda values: np.quantile(values, 0.75),
    }
    found: dict[str, dict[str, float]] = {
        name: {score: float(summary(values)) if len(values) else math.nan for score, values in defined.items()}
        for name, summary in summaries.items()
    }
    return found | {"defined": {score: len(values) for score, values in defined.items()}}


def json_safe(value: Any) -> Any:
    """A nested value in JSON's types: NaN and infinities as None, arrays as lists, numpy numbers as Python's, keys as
    strings."""
    if isinstance(value, dict):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return json_safe(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_metrics(path: str | Path, metrics: dict) -> None:
    """Write metrics as JSON; the file appears whole or not at all."""
    write_text_atomically(path, json.dumps(json_safe(metrics), indent=2, allow_nan=False, ensure_ascii=False) + "\n")
