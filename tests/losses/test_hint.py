"""Hint loss against a float64 formula in numpy."""

import numpy as np
import pytest
import torch

from sleepkd.errors import UserError
from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.hint import HintLoss, standardised
from sleepkd.losses.loss import TapSettings
from tests.losses.synthetic import SHARES, assert_shares_add_up, batch, table

LOGITS = torch.zeros(1, 1, 3)


def hint(length: int = 6, teacher_length: int = 6) -> HintLoss:
    torch.manual_seed(0)
    shapes = FeatureShapes(3, {"a": (3, length)}, {"b": (5, teacher_length)})
    return HintLoss(TapSettings(1.0, "a", "b"), shapes).double()


def test_mean_squared_error_of_projected_and_standardised_features() -> None:
    loss = hint()
    student, teacher = torch.randn(4, 3, 6, dtype=torch.float64), 7 + 3 * torch.randn(4, 5, 6, dtype=torch.float64)
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[1, 4:] = mask[3] = False
    targets = loss.targets(NetworkOutput(LOGITS, {"b": teacher}))
    masked = batch(torch.zeros(4, 1, dtype=torch.int64), mask=mask)
    found = loss.sum(NetworkOutput(LOGITS, {"a": student}), targets, masked)
    weight, bias = loss.project.weight.detach().numpy()[:, :, 0], loss.project.bias.detach().numpy()
    t = teacher.numpy()
    t = (t - t.mean(1, keepdims=True)) / np.sqrt(t.var(1, keepdims=True) + 1e-6)
    expected = 0.0
    for i, positions in enumerate((6, 4, 6, 0)):
        if positions:
            projected = weight @ student[i].numpy() + bias[:, None]
            expected += ((projected - t[i]) ** 2)[:, :positions].mean()
    assert found.item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(targets["feature"], torch.from_numpy(t))


def test_the_scale_of_teacher_features_does_not_matter() -> None:
    teacher = torch.randn(2, 5, 6, dtype=torch.float64)
    torch.testing.assert_close(standardised(teacher), standardised(100 * teacher - 3), rtol=1e-4, atol=1e-4)


def test_shares_of_a_batch_add_up_and_the_normalizer_counts_sequences() -> None:
    loss, student, teacher = hint(), *(torch.randn(7, c, 6, dtype=torch.float64) for c in (3, 5))
    sums = [
        loss.sum(
            NetworkOutput(LOGITS, {"a": student[share]}),
            loss.targets(NetworkOutput(LOGITS, {"b": teacher[share]})),
            batch(torch.zeros(len(student[share]), 1, dtype=torch.int64)),
        )
        for share in (slice(None), *SHARES)
    ]
    assert_shares_add_up(sums[0], sums[1:])
    assert loss.normalizer(table([[0, 1], [1, 2], [0, -1]])) == 6
    assert loss.normalizer(table([[0, 1], [1, 2], [0, -1]], tokens=6)) == 3


def test_only_student_and_projector_get_gradients() -> None:
    loss = hint()
    student, teacher = (torch.randn(2, c, 6, dtype=torch.float64, requires_grad=True) for c in (3, 5))
    targets = loss.targets(NetworkOutput(LOGITS, {"b": teacher}))
    loss.sum(NetworkOutput(LOGITS, {"a": student}), targets, batch(torch.zeros(2, 1, dtype=torch.int64))).backward()
    assert student.grad.any() and loss.project.weight.grad.any() and teacher.grad is None


def test_features_of_different_lengths_raise_by_key() -> None:
    with pytest.raises(UserError, match=r"loss.hint.tap: a has 6 positions, the teacher's b has 3"):
        hint(teacher_length=3)
