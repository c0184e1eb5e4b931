"""Class bias by cadence: between, at and beyond the given cadences, and in the predictions of a network."""

import numpy as np
import pytest
from scipy.special import softmax

from sleepkd.checkpoints.cadence_bias import bias_at, corrected

BIAS = {"60": [0.8, -0.8], "5": [0.0, 0.0], "15": [0.4, -0.4]}


@pytest.mark.parametrize(
    ("cadence_s", "expected"),
    [(1.0, 0.0), (5.0, 0.0), (np.sqrt(5 * 15), 0.2), (15.0, 0.4), (30.0, 0.6), (60.0, 0.8), (300.0, 0.8)],
)
def test_the_bias_is_linear_in_the_logarithm_of_the_cadence(cadence_s: float, expected: float) -> None:
    assert bias_at(BIAS, cadence_s) == pytest.approx([expected, -expected])


def test_probabilities_are_corrected_as_logits_are() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 2))
    found = corrected(softmax(logits, axis=1).astype(np.float32), BIAS, 60.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(logits + np.array([0.8, -0.8]), axis=1), atol=1e-6)


def test_a_probability_of_zero_and_a_missing_one_are_kept() -> None:
    found = corrected(np.array([[0, 1], [np.nan, np.nan]], np.float32), BIAS, 60.0)
    assert found[0] == pytest.approx([0, 1], abs=1e-6) and np.isnan(found[1]).all()


@pytest.mark.parametrize(("bias", "cadence_s"), [({}, 60.0), (BIAS, 0.0)])
def test_without_a_bias_or_for_heartbeats_nothing_changes(bias: dict[str, list[float]], cadence_s: float) -> None:
    probabilities = np.array([[0.3, 0.7]], np.float32)
    assert corrected(probabilities, bias, cadence_s) is probabilities
