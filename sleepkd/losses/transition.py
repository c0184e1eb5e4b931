"""Transition distillation: the joint distribution of the sleep stages of two successive sleep epochs."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.hypnogram import UNSCORED, merged_classes
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import (
    FeatureShapes,
    Loss,
    NetworkOutput,
    TemperatureSettings,
    at_least_float32,
    merged_logits,
)


class TransitionDistillation(Loss):
    """T² KL of the joint probabilities of two successive sleep epochs, the mean over pairs.

    P(a, b) is p(a) p(b) times the lift of the transition from a to b in the training labels, normalised to sum to 1.
    With a lift of 1 everywhere, the KL of a pair is the sum of the KL of its two sleep epochs.
    """

    Settings = TemperatureSettings
    needs_sequence = True
    log_lift: Tensor

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        self.classes = shapes.teacher_classes or shapes.classes
        size = (self.classes, self.classes)
        self.register_buffer("log_lift", torch.zeros(size, dtype=torch.float64), persistent=False)

    def fit(self, labels_SN: np.ndarray) -> None:
        """Compute the lift of every transition between the teacher's classes."""
        merged = np.array([*merged_classes(self.shapes.classes, self.classes), UNSCORED])
        self.log_lift.copy_(torch.as_tensor(np.log(transition_lift(merged[labels_SN], self.classes))))

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """KL divergences, summed over pairs."""
        own = self._pairs(merged_logits(student.logits, self.classes, self.settings.temperature))
        other = self._pairs(targets["logits"].detach())
        divergence = F.kl_div(own, other, reduction="none", log_target=True).sum(-1)
        return self.settings.temperature**2 * (divergence * _successive(batch.present, batch.token_spans)).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """Number of pairs."""
        present, token_spans = torch.from_numpy(table.present), torch.from_numpy(table.token_spans)
        return float(_successive(present, token_spans).sum()) or 1.0

    def _pairs(self, logits_BNK: Tensor) -> Tensor:
        """Log-probabilities (B, n - 1, K²) of sleep epochs i and i + 1 together."""
        log_p = F.log_softmax(at_least_float32(logits_BNK) / self.settings.temperature, dim=-1)
        together = log_p[:, :-1, :, None] + log_p[:, 1:, None, :] + self.log_lift.to(log_p.dtype)
        return F.log_softmax(together.flatten(2), dim=-1)


def transition_lift(labels_SN: np.ndarray, classes: int) -> np.ndarray:
    """Lift (K, K) of each transition: its frequency over its frequency by chance, with one count added to each."""
    before, after = labels_SN[:, :-1].ravel(), labels_SN[:, 1:].ravel()
    scored = (before != UNSCORED) & (after != UNSCORED)
    counts = np.ones((classes, classes))
    np.add.at(counts, (before[scored], after[scored]), 1)
    share = counts / counts.sum()
    return share / (share.sum(axis=1, keepdims=True) * share.sum(axis=0, keepdims=True))


def _successive(present_BN: Tensor, token_spans_BN2: Tensor) -> Tensor:
    """Whether sleep epochs i and i + 1 are present and adjacent, bool (B, n - 1)."""
    both = present_BN[:, :-1] & present_BN[:, 1:]
    if token_spans_BN2.shape[-1]:
        first, count = token_spans_BN2.unbind(-1)
        both = both & (first[:, :-1] + count[:, :-1] == first[:, 1:])
    return both
