"""Contrastive distillation against a separate formula in numpy."""

import numpy as np
import torch

from sleepkd.losses.crd import ContrastiveDistillation, ContrastiveDistillationSettings
from tests.distillation.terms.made_up import ONE_TAP, by_row, check_feature_term, ragged_features


def unit(z: np.ndarray) -> np.ndarray:
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_a_sleep_epoch_s_own_among_those_of_its_row() -> None:
    torch.manual_seed(0)
    term = ContrastiveDistillation(ContrastiveDistillationSettings(1.0, "a", "b", 8, 0.5), ONE_TAP).double()
    weights = [x.detach().numpy() for x in term.parameters()]
    student, teacher, present = ragged_features()
    expected = 0.0
    for own, other in zip(by_row(student, present), by_row(teacher, present), strict=True):
        if len(own) > 1:
            s, t = unit(own @ weights[0].T + weights[1]), unit(other @ weights[2].T + weights[3])
            likely = np.exp(s @ t.T / 0.5)
            own_ones = np.diag(likely)
            lost = -np.log(own_ones / likely.sum(1)) - np.log(own_ones / likely.sum(0))
            expected += lost.mean() / 2
    check_feature_term(term, expected, 3)
