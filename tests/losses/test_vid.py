"""Variational information distillation against a separate formula in numpy."""

import numpy as np
import pytest
import torch

from sleepkd.losses import NetworkOutput, FeatureShapes
from sleepkd.losses.vid import VariationalInformation, VariationalInformationSettings
from sleepkd.errors import UserError
from tests.distillation.terms.made_up import NO_LOGITS, SHARES, assert_shares_add_up, batch, table


def information(length: int = 6) -> VariationalInformation:
    torch.manual_seed(0)
    return VariationalInformation(VariationalInformationSettings(1.0, "a", "b", 2.0), FeatureShapes(4, {"a": (3, 6)}, {"b": (5, length)})).double()


def test_the_negative_log_likelihood_of_the_teacher_s_features() -> None:
    term = information()
    with torch.no_grad():
        term.raw_variance += torch.arange(5) / 10
    student, teacher = torch.randn(3, 3, 6, dtype=torch.float64), torch.randn(3, 5, 6, dtype=torch.float64)
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[1, 2:] = mask[2] = False
    one, _, two, _, three = (x.weight.detach().numpy()[:, :, 0] if hasattr(x, "weight") else None for x in term.predict)
    raw = np.log(np.exp(2.0 - 1e-5) - 1) + np.arange(5) / 10
    variance, expected = np.log1p(np.exp(raw)) + 1e-5, 0.0
    for row, held in ((0, 6), (1, 2)):
        x = student[row].numpy()
        predicted = three @ np.maximum(two @ np.maximum(one @ x, 0), 0)
        squares = (predicted - teacher[row].numpy()) ** 2
        expected += 0.5 * (squares / variance[:, None] + np.log(variance)[:, None])[:, :held].mean()
    kept = term.targets(NetworkOutput(NO_LOGITS, {"b": teacher}))
    found = term.sum(NetworkOutput(NO_LOGITS, {"a": student}), kept, batch(torch.zeros(3, 1, dtype=torch.int64), mask=mask))
    assert found.item() == pytest.approx(expected, rel=1e-6)  # the variance is kept in float32


def test_shares_add_up_and_all_that_it_owns_learns() -> None:
    term, student, teacher = information(), *(torch.randn(7, c, 6, dtype=torch.float64) for c in (3, 5))
    student.requires_grad_()

    def total(share: slice) -> torch.Tensor:
        kept = term.targets(NetworkOutput(NO_LOGITS, {"b": teacher[share]}))
        rows = batch(torch.zeros(len(teacher[share]), 1, dtype=torch.int64))
        return term.sum(NetworkOutput(NO_LOGITS, {"a": student[share]}), kept, rows)

    assert_shares_add_up(total(slice(None)), [total(share) for share in SHARES])
    total(slice(None)).backward()
    assert student.grad.any() and all(parameter.grad.any() for parameter in term.parameters())
    assert term.normalizer(table([[0, 1], [1, 2], [0, -1]])) == 6


def test_features_of_other_lengths_and_no_variance_are_refused() -> None:
    with pytest.raises(UserError, match=r"loss.vid.tap: a has 6 positions, the teacher's b 3"):
        information(length=3)
    with pytest.raises(UserError, match=r"loss.vid.variance: must be above"):
        VariationalInformationSettings(1.0, "a", "b", 0.0).check("loss.vid")
