"""Correlation distillation against numpy's correlations."""

import numpy as np

from sleepkd.losses import FeatureShapes
from sleepkd.losses.dist import CorrelationDistillation, CorrelationDistillationSettings
from tests.losses.synthetic import check_logit_loss, ragged, softmax


def test_correlations_over_classes_and_over_sleep_epochs() -> None:
    student, teacher, _, present = ragged()
    expected = 0.0
    for i in (0, 1, 4):  # segments of two or more sleep epochs
        p_s, p_t = (softmax(x[i][present[i]].numpy(), 2.0) for x in (student, teacher))
        over_classes = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p_s, p_t, strict=True)])
        over_sleep_epochs = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p_s.T, p_t.T, strict=True)])
        expected += 4 * (0.5 * over_classes + 2 * over_sleep_epochs)
    settings = CorrelationDistillationSettings(1.0, 2.0, 0.5, 2.0)
    # within 1e-6: the authors add 1e-8 to the denominator of a correlation
    check_logit_loss(CorrelationDistillation(settings, FeatureShapes(4, {}, {})), expected, 3, 1e-6)
