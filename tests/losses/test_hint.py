"""Hints against a separate float64 formula in numpy."""

import numpy as np
import pytest
import torch

from sleepkd.losses import NetworkOutput, FeatureShapes
from sleepkd.losses.hint import HintLoss, standardised
from sleepkd.losses.loss import TapSettings
from sleepkd.errors import UserError
from tests.distillation.terms.made_up import SHARES, assert_shares_add_up, batch, table

LOGITS = torch.zeros(1, 1, 3)


def hint(wide: int = 3, deep: int = 5, length: int = 6, teacher_tap: int | None = None) -> HintLoss:
    torch.manual_seed(0)
    shapes = FeatureShapes(3, {"a": (wide, length)}, {"b": (deep, teacher_tap or length)})
    return HintLoss(TapSettings(1.0, "a", "b"), shapes).double()


def test_the_projected_features_are_to_be_the_teacher_s_standardised() -> None:
    term = hint()
    student, teacher = torch.randn(4, 3, 6, dtype=torch.float64), 7 + 3 * torch.randn(4, 5, 6, dtype=torch.float64)
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[1, 4:] = mask[3] = False
    kept = term.targets(NetworkOutput(LOGITS, {"b": teacher}))
    found = term.sum(NetworkOutput(LOGITS, {"a": student}), kept, batch(torch.zeros(4, 1, dtype=torch.int64), mask=mask))
    weight, bias = term.project.weight.detach().numpy()[:, :, 0], term.project.bias.detach().numpy()
    t = teacher.numpy()
    t = (t - t.mean(1, keepdims=True)) / np.sqrt(t.var(1, keepdims=True) + 1e-6)
    expected = 0.0
    for row, positions in enumerate((6, 4, 6, 0)):
        if positions:
            projected = weight @ student[row].numpy() + bias[:, None]
            expected += ((projected - t[row]) ** 2)[:, :positions].mean()
    assert found.item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(kept["feature"], torch.from_numpy(t))


def test_the_teacher_s_scale_does_not_count() -> None:
    teacher = torch.randn(2, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(standardised(teacher), standardised(100 * teacher - 3), rtol=1e-4, atol=1e-4)


def test_shares_of_a_batch_add_up_and_are_divided_by_stretches() -> None:
    term, student, teacher = hint(), *(torch.randn(7, c, 6, dtype=torch.float64) for c in (3, 5))
    sums = [
        term.sum(
            NetworkOutput(LOGITS, {"a": student[share]}),
            term.targets(NetworkOutput(LOGITS, {"b": teacher[share]})),
            batch(torch.zeros(len(student[share]), 1, dtype=torch.int64)),
        )
        for share in (slice(None), *SHARES)
    ]
    assert_shares_add_up(sums[0], sums[1:])
    assert term.normalizer(table([[0, 1], [1, 2], [0, -1]])) == 6
    assert term.normalizer(table([[0, 1], [1, 2], [0, -1]], token_spans=6)) == 3


def test_only_the_student_and_the_projector_get_gradients() -> None:
    term = hint()
    student, teacher = (torch.randn(2, c, 6, dtype=torch.float64, requires_grad=True) for c in (3, 5))
    kept = term.targets(NetworkOutput(LOGITS, {"b": teacher}))
    term.sum(NetworkOutput(LOGITS, {"a": student}), kept, batch(torch.zeros(2, 1, dtype=torch.int64))).backward()
    assert student.grad.any() and term.project.weight.grad.any() and teacher.grad is None


def test_features_of_other_lengths_are_refused() -> None:
    with pytest.raises(UserError, match=r"loss.hint.tap: a has 6 positions, the teacher's b 3"):
        hint(teacher_tap=3)
