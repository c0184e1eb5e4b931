"""Variational information distillation against a formula in numpy."""

import numpy as np
import pytest
import torch

from sleepkd.errors import UserError
from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.vid import VariationalInformation, VariationalInformationSettings
from tests.losses.synthetic import NO_LOGITS, SHARES, assert_shares_add_up, batch, table


def information(length: int = 6) -> VariationalInformation:
    torch.manual_seed(0)
    settings, shapes = (
        VariationalInformationSettings(1.0, "a", "b", 2.0),
        FeatureShapes(4, {"a": (3, 6)}, {"b": (5, length)}),
    )
    return VariationalInformation(settings, shapes).double()


def test_negative_log_likelihood_of_teacher_features() -> None:
    loss = information()
    with torch.no_grad():
        loss.raw_variance += torch.arange(5) / 10
    student, teacher = torch.randn(3, 3, 6, dtype=torch.float64), torch.randn(3, 5, 6, dtype=torch.float64)
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[1, 2:] = mask[2] = False
    one, _, two, _, three = (x.weight.detach().numpy()[:, :, 0] if hasattr(x, "weight") else None for x in loss.predict)
    raw = np.log(np.exp(2.0 - 1e-5) - 1) + np.arange(5) / 10
    variance, expected = np.log1p(np.exp(raw)) + 1e-5, 0.0
    for i, unmasked in ((0, 6), (1, 2)):
        x = student[i].numpy()
        predicted = three @ np.maximum(two @ np.maximum(one @ x, 0), 0)
        squares = (predicted - teacher[i].numpy()) ** 2
        expected += 0.5 * (squares / variance[:, None] + np.log(variance)[:, None])[:, :unmasked].mean()
    targets = loss.targets(NetworkOutput(NO_LOGITS, {"b": teacher}))
    masked = batch(torch.zeros(3, 1, dtype=torch.int64), mask=mask)
    found = loss.sum(NetworkOutput(NO_LOGITS, {"a": student}), targets, masked)
    assert found.item() == pytest.approx(expected, rel=1e-6)  # the initial variance is float32


def test_shares_add_up_and_all_parameters_get_gradients() -> None:
    loss, student, teacher = information(), *(torch.randn(7, c, 6, dtype=torch.float64) for c in (3, 5))
    student.requires_grad_()

    def total(share: slice) -> torch.Tensor:
        targets = loss.targets(NetworkOutput(NO_LOGITS, {"b": teacher[share]}))
        part = batch(torch.zeros(len(teacher[share]), 1, dtype=torch.int64))
        return loss.sum(NetworkOutput(NO_LOGITS, {"a": student[share]}), targets, part)

    assert_shares_add_up(total(slice(None)), [total(share) for share in SHARES])
    total(slice(None)).backward()
    assert student.grad.any() and all(parameter.grad.any() for parameter in loss.parameters())
    assert loss.normalizer(table([[0, 1], [1, 2], [0, -1]])) == 6


def test_features_of_different_lengths_and_zero_variance_raise_by_key() -> None:
    with pytest.raises(UserError, match=r"loss.vid.tap: a has 6 positions, the teacher's b has 3"):
        information(length=3)
    with pytest.raises(UserError, match=r"loss.vid.variance: must be above"):
        VariationalInformationSettings(1.0, "a", "b", 0.0).check("loss.vid")
