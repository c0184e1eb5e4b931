import numpy as np
import pytest

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.groups import by_group, grouping, read_participants
from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores
from sleepkd.evaluation.scores.statistics import (
    expanded_interval,
    intervals,
    resample_subjects,
    statistics_of,
    weighted_mean,
    weighted_median,
)
from tests.evaluation.nights import made_up_night

NAMES = ("W", "light", "deep", "REM")

pytestmark = pytest.mark.filterwarnings("error")


def test_a_draw_takes_whole_subjects_and_as_many_as_there_are():
    subjects = ["b", "a", "b", "c"]
    weights = resample_subjects(subjects, draws=500, seed=1)
    assert weights.shape == (500, 4)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])  # both recordings of b
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(1), 3)
    assert weights[:, 1].mean() == pytest.approx(1, abs=0.1)
    np.testing.assert_array_equal(weights, resample_subjects(subjects, draws=500, seed=1))
    assert (weights != resample_subjects(subjects, draws=500, seed=2)).any()


def test_weighted_mean_and_median_are_numpys_on_repeated_values():
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


def test_nothing_defined_has_no_mean_and_no_median():
    weights = np.array([[1.0, 0.0], [0.0, 0.0]])
    for summary in (weighted_mean, weighted_median):
        np.testing.assert_array_equal(summary(np.array([3.0, 4.0]), weights), [3.0, np.nan])
        np.testing.assert_array_equal(summary(np.full(2, np.nan), weights), [np.nan, np.nan])


def test_pooled_statistics_are_scores_of_the_summed_matrices():
    matrices = np.random.default_rng(0).integers(0, 30, size=(5, 4, 4))
    weights = np.array([[1.0, 1, 1, 1, 1], [2, 0, 0, 1, 0]])
    table = statistics_of(matrices, weights)
    for score in SCALAR_SCORES:
        drawn = 2 * matrices[0] + matrices[3]
        expected = [batch_scores(matrices.sum(0))[score], batch_scores(drawn)[score]]
        np.testing.assert_allclose(table["pooled"][score], expected, atol=1e-12)


def test_expanded_interval_of_a_mean_is_students():
    """For normal draws of standard deviation s sqrt((n - 1) / n) / sqrt(n), it is mean ± t s / sqrt(n)."""
    n = 10
    drawn = np.random.default_rng(0).normal(size=1_000_000) * np.sqrt((n - 1) / n) / np.sqrt(n)
    low, high = expanded_interval(drawn, n)
    expected = 2.2621572 / np.sqrt(n)  # t of 9 degrees of freedom at 97.5 %, from a printed table
    assert (low, high) == pytest.approx((-expected, expected), rel=0.02)


def test_one_subject_has_values_but_no_interval():
    matrices = np.array([[[5, 1], [1, 3]], [[6, 0], [2, 2]]])
    table = intervals(matrices, ["s", "s"], draws=100)
    assert (table["recordings"], table["subjects"]) == (2, 1)
    kappa = table["mean"]["kappa"]
    assert kappa["value"] == pytest.approx(batch_scores(matrices)["kappa"].mean())
    assert np.isnan([kappa["low"], kappa["high"]]).all()


def test_intervals_hold_their_value_and_are_seeded():
    matrices = np.random.default_rng(0).integers(5, 60, size=(12, 4, 4)) + 80 * np.eye(4, dtype=int)
    subjects = [f"s{i // 2}" for i in range(12)]
    table = intervals(matrices, subjects, draws=2000, seed=3)
    for statistic in ("mean", "median", "pooled"):
        for score in SCALAR_SCORES:
            entry = table[statistic][score]
            assert entry["low"] < entry["value"] < entry["high"]
    assert table == intervals(matrices, subjects, draws=2000, seed=3)


def test_nights_of_one_person_widen_the_interval():
    """Ten subjects with two equal nights each know no more than ten nights."""
    matrices = np.random.default_rng(0).integers(5, 60, size=(10, 3, 3))
    twice = np.repeat(matrices, 2, axis=0)
    alone = intervals(matrices, [str(i) for i in range(10)], seed=1)
    doubled = intervals(twice, [str(i // 2) for i in range(20)], seed=1)
    pretended = intervals(twice, [str(i) for i in range(20)], seed=1)
    width = [t["mean"]["kappa"]["high"] - t["mean"]["kappa"]["low"] for t in (alone, doubled, pretended)]
    assert width[1] == pytest.approx(width[0], rel=1e-9)
    assert width[2] < 0.8 * width[0]


PARTICIPANTS = "participant_id\tage\tsex\tahi\tweight_kg\nsub-a\t39.5\tF\t2\t60\nb\t60\tM\t17\tn/a\nc\t\tF\t30\t80\n"


def test_groups_from_participants(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text(PARTICIPANTS)
    participants = read_participants(path)
    nights = [made_up_night(name, n=50, seed=i, subset="SS1") for i, name in enumerate("abcd")]
    columns = grouping(nights, participants)
    assert columns["age"] == ["under 40", "60 and over", "n/a", "n/a"]
    assert columns["sex"] == ["F", "M", "F", "n/a"]
    assert columns["ahi"] == ["< 5 /h", "15 to 30 /h", "≥ 30 /h", "n/a"]
    assert "weight_kg" not in columns
    table = by_group(nights, NAMES, participants, draws=200)
    assert set(table) == {"age", "sex", "ahi"}  # all nights are of one standard and one subset
    assert table["sex"]["F"]["recordings"] == 2
    alone = intervals(np.array([nights[1].confusion]), ["b"], draws=200)
    assert table["sex"]["M"]["pooled"]["kappa"]["value"] == alone["pooled"]["kappa"]["value"]


def test_groups_of_a_simulated_cohort_are_named_by_recording(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text("recording\tsubset\tage\tapnea_index\nr1\tSS9\t70.1\t0.4\nr2\tSS9\t20\t31\n")
    nights = [made_up_night("r1", subject="x"), made_up_night("r2", subject="y")]
    columns = grouping(nights, read_participants(path))
    assert columns["subset"] == ["SS1", "SS1"]  # what the night itself says
    assert columns["age"] == ["60 and over", "under 40"]
    assert columns["apnea_index"] == ["< 5 /h", "≥ 30 /h"]


@pytest.mark.parametrize("content", [None, "", "participant_id\tage\n", "id\tage\na\t3\n"])
def test_a_wrong_participants_file_is_named(tmp_path, content):
    path = tmp_path / "participants.tsv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"participants\.tsv"):
        read_participants(path)
