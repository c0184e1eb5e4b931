"""Distillation of transitions: what two successive sleep epochs are together, not each by itself."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import FeatureShapes, Loss, NetworkOutput, TemperatureSettings, at_least_float32


class TransitionDistillation(Loss):
    """T² KL of the probabilities of pairs of successive sleep epochs, a mean over pairs.

    P(a, b) is p(a) p(b), weighed by how much more often than by chance b follows a in the training labels, and
    normalised. Without the weights, which one scored night gives, KL of pairs is KL of each by itself, twice.
    """

    Settings = TemperatureSettings
    needs_sequence = True

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        size = (shapes.classes, shapes.classes)
        self.register_buffer("log_lift", torch.zeros(size, dtype=torch.float64), persistent=False)

    def fit(self, labels_WN: np.ndarray) -> None:
        """Count transitions."""
        self.log_lift.copy_(torch.as_tensor(np.log(transition_lift(labels_WN, self.shapes.classes))))

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Divergences, summed over pairs."""
        own, other = self._pairs(student.logits), self._pairs(targets["logits"].detach())
        divergence = F.kl_div(own, other, reduction="none", log_target=True).sum(-1)
        return self.settings.temperature**2 * (divergence * _successive(batch.present, batch.token_spans)).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """Pairs."""
        present, token_spans = torch.from_numpy(table.present), torch.from_numpy(table.token_spans)
        return float(_successive(present, token_spans).sum()) or 1.0

    def _pairs(self, logits_BNK: Tensor) -> Tensor:
        """Log-probabilities (B, n - 1, K²) of sleep epochs i and i + 1 together."""
        log_p = F.log_softmax(at_least_float32(logits_BNK) / self.settings.temperature, dim=-1)
        together = log_p[:, :-1, :, None] + log_p[:, 1:, None, :] + self.log_lift.to(log_p.dtype)
        return F.log_softmax(together.flatten(2), dim=-1)


def transition_lift(labels_WN: np.ndarray, classes: int) -> np.ndarray:
    """(K, K): how many times as often as by chance b follows a, each pair counted once more than it occurs."""
    before, after = labels_WN[:, :-1].ravel(), labels_WN[:, 1:].ravel()
    scored = (before != UNSCORED) & (after != UNSCORED)
    counts = np.ones((classes, classes))
    np.add.at(counts, (before[scored], after[scored]), 1)
    share = counts / counts.sum()
    return share / (share.sum(axis=1, keepdims=True) * share.sum(axis=0, keepdims=True))


def _successive(present_BN: Tensor, cells_BN2: Tensor) -> Tensor:
    """(B, n - 1) bool: both sleep epochs are there, and one begins where the other ends."""
    both = present_BN[:, :-1] & present_BN[:, 1:]
    if cells_BN2.shape[-1]:
        first, count = cells_BN2.unbind(-1)
        both = both & (first[:, :-1] + count[:, :-1] == first[:, 1:])
    return both
