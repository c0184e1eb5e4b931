"""Nights that several people scored: how a model does against each of them, against their consensus, and as they do."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores, confusion_matrix
from sleepkd.evaluation.scores.night_predictions import NightPredictions


def inter_rater_scores(nights: Sequence[NightPredictions]) -> dict | None:
    """Scores of the sleep epochs of all nights pooled, for nights with more than one scorer; None where there is none.

    Returns nights, scorers; each: a list of {score: value} by scorer, the default one first; mean: over these;
    consensus: against what most of them say; among_scorers: the mean over pairs of scorers, one against the other.
    Scorers are told apart by their place: the second of one night and of another are taken to be one person.
    """
    several = [night for night in nights if len(night.others)]
    if not several:
        return None
    classes, count = several[0].n_classes, 1 + max(len(night.others) for night in several)
    scorings = [np.concatenate([night.labels[None], night.others]) for night in several]

    def pooled(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        matrix = sum(confusion_matrix(truth, said, classes) for truth, said in pairs)
        found = batch_scores(matrix[None])
        return {score: float(found[score][0]) for score in SCALAR_SCORES}

    def mean(of: list[dict[str, float]]) -> dict[str, float]:
        return {score: float(np.mean([entry[score] for entry in of])) for score in SCALAR_SCORES}

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
    agreed = [(consensus(all_SN), night.predictions) for all_SN, night in zip(scorings, several, strict=True)]
    return {
        "nights": len(several),
        "scorers": count,
        "each": each,
        "mean": mean(each),
        "consensus": pooled(agreed),
        "among_scorers": mean(among),
    }


def consensus(labels_SN: np.ndarray) -> np.ndarray:
    """(N,) what most of S scorers say; of equally many, what the first of them in order says; unscored is no vote."""
    values = range(int(labels_SN.max(initial=0)) + 1)
    votes_KN = np.stack([(labels_SN == value).sum(axis=0) for value in values])
    most_N = votes_KN.max(axis=0)
    result = np.full(labels_SN.shape[1], UNSCORED, dtype=np.int8)
    for labels_N in labels_SN[::-1]:  # the first scorer's word comes last, and stays
        voted = labels_N != UNSCORED
        tied = voted & (votes_KN[np.where(voted, labels_N, 0), np.arange(len(labels_N))] == most_N)
        result[tied] = labels_N[tied]
    return result


def _both_scored(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = (a != UNSCORED) & (b != UNSCORED)
    return a[both], b[both]
