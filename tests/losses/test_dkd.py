"""DecoupledDistillation distillation against the paper's formula, with probabilities instead of their logarithms."""

import numpy as np
import pytest
import torch

from sleepkd.losses import FeatureShapes
from sleepkd.losses.dkd import DecoupledDistillation, DecoupledDistillationSettings, decoupled_divergences
from sleepkd.errors import UserError
from tests.distillation.terms.made_up import check_logit_term, kl, ragged, softmax


def test_the_target_and_the_others_weighted() -> None:
    student, teacher, labels, present = ragged()
    expected = 0.0
    for row, column in torch.nonzero(present).tolist():
        p_s, p_t = (softmax(x[row, column].numpy(), 3.0) for x in (student, teacher))
        target = int(labels[row, column])
        target = int(p_t.argmax()) if target < 0 else target  # nobody scored
        pairs = [np.array([p[target], 1 - p[target]]) for p in (p_t, p_s)]
        rest = [np.delete(p, target) / (1 - p[target]) for p in (p_t, p_s)]
        expected += 9 * (0.5 * kl(*pairs) + 4 * kl(*rest))
    check_logit_term(DecoupledDistillation(DecoupledDistillationSettings(1.0, 3.0, 0.5, 4.0), FeatureShapes(4, {}, {})), expected, 16)


def test_weighed_by_what_is_not_the_target_it_is_softmax_distillation() -> None:
    """KD = TCKD + (1 - p of the target) NCKD, equation 5 of the paper."""
    student, teacher, labels, _ = ragged()
    target = labels.clamp_min(0)
    of_target, of_others = decoupled_divergences(student, teacher, target, 1.0)
    p_s, p_t = student.softmax(-1), teacher.softmax(-1)
    whole = (p_t * (p_t.log() - p_s.log())).sum(-1)
    share = 1 - p_t.gather(-1, target[..., None])[..., 0]
    torch.testing.assert_close(of_target + share * of_others, whole)


def test_a_teacher_who_is_quite_sure_gives_numbers() -> None:
    sure = torch.tensor([[[400.0, 0, -400, 0]]], requires_grad=True)
    both = decoupled_divergences(sure, -sure.detach(), torch.zeros(1, 1, dtype=torch.int64), 1.0)
    sum(both).sum().backward()
    assert all(x.isfinite().all() for x in both) and sure.grad.isfinite().all()


def test_impossible_values_are_refused_by_key() -> None:
    for settings, word in ((DecoupledDistillationSettings(1, 1, -1), "dkd.target"), (DecoupledDistillationSettings(1, 0), "temperature")):
        with pytest.raises(UserError, match=word):
            settings.check("loss.dkd")
