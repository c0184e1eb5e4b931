"""Scores against several scorers, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from sleepkd.evaluation.scores.inter_rater_agreement import consensus, inter_rater_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from tests.evaluation.nights import made_up_night


def with_others(night: NightPredictions, count: int, seed: int = 0) -> NightPredictions:
    """The same night, seen by further scorers who are wrong now and then."""
    rng = np.random.default_rng(seed)
    others = np.repeat(night.labels[None], count, axis=0)
    wrong = (rng.random(others.shape) < 0.2) & (others >= 0)
    others[wrong] = rng.integers(0, night.n_classes, wrong.sum())
    return replace(night, others=others)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[0, 1, 2], [0, 1, 1], [3, 1, 1]], [0, 1, 1]),
        ([[0, 2], [1, 3]], [0, 2]),  # equally many: the first one's word
        ([[-1, -1], [1, -1], [1, 2]], [1, 2]),  # unscored is no vote
        ([[-1, 2], [-1, -1]], [-1, 2]),
        ([[2, 0], [1, 1], [1, 2]], [1, 0]),
    ],
)
def test_consensus(labels: list, expected: list) -> None:
    assert consensus(np.array(labels, dtype=np.int8)).tolist() == expected


def test_each_mean_and_consensus_are_pooled_scores() -> None:
    nights = [with_others(made_up_night(f"r{i}", seed=i), 2, i) for i in range(3)]
    found = inter_rater_scores(nights)
    assert (found["nights"], found["scorers"]) == (3, 3)
    truths = [np.concatenate([np.concatenate([n.labels[None], n.others])[s] for n in nights]) for s in range(3)]
    said = np.concatenate([n.predictions for n in nights])
    kappas = [cohen_kappa_score(truth[truth >= 0], said[truth >= 0]) for truth in truths]
    assert [entry["kappa"] for entry in found["each"]] == pytest.approx(kappas)
    assert found["mean"]["kappa"] == pytest.approx(np.mean(kappas))
    agreed = np.concatenate([consensus(np.concatenate([n.labels[None], n.others])) for n in nights])
    assert found["consensus"]["kappa"] == pytest.approx(cohen_kappa_score(agreed[agreed >= 0], said[agreed >= 0]))
    pairs = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = (truths[i] >= 0) & (truths[j] >= 0)
        pairs.append(cohen_kappa_score(truths[i][both], truths[j][both]))
    assert found["among_scorers"]["kappa"] == pytest.approx(np.mean(pairs))


def test_nights_of_one_scorer_are_left_out() -> None:
    alone, two = made_up_night("r0", seed=0), with_others(made_up_night("r1", seed=1), 1)
    assert inter_rater_scores([alone]) is None
    assert inter_rater_scores([alone, two]) == inter_rater_scores([two])


def test_some_of_a_night_keeps_what_others_said_of_it() -> None:
    night = with_others(made_up_night("r0", seed=0), 2)
    chosen = np.array([3, 5, 8])
    np.testing.assert_array_equal(night.take(chosen).others, night.others[:, chosen])
