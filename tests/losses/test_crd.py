"""Contrastive distillation against a separate formula in numpy."""

import numpy as np
import torch

from sleepkd.losses.crd import ContrastiveDistillation, ContrastiveDistillationSettings
from tests.losses.synthetic import ONE_TAP, by_segment, check_feature_loss, ragged_features


def unit(z: np.ndarray) -> np.ndarray:
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_info_nce_over_the_sleep_epochs_of_a_segment() -> None:
    torch.manual_seed(0)
    loss = ContrastiveDistillation(ContrastiveDistillationSettings(1.0, "a", "b", 8, 0.5), ONE_TAP).double()
    weights = [x.detach().numpy() for x in loss.parameters()]
    student, teacher, present = ragged_features()
    expected = 0.0
    for own, other in zip(by_segment(student, present), by_segment(teacher, present), strict=True):
        if len(own) > 1:
            s, t = unit(own @ weights[0].T + weights[1]), unit(other @ weights[2].T + weights[3])
            similarity = np.exp(s @ t.T / 0.5)
            positive = np.diag(similarity)
            both_ways = -np.log(positive / similarity.sum(1)) - np.log(positive / similarity.sum(0))
            expected += both_ways.mean() / 2
    check_feature_loss(loss, expected, 3)
