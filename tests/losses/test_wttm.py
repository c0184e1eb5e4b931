"""Weighted transformed teacher matching against a formula in numpy."""

import pytest
import torch

from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.loss import TemperatureSettings
from sleepkd.losses.wttm import WeightedTransformedTeacher
from tests.losses.synthetic import batch, check_logit_loss, kl, ragged, softmax


def test_divergence_weighted_by_the_power_sum() -> None:
    student, teacher, _, present = ragged()
    expected = 0.0
    for s, t in zip(student[present].numpy(), teacher[present].numpy(), strict=True):
        powers = softmax(t) ** 0.25
        expected += powers.sum() * kl(powers / powers.sum(), softmax(s))
    check_logit_loss(WeightedTransformedTeacher(TemperatureSettings(1.0, 4.0), FeatureShapes(4, {}, {})), expected, 16)


def test_an_uncertain_teacher_has_a_larger_weight() -> None:
    loss = WeightedTransformedTeacher(TemperatureSettings(1.0, 2.0), FeatureShapes(2, {}, {}))
    student = torch.zeros(1, 1, 2)
    uncertain, confident = torch.tensor([[[1.0, 0]]]), torch.tensor([[[6.0, 0]]])
    weights = []
    for logits in (uncertain, confident):
        total = loss.sum(NetworkOutput(student, {}), loss.targets(NetworkOutput(logits, {})), batch([[0]])).item()
        weights.append(total / kl(softmax(logits.numpy()[0, 0], 2.0), softmax(student.numpy()[0, 0])))
    assert weights[0] == pytest.approx((softmax(uncertain.numpy()) ** 0.5).sum(), rel=1e-5)
    assert weights[0] > weights[1] > 1
