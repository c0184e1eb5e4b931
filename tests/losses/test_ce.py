"""Cross-entropy against values computed by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.ce import (
    CrossEntropy,
    CrossEntropySettings,
    balanced_class_weights,
    cross_entropy_sum,
)
from tests.losses.synthetic import (
    LABELS,
    LOGITS,
    SHARES,
    WEIGHTS,
    assert_shares_add_up,
    batch,
    flat,
    table,
)


def loss(class_weights: list[float]) -> CrossEntropy:
    made = CrossEntropy(CrossEntropySettings(1.0), FeatureShapes(3, {}, {}))
    made.class_weights_K = np.array(class_weights)
    made.weight.copy_(torch.tensor(class_weights))
    return made.float()


def softmax(row: list[float]) -> list[float]:
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def test_weighted_cross_entropy_is_the_weighted_mean_over_scored_sleep_epochs() -> None:
    scored = [(row, label) for row, label in zip(flat(LOGITS), flat(LABELS), strict=True) if label >= 0]
    expected = sum(WEIGHTS[k] * -math.log(softmax(row)[k]) for row, k in scored) / sum(WEIGHTS[k] for _, k in scored)
    weighted = loss(WEIGHTS)
    total = weighted.sum(NetworkOutput(torch.tensor(LOGITS), {}), {}, batch(LABELS))
    assert weighted.normalizer(table(LABELS)) == 0.5 + 2.0 + 1.25
    assert float(total) / weighted.normalizer(table(LABELS)) == pytest.approx(expected, abs=1e-6)


def test_unscored_labels_count_in_neither_sum_nor_normalizer() -> None:
    logits = torch.tensor(LOGITS, requires_grad=True)
    weighted = loss(WEIGHTS)
    weighted.sum(NetworkOutput(logits, {}), {}, batch(LABELS)).backward()
    assert not logits.grad[0, 1].any()
    assert logits.grad[0, 0].any()
    unscored = torch.full((2, 2), -1)
    assert float(weighted.sum(NetworkOutput(logits.detach(), {}), {}, batch(unscored))) == 0
    assert weighted.normalizer(table(unscored)) == 1  # 0 / 1 stays 0


def test_balanced_weights_equal_scikit_learn() -> None:
    labels = np.array([0] * 5 + [1] * 30 + [2] * 8 + [-1] * 4)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels[labels >= 0])
    np.testing.assert_allclose(balanced_class_weights(labels, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(balanced_class_weights(labels, 3), [43 / 15, 43 / 90, 43 / 24], rtol=1e-12)


def test_a_class_that_does_not_occur_has_weight_zero() -> None:
    np.testing.assert_allclose(balanced_class_weights(np.array([0, 0, 0, 2]), 3), [4 / 6, 0, 2])


@pytest.mark.parametrize(("kind", "expected"), [("balanced", [4 / 6, 0, 2]), ("none", [1, 1, 1])])
def test_weights_come_from_the_training_labels_or_are_equal(kind: str, expected: list[float]) -> None:
    fitted = CrossEntropy(CrossEntropySettings(1.0, kind), FeatureShapes(3, {}, {}))
    fitted.fit(np.array([[0, 0, -1], [0, 2, -1]], dtype=np.int8))
    np.testing.assert_allclose(fitted.weight.numpy(), expected)
    assert fitted.normalizer(table([[0, 2], [-1, -1]])) == pytest.approx(expected[0] + expected[2])
    assert not fitted.state_dict()  # they follow from the data


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    logits = torch.tensor(LOGITS, dtype=dtype)
    assert loss(WEIGHTS).sum(NetworkOutput(logits, {}), {}, batch(LABELS)).dtype == torch.float32
    assert loss(WEIGHTS).double().sum(NetworkOutput(logits.double(), {}), {}, batch(LABELS)).dtype == torch.float64


def test_sums_over_shares_add_up_to_the_whole_batch() -> None:
    torch.manual_seed(1)
    logits, labels = torch.randn(7, 2, 3, dtype=torch.float64), torch.randint(-1, 3, (7, 2))
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    assert_shares_add_up(
        cross_entropy_sum(logits, labels, weights), [cross_entropy_sum(logits[s], labels[s], weights) for s in SHARES]
    )
