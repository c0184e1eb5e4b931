"""Inter-rater agreement: a model against each scorer and their consensus, and the scorers against one another."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores, confusion_matrix
from sleepkd.evaluation.scores.night_predictions import NightPredictions


def inter_rater_scores(nights: Sequence[NightPredictions]) -> dict | None:
    """Scores over all sleep epochs of the nights with more than one scorer; None where no night has several.

    Returns nights and scorers (how many); each: a list of {score: value} by scorer, the main one first; mean: over
    these; consensus: against the majority vote; among_scorers: the mean over pairs of scorers, one against the other.
    Scorers are identified by their position: the second scorers of two nights are treated as one person.
    """
    several = [night for night in nights if len(night.others)]
    if not several:
        return None
    classes, count = several[0].n_classes, 1 + max(len(night.others) for night in several)
    scorings = [np.concatenate([night.labels[None], night.others]) for night in several]

    def pooled(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        matrices = [confusion_matrix(labels, predictions, classes) for labels, predictions in pairs]
        found = batch_scores(np.sum(matrices, axis=0))
        return {score: float(found[score]) for score in SCALAR_SCORES}

    def mean(entries: list[dict[str, float]]) -> dict[str, float]:
        return {score: float(np.mean([entry[score] for entry in entries])) for score in SCALAR_SCORES}

    each = [
        pooled(
            [(all_SN[i], night.predictions) for all_SN, night in zip(scorings, several, strict=True) if i < len(all_SN)]
        )
        for i in range(count)
    ]
    among = [
        pooled([_both_scored(all_SN[i], all_SN[j]) for all_SN in scorings if j < len(all_SN)])
        for i, j in combinations(range(count), 2)
    ]
    majority = [(consensus(all_SN), night.predictions) for all_SN, night in zip(scorings, several, strict=True)]
    return {
        "nights": len(several),
        "scorers": count,
        "each": each,
        "mean": mean(each),
        "consensus": pooled(majority),
        "among_scorers": mean(among),
    }


def consensus(labels_SN: np.ndarray) -> np.ndarray:
    """Majority vote of S scorers, (N,) int8; of a tie, the class of the first scorer; unscored is no vote."""
    values = range(int(labels_SN.max(initial=0)) + 1)
    votes_KN = np.stack([(labels_SN == value).sum(axis=0) for value in values])
    most_N = votes_KN.max(axis=0)
    result = np.full(labels_SN.shape[1], UNSCORED, dtype=np.int8)
    for labels_N in labels_SN[::-1]:  # the first scorer last, to decide ties
        voted = labels_N != UNSCORED
        tied = voted & (votes_KN[np.where(voted, labels_N, 0), np.arange(len(labels_N))] == most_N)
        result[tied] = labels_N[tied]
    return result


def _both_scored(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = (a != UNSCORED) & (b != UNSCORED)
    return a[both], b[both]
