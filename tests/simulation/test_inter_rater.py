"""Inter-rater agreement of simulated scorers is that of human scorers."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from simulation.simulated_nights import majority_labels, night
from sleepkd.simulation.inter_rater import scorer_labels
from sleepkd.simulation.sleep_architecture import N2, STATE_SECONDS

NAMES = {"aasm": ("W", "1", "2", "3", "R"), "rk": ("W", "1", "2", "3", "4", "R")}
NIGHTS, SCORERS = 24, 6


def numbers_of(standard: str) -> list[int]:
    """The numbers of nights of the subsets with a standard: SS1 and SS3 (AASM), or SS2, SS4 and SS5 (R&K)."""
    subsets = {"aasm": (0, 2), "rk": (1, 3, 4)}[standard]
    return [k for k in range(5 * NIGHTS) if k % 5 in subsets][:NIGHTS]


def scored_nights(standard: str) -> list[np.ndarray]:
    """Labels of nights of the subsets with this standard, a quarter with apnea, (scorers, sleep epochs) each."""
    length = {"aasm": 30, "rk": 20}[standard]
    return [
        np.array(scorer_labels(night(k, apnea_share=0.25).states, standard, 10.0, 28500 // length, 5, k, SCORERS))
        for k in numbers_of(standard)
    ]


@pytest.mark.parametrize(("standard", "low", "high"), [("aasm", 0.72, 0.80), ("rk", 0.69, 0.79)])
def test_kappa_of_two_scorers_is_that_of_human_scorers(standard: str, low: float, high: float) -> None:
    nights = scored_nights(standard)
    kappas = [cohen_kappa_score(labels[a], labels[b]) for labels in nights for a, b in combinations(range(SCORERS), 2)]
    assert low <= np.mean(kappas) <= high
    assert 0.05 < np.std([cohen_kappa_score(labels[0], labels[1]) for labels in nights]) < 0.2


def test_agreement_by_sleep_stage_is_that_of_human_scorers() -> None:
    nights = scored_nights("aasm")
    published = {"W": 0.84, "1": 0.63, "2": 0.85, "3": 0.67, "R": 0.90}
    for stage, share in published.items():
        both = either = 0
        for labels in nights:
            for a, b in combinations(range(SCORERS), 2):
                both += 2 * np.count_nonzero((labels[a] == stage) & (labels[b] == stage))
                either += np.count_nonzero(labels[a] == stage) + np.count_nonzero(labels[b] == stage)
        assert both / either == pytest.approx(share, abs=0.06), stage


def test_scorers_disagree_mostly_at_transitions() -> None:
    near, far = [], []
    for k, labels in zip(numbers_of("aasm"), scored_nights("aasm"), strict=True):
        truth = np.array(majority_labels(night(k, apnea_share=0.25).states, "aasm", 10.0, labels.shape[1]))
        disagreed = labels[0] != labels[1]
        change = np.flatnonzero(truth[1:] != truth[:-1])
        distance = np.abs(np.arange(labels.shape[1])[:, None] - change[None] - 0.5).min(axis=1)
        near.append(disagreed[distance < 1].mean())
        far.append(disagreed[distance > 4].mean())
    assert np.mean(near) > 1.8 * np.mean(far)


def test_scorers_differ_and_do_not_depend_on_how_many_there_are() -> None:
    states = night(3).states
    three, two = (scorer_labels(states, "aasm", 10.0, 900, 5, 3, count) for count in (3, 2))
    assert three[:2] == two
    assert len({tuple(labels) for labels in three}) == 3
    assert scorer_labels(states, "aasm", 10.0, 900, 6, 3, 1) != two[:1]


def test_a_long_bout_is_mostly_labelled_correctly() -> None:
    states = np.full(3600 // STATE_SECONDS * 4, N2, dtype=np.int8)
    (labels,) = scorer_labels(states, "aasm", 0.0, 400, 5, 0, 1)
    assert 0.8 < np.mean(np.array(labels) == "2") < 1


@pytest.mark.parametrize("standard", ["aasm", "rk"])
def test_labels_are_those_of_the_standard(standard: str) -> None:
    assert {label for labels in scored_nights(standard)[:4] for label in labels.ravel()} == set(NAMES[standard])
