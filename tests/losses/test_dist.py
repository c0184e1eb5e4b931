"""Distillation by correlation against numpy's correlations."""

import numpy as np

from sleepkd.losses import FeatureShapes
from sleepkd.losses.dist import CorrelationDistillation, CorrelationDistillationSettings
from tests.distillation.terms.made_up import check_logit_term, ragged, softmax


def test_correlations_within_a_sleep_epoch_and_along_a_row() -> None:
    student, teacher, _, present = ragged()
    expected = 0.0
    for row in (0, 1, 4):  # those that hold two or more
        p_s, p_t = (softmax(x[row][present[row]].numpy(), 2.0) for x in (student, teacher))
        within = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p_s, p_t, strict=True)])
        along = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p_s.T, p_t.T, strict=True)])
        expected += 4 * (0.5 * within + 2 * along)
    # The authors add 1e-8 to what a correlation is divided by: the sum differs by as much.
    check_logit_term(CorrelationDistillation(CorrelationDistillationSettings(1.0, 2.0, 0.5, 2.0), FeatureShapes(4, {}, {})), expected, 3, 1e-6)
