"""Logit standardisation against a formula in numpy."""

import numpy as np
import torch

from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.loss import TemperatureSettings
from sleepkd.losses.lskd import StandardisedLogitDistillation
from tests.losses.synthetic import batch, check_logit_loss, kl, ragged, softmax

LOSS = StandardisedLogitDistillation(TemperatureSettings(1.0, 3.0), FeatureShapes(4, {}, {}))


def standard(z: np.ndarray) -> np.ndarray:
    return (z - z.mean()) / (z.std(ddof=1) + 1e-7)


def test_divergence_of_standardised_logits() -> None:
    student, teacher, _, present = ragged()
    expected = sum(
        9 * kl(softmax(standard(t), 3.0), softmax(standard(s), 3.0))
        for s, t in zip(student[present].numpy(), teacher[present].numpy(), strict=True)
    )
    check_logit_loss(LOSS, expected, 16)


def test_shift_and_scale_of_logits_do_not_matter() -> None:
    student, _, labels, present = ragged()
    targets = LOSS.targets(NetworkOutput(7 * student - 3, {}))
    total = LOSS.double().sum(NetworkOutput(student, {}), targets, batch(labels, present))
    torch.testing.assert_close(total.item(), 0.0, atol=1e-10, rtol=0)
