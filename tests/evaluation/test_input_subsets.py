"""Subsets of inputs: which are scored, their kappa, what each input adds, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.evaluation.input_subsets import subset_lines, subset_scores, subsets_of
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from tests.evaluation.nights import made_up_night

NAMES = ("W", "light", "deep", "REM")


def test_all_subsets_of_up_to_four_inputs() -> None:
    assert subsets_of(("a", "b")) == [("a", "b"), ("a",), ("b",)]
    four = subsets_of(("a", "b", "c", "d"))
    assert len(four) == len(set(four)) == 15 and four[0] == ("a", "b", "c", "d")


def test_of_more_inputs_all_then_all_but_one_then_each_alone() -> None:
    names = tuple("abcdef")
    found = subsets_of(names)
    assert [len(subset) for subset in found] == [6, *[5] * 6, *[1] * 6]
    assert {frozenset(names) - frozenset(subset) for subset in found[1:7]} == {frozenset(name) for name in names}
    assert found[7:] == [(name,) for name in names]


def kappa_of(night: NightPredictions) -> float:
    scored = night.labels != UNSCORED
    return cohen_kappa_score(night.labels[scored], night.predictions[scored])


def test_what_an_input_adds_is_paired_over_the_nights_that_hold_all_inputs() -> None:
    both = [made_up_night(name, n=200, seed=i) for i, name in enumerate("abcd")]
    rng = np.random.default_rng(0)
    alone = [replace(night, probabilities=rng.permutation(night.probabilities)) for night in both]
    predicted = {("ecg", "beats"): both[:3], ("ecg",): alone, ("beats",): both[:3]}
    found = subset_scores(predicted, NAMES, draws=200, seed=0)
    rows = found["subsets"]
    assert [row["recordings"] for row in rows] == [3, 4, 3] and rows[1]["inputs"] == ["ecg"]
    assert rows[1]["kappa"]["value"] == pytest.approx(np.mean([kappa_of(night) for night in alone]))
    gains = [kappa_of(night) - kappa_of(other) for night, other in zip(both[:3], alone, strict=False)]
    beats = found["adds"]["beats"]
    assert beats["kappa"]["value"] == pytest.approx(np.mean(gains)) and beats["recordings"] == 3
    assert beats["kappa"]["low"] < np.mean(gains) < beats["kappa"]["high"]
    assert (beats["better"], beats["worse"]) == (3, 0)
    assert found["adds"]["ecg"]["kappa"]["value"] == 0
    assert len(subset_lines(found)) == 5


def test_a_subset_that_no_night_holds_has_no_score() -> None:
    nights = [made_up_night(name, n=100, seed=i) for i, name in enumerate("ab")]
    found = subset_scores({("ecg", "beats"): [], ("ecg",): [], ("beats",): nights}, NAMES, draws=20, seed=0)
    assert [row["kappa"] is None for row in found["subsets"]] == [True, True, False] and not found["adds"]
    assert subset_lines(found)[0] == "  ECG + heartbeats: no night holds them all, 0 nights"
