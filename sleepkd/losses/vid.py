"""Variational information distillation (VID; Ahn et al., arXiv 1904.05835): the teacher's features, predicted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sleepkd.config import require
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import FeatureShapes, Loss, NetworkOutput, TapSettings, at_least_float32

LEAST_VARIANCE = 1e-5


@dataclass(frozen=True)
class VariationalInformationSettings(TapSettings):
    """variance: of every channel at first, as in the authors' code."""

    variance: float = 5.0

    def check(self, key: str) -> None:
        """Refuse impossible values by key."""
        super().check(key)
        holds = LEAST_VARIANCE < self.variance < float("inf")
        require(holds, f"{key}.variance", f"must be above {LEAST_VARIANCE}, is {self.variance}")


class VariationalInformation(Loss):
    """½ ((predicted - teacher's)² / s² + log s²), s² learnt by channel; a mean over channels, positions and sequences.

    The prediction is that of three 1 x 1 convolutions, as in the authors' code. The term may be negative.
    """

    Settings = VariationalInformationSettings
    needs_logits = False

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        settings.check_lengths(shapes, "loss.vid")
        narrow, wide = settings.widths(shapes)
        self.predict = nn.Sequential(
            nn.Conv1d(narrow, wide, 1, bias=False),
            nn.ReLU(),
            nn.Conv1d(wide, wide, 1, bias=False),
            nn.ReLU(),
            nn.Conv1d(wide, wide, 1, bias=False),
        )
        raw = float(np.log(np.expm1(settings.variance - LEAST_VARIANCE)))  # softplus of it is the variance
        self.raw_variance = nn.Parameter(torch.full((wide,), raw))

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's features (sequences, C, L)."""
        return {"feature": teacher.features[self.settings.teacher_modules[0]]}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Means over channels and the positions that are there, summed over sequences."""
        target_BCL = at_least_float32(targets["feature"]).detach()
        predicted_BCL = self.predict(at_least_float32(student.features[self.settings.tap]))
        variance_C1 = (F.softplus(self.raw_variance) + LEAST_VARIANCE)[:, None]
        distance = 0.5 * ((predicted_BCL - target_BCL).square() / variance_C1 + variance_C1.log()).mean(dim=1)
        there_BL = batch.positions(target_BCL.shape[-1])
        return ((distance * there_BL).sum(dim=1) / there_BL.sum(dim=1).clamp_min(1)).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """Cuts of view `epochs`, rows of view `night`."""
        return float(table.sequences)
