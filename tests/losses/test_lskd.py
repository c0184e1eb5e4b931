"""Logit standardisation against a separate formula in numpy."""

import numpy as np
import torch

from sleepkd.losses import NetworkOutput, FeatureShapes
from sleepkd.losses.lskd import StandardisedLogitDistillation
from sleepkd.losses.loss import TemperatureSettings
from tests.distillation.terms.made_up import batch, check_logit_term, kl, ragged, softmax

TERM = StandardisedLogitDistillation(TemperatureSettings(1.0, 3.0), FeatureShapes(4, {}, {}))


def standard(z: np.ndarray) -> np.ndarray:
    return (z - z.mean()) / (z.std(ddof=1) + 1e-7)


def test_the_divergence_of_standardised_logits() -> None:
    student, teacher, _, present = ragged()
    expected = sum(
        9 * kl(softmax(standard(t), 3.0), softmax(standard(s), 3.0))
        for s, t in zip(student[present].numpy(), teacher[present].numpy(), strict=True)
    )
    check_logit_term(TERM, expected, 16)


def test_shift_and_scale_of_either_do_not_count() -> None:
    student, _, labels, present = ragged()
    kept = TERM.targets(NetworkOutput(7 * student - 3, {}))
    total = TERM.double().sum(NetworkOutput(student, {}), kept, batch(labels, present))
    torch.testing.assert_close(total.item(), 0.0, atol=1e-10, rtol=0)
