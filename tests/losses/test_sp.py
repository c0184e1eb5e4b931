"""Similarity-preserving distillation against a formula in numpy."""

import numpy as np

from sleepkd.losses.loss import TapSettings
from sleepkd.losses.sp import SimilarityPreserving
from tests.losses.synthetic import ONE_TAP, by_segment, check_feature_loss, ragged_features


def test_similarities_of_the_sleep_epochs_of_a_segment() -> None:
    student, teacher, present = ragged_features()
    expected = 0.0
    for own, other in zip(by_segment(student, present), by_segment(teacher, present), strict=True):
        if len(own) > 1:
            grams = [z @ z.T / np.linalg.norm(z @ z.T, axis=1, keepdims=True) for z in (own, other)]
            expected += ((grams[0] - grams[1]) ** 2).sum() / len(own) ** 2
    check_feature_loss(SimilarityPreserving(TapSettings(1.0, "a", "b"), ONE_TAP), expected, 3)
