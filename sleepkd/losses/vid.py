"""Variational information distillation (VID; Ahn et al., arXiv 1904.05835): predicts the teacher's features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sleepkd.config import require
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import FeatureShapes, Loss, NetworkOutput, TapSettings, at_least_float32, count_sequences

MIN_VARIANCE = 1e-5
"""Added to the learnt variances, as in the authors' code."""


@dataclass(frozen=True)
class VariationalInformationSettings(TapSettings):
    """Settings of variational information distillation. variance: initial value, as in the authors' code."""

    variance: float = 5.0

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        super().check(key)
        possible = MIN_VARIANCE < self.variance < float("inf")
        require(possible, f"{key}.variance", f"must be above {MIN_VARIANCE}, is {self.variance}")


class VariationalInformation(Loss):
    """½ ((predicted - teacher's)² / s² + log s²), the mean over channels, positions and sequences. It may be negative.

    Three 1x1 convolutions predict the teacher's feature from the student's, as in the authors' code. The variance s² of
    each channel is learnt.
    """

    Settings = VariationalInformationSettings
    needs_logits = False

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        settings.check_lengths(shapes, "loss.vid")
        width, teacher_width = settings.widths(shapes)
        self.predict = nn.Sequential(
            nn.Conv1d(width, teacher_width, 1, bias=False),
            nn.ReLU(),
            nn.Conv1d(teacher_width, teacher_width, 1, bias=False),
            nn.ReLU(),
            nn.Conv1d(teacher_width, teacher_width, 1, bias=False),
        )
        raw = float(np.log(np.expm1(settings.variance - MIN_VARIANCE)))  # inverse softplus
        self.raw_variance = nn.Parameter(torch.full((teacher_width,), raw))

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's features (sequences, C, L)."""
        return {"feature": teacher.features[self.settings.teacher_modules[0]]}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Negative log-likelihoods: the mean over channels and unmasked positions, summed over sequences."""
        target_BCL = at_least_float32(targets["feature"]).detach()
        predicted_BCL = self.predict(at_least_float32(student.features[self.settings.tap]))
        variance_C1 = (F.softplus(self.raw_variance) + MIN_VARIANCE)[:, None]
        distance_BL = 0.5 * ((predicted_BCL - target_BCL).square() / variance_C1 + variance_C1.log()).mean(dim=1)
        mask_BL = batch.positions(target_BCL.shape[-1])
        return ((distance_BL * mask_BL).sum(dim=1) / mask_BL.sum(dim=1).clamp_min(1)).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """Number of sequences: sleep epochs in view `epochs`, segments in view `night`."""
        return count_sequences(table)
