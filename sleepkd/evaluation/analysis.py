"""All scores of one model's predictions on a set of nights."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.bootstrap import DRAWS, bootstrap_intervals
from sleepkd.evaluation.scores.calibration import calibration_of
from sleepkd.evaluation.scores.groups import by_group
from sleepkd.evaluation.scores.inter_rater_agreement import inter_rater_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.night_scores import night_scores
from sleepkd.evaluation.scores.sleep_medicine import sleep_medicine_of
from sleepkd.evaluation.scores.summary import Analysis, confusions_of, json_safe, metrics_of

if TYPE_CHECKING:
    import pandas as pd


def analyse(
    name: str,
    nights: Sequence[NightPredictions],
    class_names: Sequence[str],
    *,
    participants: Mapping[str, Mapping[str, str]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Analysis:
    """Compute all scores of a model on a set of nights.

    Parameters
    ----------
    name
        Of the model.
    nights
        Predictions beside labels, see `read_predictions`.
    class_names
        The K classes.
    participants
        {participant: {column: text}}, to group by.
    draws, seed
        Of the bootstrap.

    Returns
    -------
    Analysis
        Its metrics: those of `metrics_of`, and intervals (`bootstrap_intervals`), groups (`by_group`), calibration
        (`calibration_of`), night_scores (see there), scorers (`inter_rater_scores`), and sleep_medicine
        (`sleep_medicine_of`, with the sleep statistics of each recording under by_recording). sleep_medicine is
        {"missing": why} where YASA is not installed, or one night has no sleep statistics: the other scores do not
        depend on it.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([0] * 20 + [1] * 60 + [2] * 20, dtype=np.int8)
    >>> onset_s = 30.0 * np.arange(100)
    >>> predicted = np.eye(3, dtype=np.float32)[np.where(np.arange(100) < 50, labels, 1)]
    >>> night = NightPredictions("r1", "s1", "", "aasm", onset_s, np.full(100, 30.0), labels, predicted)
    >>> found = analyse("half", [night], ("W", "NREM", "REM"), draws=100)
    >>> found.metrics["overall"]["accuracy"]
    0.8
    """
    metrics = metrics_of(nights, class_names)
    subjects = [night.subject for night in nights]
    matrices = confusions_of(nights, len(class_names))
    metrics["intervals"] = bootstrap_intervals(matrices, subjects, draws=draws, seed=seed)
    metrics["groups"] = by_group(nights, class_names, participants, draws=draws, seed=seed)
    metrics["calibration"] = calibration_of(nights)
    metrics["night_scores"] = night_scores(nights, class_names, draws=draws, seed=seed)
    metrics["scorers"] = inter_rater_scores(nights)
    statistics: pd.DataFrame | None = None
    try:
        medicine = sleep_medicine_of(nights, class_names)
        statistics = medicine.pop("statistics")
        by_scorer = {scorer: statistics.loc[scorer].to_dict("index") for scorer in ("scored", "predicted")}
        metrics["sleep_medicine"] = {**medicine, "by_recording": by_scorer}
    except UserError as error:
        metrics["sleep_medicine"] = {"missing": str(error)}
    return Analysis(name, tuple(class_names), nights, json_safe(metrics), statistics)
