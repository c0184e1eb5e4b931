"""Scorers agree with one another as people do, and disagree where people do."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from sleepkd.simulation.hypnogram import N2, STATE_SECONDS, score
from sleepkd.simulation.scorers import scorings
from tests.simulation.nights import night

NAMES = {"aasm": ("W", "1", "2", "3", "R"), "rk": ("W", "1", "2", "3", "4", "R")}
NIGHTS, SCORERS = 24, 6


def scored(standard: str) -> list[np.ndarray]:
    """(scorers, sleep epochs) of several nights."""
    length = {"aasm": 30, "rk": 20}[standard]
    return [np.array(scorings(night(k).states, standard, 10.0, 28500 // length, 5, k, SCORERS)) for k in range(NIGHTS)]


@pytest.mark.parametrize(("standard", "low", "high"), [("aasm", 0.72, 0.80), ("rk", 0.69, 0.79)])
def test_two_of_them_agree_as_two_people_do(standard: str, low: float, high: float) -> None:
    nights = scored(standard)
    kappas = [cohen_kappa_score(of[a], of[b]) for of in nights for a, b in combinations(range(SCORERS), 2)]
    assert low <= np.mean(kappas) <= high
    assert 0.05 < np.std([cohen_kappa_score(of[0], of[1]) for of in nights]) < 0.2


def test_they_agree_stage_by_stage_as_people_do() -> None:
    nights = scored("aasm")
    published = {"W": 0.84, "1": 0.63, "2": 0.85, "3": 0.67, "R": 0.90}
    for stage, share in published.items():
        both = either = 0
        for of in nights:
            for a, b in combinations(range(SCORERS), 2):
                both += 2 * np.count_nonzero((of[a] == stage) & (of[b] == stage))
                either += np.count_nonzero(of[a] == stage) + np.count_nonzero(of[b] == stage)
        assert both / either == pytest.approx(share, abs=0.06), stage


def test_they_disagree_at_transitions_above_all() -> None:
    apart, near, far = [], [], []
    for k, of in enumerate(scored("aasm")):
        truth = np.array(score(night(k).states, "aasm", 10.0, of.shape[1]))
        disagreed = of[0] != of[1]
        change = np.flatnonzero(truth[1:] != truth[:-1])
        distance = np.abs(np.arange(of.shape[1])[:, None] - change[None] - 0.5).min(axis=1)
        near.append(disagreed[distance < 1].mean())
        far.append(disagreed[distance > 4].mean())
        apart.append(disagreed.mean())
    assert np.mean(near) > 1.8 * np.mean(far)


def test_each_writes_the_same_again_and_no_two_the_same() -> None:
    states = night(3).states
    three, two = (scorings(states, "aasm", 10.0, 900, 5, 3, count) for count in (3, 2))
    assert three[:2] == two
    assert len({tuple(labels) for labels in three}) == 3
    assert scorings(states, "aasm", 10.0, 900, 6, 3, 1) != two[:1]


def test_a_long_stay_is_mostly_seen_as_what_it_is() -> None:
    states = np.full(3600 // STATE_SECONDS * 4, N2, dtype=np.int8)
    (labels,) = scorings(states, "aasm", 0.0, 400, 5, 0, 1)
    assert 0.8 < np.mean(np.array(labels) == "2") < 1


@pytest.mark.parametrize("standard", ["aasm", "rk"])
def test_stages_are_those_of_the_standard(standard: str) -> None:
    assert {label for of in scored(standard)[:4] for label in of.ravel()} == set(NAMES[standard])
