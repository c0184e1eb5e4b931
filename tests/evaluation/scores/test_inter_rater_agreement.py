"""Inter-rater agreement against scikit-learn and cases by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from sleepkd.evaluation.scores.inter_rater_agreement import consensus, inter_rater_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from tests.evaluation.nights import made_up_night


def with_others(night: NightPredictions, count: int, seed: int = 0) -> NightPredictions:
    """The same night with `count` further scorers, who differ in 20 % of the sleep epochs."""
    rng = np.random.default_rng(seed)
    others = np.repeat(night.labels[None], count, axis=0)
    wrong = (rng.random(others.shape) < 0.2) & (others >= 0)
    others[wrong] = rng.integers(0, night.n_classes, wrong.sum())
    return replace(night, others=others)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[0, 1, 2], [0, 1, 1], [3, 1, 1]], [0, 1, 1]),
        ([[0, 2], [1, 3]], [0, 2]),  # a tie: the first scorer
        ([[-1, -1], [1, -1], [1, 2]], [1, 2]),  # unscored is no vote
        ([[-1, 2], [-1, -1]], [-1, 2]),
        ([[2, 0], [1, 1], [1, 2]], [1, 0]),
    ],
)
def test_consensus_is_the_majority_vote(labels: list, expected: list) -> None:
    assert consensus(np.array(labels, dtype=np.int8)).tolist() == expected


def test_scores_against_each_scorer_and_the_consensus_equal_sklearn() -> None:
    nights = [with_others(made_up_night(f"r{i}", seed=i), 2, i) for i in range(3)]
    found = inter_rater_scores(nights)
    assert (found["nights"], found["scorers"]) == (3, 3)
    labels = [np.concatenate([np.concatenate([n.labels[None], n.others])[s] for n in nights]) for s in range(3)]
    predictions = np.concatenate([n.predictions for n in nights])
    kappas = [cohen_kappa_score(each[each >= 0], predictions[each >= 0]) for each in labels]
    assert [entry["kappa"] for entry in found["each"]] == pytest.approx(kappas)
    assert found["mean"]["kappa"] == pytest.approx(np.mean(kappas))
    majority = np.concatenate([consensus(np.concatenate([n.labels[None], n.others])) for n in nights])
    assert found["consensus"]["kappa"] == pytest.approx(
        cohen_kappa_score(majority[majority >= 0], predictions[majority >= 0])
    )
    pairs = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        both = (labels[i] >= 0) & (labels[j] >= 0)
        pairs.append(cohen_kappa_score(labels[i][both], labels[j][both]))
    assert found["among_scorers"]["kappa"] == pytest.approx(np.mean(pairs))


def test_nights_of_one_scorer_are_left_out() -> None:
    alone, two = made_up_night("r0", seed=0), with_others(made_up_night("r1", seed=1), 1)
    assert inter_rater_scores([alone]) is None
    assert inter_rater_scores([alone, two]) == inter_rater_scores([two])


def test_take_selects_the_labels_of_all_scorers() -> None:
    night = with_others(made_up_night("r0", seed=0), 2)
    chosen = np.array([3, 5, 8])
    np.testing.assert_array_equal(night.take(chosen).others, night.others[:, chosen])
