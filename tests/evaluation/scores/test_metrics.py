import warnings

import numpy as np
import pytest
import sklearn.metrics as skm

from sleepkd.evaluation.scores.metrics import SCALAR_SCORES, batch_scores, confusion_matrix, scores

NAMES = ("W", "light", "deep", "REM")

pytestmark = pytest.mark.filterwarnings("error")


def test_confusion_matrix_has_scored_rows_predicted_columns_and_no_unscored():
    labels = np.array([0, 0, 1, 2, -1, -1], dtype=np.int8)
    predictions = np.array([0, 1, 1, 0, 3, 0], dtype=np.int8)
    expected = [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    matrix = confusion_matrix(labels, predictions, 4)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == expected


def test_confusion_matrix_of_many_sleep_epochs_does_not_overflow_int8():
    labels = np.full(1000, 4, dtype=np.int8)
    assert confusion_matrix(labels, labels, 5)[4, 4] == 1000


@pytest.mark.parametrize(("labels", "predictions"), [([4], [0]), ([-2], [0]), ([0], [4]), ([0], [-1]), ([0, 1], [0])])
def test_confusion_matrix_refuses_invalid_classes(labels, predictions):
    with pytest.raises(ValueError, match=r"labels|predictions"):
        confusion_matrix(np.array(labels), np.array(predictions), 4)


def test_scores_by_hand():
    # 10 sleep epochs: 6 W (5 predicted W, 1 REM), 4 REM (3 predicted REM, 1 W).
    result = scores(np.array([[5, 1], [1, 3]]), ("W", "REM"))
    assert result["n"] == 10
    assert result["accuracy"] == pytest.approx(0.8)
    assert result["balanced_accuracy"] == pytest.approx((5 / 6 + 3 / 4) / 2)
    chance = (6 * 6 + 4 * 4) / 100
    assert result["kappa"] == pytest.approx((0.8 - chance) / (1 - chance))
    assert result["macro_f1"] == pytest.approx((10 / 12 + 6 / 8) / 2)
    assert result["weighted_f1"] == pytest.approx((6 * 10 / 12 + 4 * 6 / 8) / 10)
    assert result["per_class"]["REM"] == pytest.approx({"precision": 0.75, "recall": 0.75, "f1": 0.75, "support": 4})
    assert result["confusion"] == [[5, 1], [1, 3]]


def sklearn_scores(labels, predictions):
    return {
        "accuracy": skm.accuracy_score(labels, predictions),
        "balanced_accuracy": skm.balanced_accuracy_score(labels, predictions),
        "kappa": skm.cohen_kappa_score(labels, predictions),
        "macro_f1": skm.f1_score(labels, predictions, average="macro", zero_division=np.nan),
        "weighted_f1": skm.f1_score(labels, predictions, average="weighted", zero_division=np.nan),
    }


@pytest.mark.parametrize("seed", range(20))
def test_scores_equal_sklearn(seed):
    """Random nights, some without a class in the labels, the predictions, or both."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(rng.permutation(4)[: rng.integers(2, 5)], size=300)
    predictions = np.where(rng.random(300) < 0.5, labels, rng.choice(rng.permutation(4)[:3], size=300))
    ours = scores(confusion_matrix(labels, predictions, 4), NAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sklearn_scores(labels, predictions)
        per_class = skm.precision_recall_fscore_support(labels, predictions, labels=range(4), zero_division=np.nan)
    for score, value in theirs.items():
        assert ours[score] == pytest.approx(value, abs=1e-12), score
    for k, name in enumerate(NAMES):
        row = ours["per_class"][name]
        got = [row["precision"], row["recall"], row["f1"], row["support"]]
        np.testing.assert_allclose(got, [column[k] for column in per_class], rtol=0, atol=1e-12, equal_nan=True)


def test_scores_of_absent_classes_are_nan_only_where_undefined():
    # deep is scored, never predicted; REM is predicted, never scored; the last class is neither.
    result = scores(np.array([[8, 0, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]), ("W", "deep", "REM", "none"))
    deep, rem, none = (result["per_class"][name] for name in ("deep", "REM", "none"))
    assert np.isnan(deep["precision"])
    assert deep["recall"] == 0
    assert deep["f1"] == 0
    assert np.isnan(rem["recall"])
    assert rem["precision"] == 0
    assert rem["f1"] == 0
    assert np.isnan([none["precision"], none["recall"], none["f1"]]).all()
    assert result["macro_f1"] == pytest.approx((16 / 19 + 0 + 0) / 3)
    assert result["balanced_accuracy"] == pytest.approx((8 / 9 + 0) / 2)


def test_kappa_of_one_class_and_scores_of_an_unscored_night_are_nan():
    one_class = scores(np.array([[7, 0], [0, 0]]), ("W", "REM"))
    assert np.isnan(one_class["kappa"])
    assert one_class["accuracy"] == 1
    assert one_class["macro_f1"] == 1
    nothing = scores(np.zeros((2, 2), int), ("W", "REM"))
    assert nothing["n"] == 0
    assert all(np.isnan(nothing[score]) for score in SCALAR_SCORES)


def test_batch_scores_equal_the_scores_of_each_matrix():
    matrices = np.random.default_rng(0).integers(0, 9, size=(6, 4, 4))
    matrices[2] = 0
    together = batch_scores(matrices)
    assert together["f1"].shape == (6, 4)
    for r, matrix in enumerate(matrices):
        alone = scores(matrix, NAMES)
        for score in SCALAR_SCORES:
            np.testing.assert_equal(together[score][r], alone[score])


def test_scores_refuses_another_number_of_class_names():
    with pytest.raises(ValueError, match="3 classes"):
        scores(np.zeros((4, 4)), ("W", "NREM", "REM"))
