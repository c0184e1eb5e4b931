import dataclasses

import numpy as np
import pytest
from scipy import stats

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.comparison import compare
from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores
from sleepkd.evaluation.scores.summary import confusions_of
from tests.evaluation.nights import made_up_night

NAMES = ("W", "light", "deep", "REM")

pytestmark = pytest.mark.filterwarnings("error")


def better(night, seed, share=0.3):
    """The same night by a model that also predicts about `share` of the sleep epochs correctly, with probability 1."""
    probabilities = night.probabilities.copy()
    fixed = np.flatnonzero(night.scored & (np.random.default_rng(seed).random(len(night)) < share))
    probabilities[fixed] = np.eye(night.n_classes, dtype=np.float32)[night.labels[fixed]]
    return dataclasses.replace(night, probabilities=probabilities)


def cohort(n=8, **kwargs):
    return [made_up_night(f"r{i}", seed=i, subject=f"s{i // 2}", **kwargs) for i in range(n)]


def test_paired_differences_by_hand():
    a = cohort()
    b = [better(night, i) for i, night in enumerate(a)]
    result = compare({0: a}, {0: b}, NAMES, draws=500)
    kappa_a, kappa_b = (batch_scores(confusions_of(side, 4))["kappa"] for side in (a, b))
    difference = kappa_b - kappa_a
    entry = result["difference"]["mean"]["kappa"]
    assert entry["value"] == pytest.approx(difference.mean())
    assert entry["low"] < entry["value"] < entry["high"]
    assert result["difference"]["median"]["kappa"]["value"] == pytest.approx(np.median(difference))
    pooled_a, pooled_b = (batch_scores(confusions_of(side, 4).sum(0))["kappa"] for side in (a, b))
    assert result["difference"]["pooled"]["kappa"]["value"] == pytest.approx(pooled_b - pooled_a)
    assert result["by_recording"]["r3"]["kappa"] == pytest.approx(
        {"a": kappa_a[3], "b": kappa_b[3], "difference": difference[3]}
    )
    # The test is over the four subjects, the counts over the eight recordings.
    by_subject = difference.reshape(4, 2).mean(1)
    assert result["tests"]["kappa"]["wilcoxon_p"] == pytest.approx(stats.wilcoxon(by_subject).pvalue)
    counts = {name: result["tests"]["kappa"][name] for name in ("better", "worse", "equal")}
    assert counts == {"better": 8, "worse": 0, "equal": 0}
    assert (result["recordings"], result["subjects"]) == (8, 4)
    expected = confusions_of(b, 4).sum(0) - confusions_of(a, 4).sum(0)
    np.testing.assert_array_equal(result["confusion_difference"], expected)
    np.testing.assert_array_equal(expected.sum(1), 0)  # both have the same labels


def test_a_model_compared_with_itself_has_no_difference():
    a = cohort()
    result = compare({0: a}, {0: a}, NAMES, draws=200)
    for score in SCALAR_SCORES:
        assert result["difference"]["mean"][score] == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert result["tests"][score] == {"wilcoxon_p": 1.0, "better": 0, "worse": 0, "equal": 8}


def test_recordings_are_paired_by_name_and_unpaired_ones_counted():
    a = cohort(4)
    b = [better(night, i) for i, night in enumerate(a)]
    same = compare({0: a}, {0: b}, NAMES, draws=100)
    shuffled = compare({0: a}, {0: [b[2], b[0], b[3], b[1], made_up_night("x")]}, NAMES, draws=100)
    assert shuffled["left_out"] == {"seeds": 0, "recordings": 1}
    assert shuffled["difference"] == same["difference"]


def test_sleep_epochs_of_one_side_only_are_left_out():
    a = cohort(4)
    b = [better(night, i) for i, night in enumerate(a)]
    inner = [night.take(np.arange(1, len(night) - 1)) for night in b]
    expected = compare({0: [night.take(np.arange(1, len(night) - 1)) for night in a]}, {0: inner}, NAMES, draws=100)
    assert compare({0: a}, {0: inner}, NAMES, draws=100)["difference"] == expected["difference"]
    apart = [dataclasses.replace(night, onset_s=night.onset_s + 0.5) for night in b]
    with pytest.raises(UserError, match="different scored labels"):
        compare({0: a}, {0: apart}, NAMES, draws=100)


def test_several_seeds_are_paired_and_averaged():
    a = {seed: cohort(6, skill=1.0 + 0.2 * seed) for seed in (1, 2, 3)}
    b = {seed: [better(night, seed) for night in nights] for seed, nights in a.items()}
    result = compare(a, b | {9: a[1]}, NAMES, draws=300)
    alone = [compare({seed: a[seed]}, {seed: b[seed]}, NAMES, draws=10) for seed in a]
    gains = [table["difference"]["mean"]["kappa"]["value"] for table in alone]
    assert result["seeds"] == ["1", "2", "3"]
    assert result["left_out"]["seeds"] == 1
    assert result["recordings"] == 6
    assert result["difference"]["mean"]["kappa"]["value"] == pytest.approx(np.mean(gains))
    assert [entry["kappa"] for entry in result["by_seed"].values()] == pytest.approx(gains)


def test_variance_between_seeds_widens_the_interval():
    """The gain of three runs is 0, g and 2 g: the interval is about as wide as the t interval of these three."""
    a = cohort(8)
    b = {0: a, 1: [better(night, 1, 0.2) for night in a], 2: [better(night, 2, 0.4) for night in a]}
    entry = compare(dict.fromkeys(b, a), b, NAMES, draws=300)["difference"]["mean"]["kappa"]
    gains = [
        compare({0: a}, {0: nights}, NAMES, draws=10)["difference"]["mean"]["kappa"]["value"] for nights in b.values()
    ]
    t_interval = 4.3026527 * np.std(gains, ddof=1) / np.sqrt(3)  # t of 2 degrees of freedom at 97.5 %
    assert entry["high"] - entry["value"] > 0.9 * t_interval
    assert entry["high"] - entry["value"] < 1.5 * t_interval
    equal = compare({0: a, 1: a}, {0: b[1], 1: b[1]}, NAMES, draws=300)["difference"]["mean"]["kappa"]
    assert equal == pytest.approx(compare({0: a}, {0: b[1]}, NAMES, draws=300)["difference"]["mean"]["kappa"])


def test_a_night_with_undefined_kappa_is_left_out_of_kappa_only():
    awake = dataclasses.replace(
        made_up_night("awake", n=20, subject="z"),
        labels=np.zeros(20, dtype=np.int8),
        probabilities=np.tile(np.float32([0.7, 0.1, 0.1, 0.1]), (20, 1)),
    )
    result = compare({0: [*cohort(4), awake]}, {0: [*cohort(4), awake]}, NAMES, draws=100)
    assert result["tests"]["kappa"]["equal"] == 4
    assert result["tests"]["accuracy"]["equal"] == 5
    assert result["difference"]["mean"]["kappa"]["value"] == 0


def test_sets_that_cannot_be_paired_raise_an_error():
    a = cohort(2)
    with pytest.raises(UserError, match="no recording"):
        compare({0: a}, {0: [made_up_night("other")]}, NAMES)
    with pytest.raises(UserError, match="seeds"):
        compare({0: a}, {1: a}, NAMES)
    with pytest.raises(UserError, match=r"r0.*scored labels"):
        compare({0: a}, {0: [dataclasses.replace(a[0], labels=(a[0].labels + 1) % 4)]}, NAMES)
