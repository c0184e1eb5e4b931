import numpy as np
import pytest

from sleepkd.evaluation.scores.bootstrap import (
    bootstrap_intervals,
    expanded_interval,
    resample_subjects,
    summary_statistics,
    weighted_mean,
    weighted_median,
)
from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores

pytestmark = pytest.mark.filterwarnings("error")


def test_a_draw_takes_all_recordings_of_as_many_subjects_as_there_are():
    subjects = ["b", "a", "b", "c"]
    weights = resample_subjects(subjects, draws=500, seed=1)
    assert weights.shape == (500, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])  # both recordings of b
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(1), 3)
    assert weights[:, 1].mean() == pytest.approx(1, abs=0.1)
    np.testing.assert_array_equal(weights, resample_subjects(subjects, draws=500, seed=1))
    assert (weights != resample_subjects(subjects, draws=500, seed=2)).any()


def test_weighted_mean_and_median_equal_numpy_on_repeated_values():
    rng = np.random.default_rng(0)
    values = rng.normal(size=9)
    values[[2, 5]] = np.nan
    weights = rng.integers(0, 4, size=(50, 9)).astype(float)
    for row, mean, median in zip(
        weights, weighted_mean(values, weights), weighted_median(values, weights), strict=True
    ):
        repeated = np.repeat(values, row.astype(int))
        assert mean == pytest.approx(np.nanmean(repeated))
        assert median == pytest.approx(np.nanmedian(repeated))


def test_mean_and_median_of_undefined_values_are_nan():
    weights = np.array([[1.0, 0.0], [0.0, 0.0]])
    for summary in (weighted_mean, weighted_median):
        np.testing.assert_array_equal(summary(np.array([3.0, 4.0]), weights), [3.0, np.nan])
        np.testing.assert_array_equal(summary(np.full(2, np.nan), weights), [np.nan, np.nan])


def test_pooled_statistics_are_scores_of_the_summed_matrices():
    matrices = np.random.default_rng(0).integers(0, 30, size=(5, 4, 4))
    weights = np.array([[1.0, 1, 1, 1, 1], [2, 0, 0, 1, 0]])
    table = summary_statistics(matrices, weights)
    for score in SCALAR_SCORES:
        drawn = 2 * matrices[0] + matrices[3]
        expected = [batch_scores(matrices.sum(0))[score], batch_scores(drawn)[score]]
        np.testing.assert_allclose(table["pooled"][score], expected, atol=1e-12)


def test_expanded_interval_of_a_mean_is_the_t_interval():
    """For normal draws of standard deviation s sqrt((n - 1) / n) / sqrt(n) it is mean ± t s / sqrt(n)."""
    n = 10
    drawn = np.random.default_rng(0).normal(size=1_000_000) * np.sqrt((n - 1) / n) / np.sqrt(n)
    low, high = expanded_interval(drawn, n)
    expected = 2.2621572 / np.sqrt(n)  # t of 9 degrees of freedom at 97.5 %, from a printed table
    assert (low, high) == pytest.approx((-expected, expected), rel=0.02)


def test_one_subject_has_no_interval():
    matrices = np.array([[[5, 1], [1, 3]], [[6, 0], [2, 2]]])
    table = bootstrap_intervals(matrices, ["s", "s"], draws=100)
    assert (table["recordings"], table["subjects"]) == (2, 1)
    kappa = table["mean"]["kappa"]
    assert kappa["value"] == pytest.approx(batch_scores(matrices)["kappa"].mean())
    assert np.isnan([kappa["low"], kappa["high"]]).all()


def test_intervals_contain_the_value_and_are_reproducible():
    matrices = np.random.default_rng(0).integers(5, 60, size=(12, 4, 4)) + 80 * np.eye(4, dtype=int)
    subjects = [f"s{i // 2}" for i in range(12)]
    table = bootstrap_intervals(matrices, subjects, draws=2000, seed=3)
    for statistic in ("mean", "median", "pooled"):
        for score in SCALAR_SCORES:
            entry = table[statistic][score]
            assert entry["low"] < entry["value"] < entry["high"]
    assert table == bootstrap_intervals(matrices, subjects, draws=2000, seed=3)


def test_several_nights_of_a_subject_do_not_narrow_the_interval():
    """Ten subjects with two equal nights each carry the information of ten nights."""
    matrices = np.random.default_rng(0).integers(5, 60, size=(10, 3, 3))
    twice = np.repeat(matrices, 2, axis=0)
    alone = bootstrap_intervals(matrices, [str(i) for i in range(10)], seed=1)
    doubled = bootstrap_intervals(twice, [str(i // 2) for i in range(20)], seed=1)
    as_subjects = bootstrap_intervals(twice, [str(i) for i in range(20)], seed=1)
    width = [t["mean"]["kappa"]["high"] - t["mean"]["kappa"]["low"] for t in (alone, doubled, as_subjects)]
    assert width[1] == pytest.approx(width[0], rel=1e-9)
    assert width[2] < 0.8 * width[0]
