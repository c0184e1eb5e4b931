"""Transition distillation against sums over all pairs in numpy."""

import numpy as np
import pytest
import torch

from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.kd import distillation_sum
from sleepkd.losses.loss import TemperatureSettings
from sleepkd.losses.transition import TransitionDistillation, transition_lift
from tests.losses.synthetic import batch, check_logit_loss, kl, ragged, softmax

SCORED = np.array([[0, 0, 1, 2, -1, 2], [3, 0, 1, 1, 1, -1]])


def loss(labels: np.ndarray | None = None) -> TransitionDistillation:
    made = TransitionDistillation(TemperatureSettings(1.0, 2.0), FeatureShapes(4, {}, {}))
    if labels is not None:
        made.fit(labels)
    return made


def test_lift_of_transitions() -> None:
    counts = np.ones((4, 4))
    for a, b in ((0, 0), (0, 1), (1, 2), (3, 0), (0, 1), (1, 1), (1, 1)):
        counts[a, b] += 1
    total = counts.sum()
    by_chance = np.outer(counts.sum(1), counts.sum(0)) / total
    np.testing.assert_allclose(transition_lift(SCORED, 4), counts / by_chance)
    np.testing.assert_allclose(transition_lift(np.full((2, 3), -1), 4), 1)


def test_divergence_of_pairs() -> None:
    student, teacher, _, _ = ragged()
    lift, expected = transition_lift(SCORED, 4), 0.0
    for i, present in enumerate((6, 4, 1, 0, 5)):
        for first in range(present - 1):
            both = []
            for x in (teacher, student):
                p = softmax(x[i].numpy(), 2.0)
                joint = np.outer(p[first], p[first + 1]) * lift
                both.append(joint / joint.sum())
            expected += 4 * kl(*both)
    check_logit_loss(loss(SCORED), expected, 5 + 3 + 4)


def test_without_labels_it_is_softmax_distillation_of_both_sleep_epochs() -> None:
    student, teacher, labels, _ = ragged()
    present = torch.ones(2, 6, dtype=torch.bool)
    student, teacher, labels = student[:2], teacher[:2], labels[:2]
    targets = {"logits": teacher}
    total = loss().double().sum(NetworkOutput(student, {}), targets, batch(labels, present))
    ends = [distillation_sum(student[:, s], teacher[:, s], present[:, s], 2.0) for s in (slice(5), slice(1, 6))]
    assert total.item() == pytest.approx(sum(ends).item(), rel=1e-12)


def test_sleep_epochs_around_a_gap_are_not_a_pair() -> None:
    student, teacher, labels, _ = ragged()
    segment = batch(labels[:1], torch.ones(1, 6, dtype=torch.bool), torch.ones(1, 24, dtype=torch.bool))
    first = torch.tensor([0, 3, 6, 12, 15, 18])
    segment = segment._replace(token_spans=torch.stack([first, torch.full((6,), 3)], dim=-1)[None])
    total = loss().double().sum(NetworkOutput(student[:1], {}), {"logits": teacher[:1]}, segment)
    parts = [
        loss().double().sum(NetworkOutput(student[:1, s], {}), {"logits": teacher[:1, s]}, batch(labels[:1, s]))
        for s in (slice(3), slice(3, 6))
    ]
    torch.testing.assert_close(total, sum(parts))
