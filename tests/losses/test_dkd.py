"""Decoupled knowledge distillation against the paper's formula in probabilities."""

import numpy as np
import pytest
import torch

from sleepkd.errors import UserError
from sleepkd.losses import FeatureShapes
from sleepkd.losses.dkd import DecoupledDistillation, DecoupledDistillationSettings, decoupled_divergences
from tests.losses.synthetic import check_logit_loss, kl, ragged, softmax


def test_the_weighted_sum_of_both_divergences() -> None:
    student, teacher, labels, present = ragged()
    expected = 0.0
    for i, n in torch.nonzero(present).tolist():
        p_s, p_t = (softmax(x[i, n].numpy(), 3.0) for x in (student, teacher))
        target = int(labels[i, n])
        target = int(p_t.argmax()) if target < 0 else target  # unscored
        pairs = [np.array([p[target], 1 - p[target]]) for p in (p_t, p_s)]
        rest = [np.delete(p, target) / (1 - p[target]) for p in (p_t, p_s)]
        expected += 9 * (0.5 * kl(*pairs) + 4 * kl(*rest))
    settings = DecoupledDistillationSettings(1.0, 3.0, 0.5, 4.0)
    check_logit_loss(DecoupledDistillation(settings, FeatureShapes(4, {}, {})), expected, 16)


def test_weighting_by_the_non_target_probability_gives_softmax_distillation() -> None:
    """KD = TCKD + (1 - p of the target) NCKD, equation 5 of the paper."""
    student, teacher, labels, _ = ragged()
    target = labels.clamp_min(0)
    of_target, of_others = decoupled_divergences(student, teacher, target, 1.0)
    p_s, p_t = student.softmax(-1), teacher.softmax(-1)
    whole = (p_t * (p_t.log() - p_s.log())).sum(-1)
    share = 1 - p_t.gather(-1, target[..., None])[..., 0]
    torch.testing.assert_close(of_target + share * of_others, whole)


def test_an_extremely_confident_teacher_gives_finite_values() -> None:
    confident = torch.tensor([[[400.0, 0, -400, 0]]], requires_grad=True)
    both = decoupled_divergences(confident, -confident.detach(), torch.zeros(1, 1, dtype=torch.int64), 1.0)
    sum(both).sum().backward()
    assert all(x.isfinite().all() for x in both) and confident.grad.isfinite().all()


def test_impossible_values_raise_by_key() -> None:
    for values, key in (((1, 1, -1), r"loss\.dkd\.target"), ((1, 0), r"loss\.dkd\.temperature")):
        settings = DecoupledDistillationSettings(*values)
        with pytest.raises(UserError, match=key):
            settings.check("loss.dkd")
