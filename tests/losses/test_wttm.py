"""Weighted transformed teacher matching against a separate formula in numpy."""

import pytest
import torch

from sleepkd.losses import NetworkOutput, FeatureShapes
from sleepkd.losses.loss import TemperatureSettings
from sleepkd.losses.wttm import WeightedTransformedTeacher
from tests.distillation.terms.made_up import batch, check_logit_term, kl, ragged, softmax


def test_powers_of_the_teacher_weigh_and_soften() -> None:
    student, teacher, _, present = ragged()
    expected = 0.0
    for s, t in zip(student[present].numpy(), teacher[present].numpy(), strict=True):
        powers = softmax(t) ** 0.25
        expected += powers.sum() * kl(powers / powers.sum(), softmax(s))
    check_logit_term(WeightedTransformedTeacher(TemperatureSettings(1.0, 4.0), FeatureShapes(4, {}, {})), expected, 16)


def test_an_unsure_teacher_counts_more() -> None:
    term = WeightedTransformedTeacher(TemperatureSettings(1.0, 2.0), FeatureShapes(2, {}, {}))
    flat, there = torch.zeros(1, 1, 2), batch([[0]])
    unsure, sure = torch.tensor([[[1.0, 0]]]), torch.tensor([[[6.0, 0]]])
    weights = []
    for logits in (unsure, sure):
        total = term.sum(NetworkOutput(flat, {}), term.targets(NetworkOutput(logits, {})), there).item()
        weights.append(total / kl(softmax(logits.numpy()[0, 0], 2.0), softmax(flat.numpy()[0, 0])))
    assert weights[0] == pytest.approx((softmax(unsure.numpy()) ** 0.5).sum(), rel=1e-5)
    assert weights[0] > weights[1] > 1
