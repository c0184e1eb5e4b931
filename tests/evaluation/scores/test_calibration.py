import dataclasses

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from sleepkd.checkpoints.temperature import read_temperature, write_temperature
from sleepkd.errors import UserError
from sleepkd.evaluation.scores.calibration import (
    brier_score,
    calibration_of,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    risk_coverage,
    temperature_scaled,
    temperature_scaled_night,
)
from sleepkd.evaluation.scores.metrics import batch_scores
from tests.evaluation.nights import made_up_night

pytestmark = pytest.mark.filterwarnings("error")


def test_ece_by_hand():
    # Two sleep epochs at confidence 0.9, one correct; two at 0.6, both correct; ten bins.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    bins = reliability(np.array([0, 1, 1, 1]), probabilities, bins=10)
    filled = {entry["high"]: entry for entry in bins if entry["n"]}
    assert sorted(filled) == [0.6, 0.9]
    assert filled[0.9]["accuracy"] == 0.5
    assert filled[0.6]["accuracy"] == 1.0
    assert expected_calibration_error(bins) == pytest.approx(0.5 * abs(0.5 - 0.9) + 0.5 * abs(1.0 - 0.6))


def test_brier_and_nll_by_hand():
    night = made_up_night(n=3, classes=3)
    night = dataclasses.replace(
        night,
        labels=np.array([0, 2, -1], dtype=np.int8),
        probabilities=np.float32([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [1, 0, 0]]),
    )
    result = calibration_of([night])
    assert result["n"] == 2
    assert result["brier"] == pytest.approx(0.25 + 2 * 0.0625)
    assert result["nll"] == pytest.approx(np.log(2))


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_brier_and_nll_equal_sklearn(classes):
    """To the last bit, also at probabilities of 0 and 1."""
    rng = np.random.default_rng(classes)
    labels, probabilities = rng.integers(0, classes, 500), rng.dirichlet(np.ones(classes), 500)
    probabilities[::50] = np.eye(classes)[rng.integers(0, classes, 10)]
    assert brier_score(labels, probabilities) == brier_score_loss(labels, probabilities, labels=range(classes))
    assert negative_log_likelihood(labels, probabilities) == log_loss(labels, probabilities, labels=range(classes))


def test_nll_of_a_label_with_probability_zero_is_finite():
    night = dataclasses.replace(
        made_up_night(n=2, classes=3),
        labels=np.array([0, 1], dtype=np.int8),
        probabilities=np.float32([[1, 0, 0], [1, 0, 0]]),
    )
    assert 10 < calibration_of([night])["nll"] < 100


def test_calibration_of_unscored_nights_is_nan_and_no_temperature_is_fitted():
    night = dataclasses.replace(made_up_night(n=5), labels=np.full(5, -1, dtype=np.int8))
    assert np.isnan(calibration_of([night])["ece"])
    with pytest.raises(UserError, match="scored"):
        fit_temperature([night])


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_fit_temperature_recovers_the_true_temperature(true_temperature):
    """Labels drawn from calibrated probabilities, which are then scaled by another temperature."""
    rng = np.random.default_rng(0)
    calibrated = rng.dirichlet(np.ones(4), size=20_000)
    labels = (calibrated.cumsum(1) < rng.random((len(calibrated), 1))).sum(1).clip(0, 3)
    night = dataclasses.replace(
        made_up_night(n=len(labels)),
        labels=labels.astype(np.int8),
        probabilities=temperature_scaled(calibrated, 1 / true_temperature).astype(np.float32),
    )
    fitted = fit_temperature([night])
    assert fitted["temperature"] == pytest.approx(true_temperature, rel=0.03)
    assert fitted["nll"]["after"] <= fitted["nll"]["before"] + 1e-9
    if true_temperature != 1.0:
        assert fitted["ece"]["after"] < 0.3 * fitted["ece"]["before"]


def test_temperature_scaling_divides_logits_and_keeps_predictions():
    logits = np.random.default_rng(0).normal(size=(50, 4))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = np.exp(logits / 3) / np.exp(logits / 3).sum(1, keepdims=True)
    np.testing.assert_allclose(temperature_scaled(softmax, 3.0), expected, atol=1e-12)
    night = made_up_night()
    np.testing.assert_array_equal(temperature_scaled_night(night, 3.0).predictions, night.predictions)


def test_risk_coverage_keeps_the_most_confident_sleep_epochs():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    curve = risk_coverage(np.array([0, 1, 1, 1]), probabilities, coverages=[0.5, 1.0])
    assert [point["n"] for point in curve] == [2, 4]
    assert [point["accuracy"] for point in curve] == [1.0, 0.5]
    assert [point["confidence"] for point in curve] == [0.8, 0.6]
    assert curve[0]["kappa"] == 1.0
    assert curve[1]["kappa"] == pytest.approx(float(batch_scores(np.array([[1, 0], [2, 1]]))["kappa"]))


def test_a_stored_temperature_reads_back_and_an_invalid_one_is_named(tmp_path):
    checkpoint, path = tmp_path / "best.pt", tmp_path / "temperature.json"
    checkpoint.write_bytes(b"weights")
    with pytest.raises(UserError, match="--calibrate"):
        read_temperature(checkpoint)
    fitted = fit_temperature([made_up_night(n=2000)])
    write_temperature(checkpoint, fitted)
    assert read_temperature(checkpoint) == fitted["temperature"]
    checkpoint.write_bytes(b"weights, trained again")
    with pytest.raises(UserError, match="another checkpoint than best"):
        read_temperature(checkpoint)
    for wrong in ("", "{}", "[]", '{"temperature": -1, "sha256": ""}', '{"temperature": "warm", "sha256": ""}'):
        path.write_text(wrong)
        with pytest.raises(UserError, match=r"temperature\.json"):
            read_temperature(checkpoint)
