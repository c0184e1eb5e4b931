"""SimilarityPreserving-preserving distillation against a separate formula in numpy."""

import numpy as np

from sleepkd.losses.sp import SimilarityPreserving
from sleepkd.losses.loss import TapSettings
from tests.distillation.terms.made_up import ONE_TAP, by_row, check_feature_term, ragged_features


def test_similarities_of_the_sleep_epochs_of_a_row() -> None:
    student, teacher, present = ragged_features()
    expected = 0.0
    for own, other in zip(by_row(student, present), by_row(teacher, present), strict=True):
        if len(own) > 1:
            grams = [z @ z.T / np.linalg.norm(z @ z.T, axis=1, keepdims=True) for z in (own, other)]
            expected += ((grams[0] - grams[1]) ** 2).sum() / len(own) ** 2
    check_feature_term(SimilarityPreserving(TapSettings(1.0, "a", "b"), ONE_TAP), expected, 3)
