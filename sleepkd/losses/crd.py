"""Contrastive distillation (CRD; Tian et al., arXiv 1910.10699): a sleep epoch's two features belong together."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sleepkd.config import require
from sleepkd.data.segments import Batch
from sleepkd.losses.loss import FeatureShapes, NetworkOutput, TapSettings, check_temperature
from sleepkd.losses.relational import RelationalFeatureLoss, masked_mean, related


@dataclass(frozen=True)
class ContrastiveDistillationSettings(TapSettings):
    """width: of the embedding; temperature: of the similarities. Both as in the paper."""

    width: int = 128
    temperature: float = 0.07

    def check(self, key: str) -> None:
        """Refuse impossible values by key."""
        super().check(key)
        check_temperature(self.temperature, key)
        require(self.width >= 1, f"{key}.width", f"must be at least 1, is {self.width}")


class ContrastiveDistillation(RelationalFeatureLoss):
    """InfoNCE: of a sleep epoch's student feature, which teacher's is its own, and the other way; a mean of both.

    The others are the sleep epochs of the same row. The paper draws them from a memory of the whole training set and
    uses NCE; within a row, they are of the same heart and the same hour.
    """

    Settings = ContrastiveDistillationSettings

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        narrow, wide = settings.widths(shapes)
        self.embed_student = nn.Linear(narrow, settings.width)
        self.embed_teacher = nn.Linear(wide, settings.width)

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Cross-entropies, a mean over the sleep epochs of a row, summed over rows of at least two."""
        own, other = self.features(student, targets, batch)
        own, other = F.normalize(self.embed_student(own), dim=-1), F.normalize(self.embed_teacher(other), dim=-1)
        alike_BNN = own @ other.transpose(1, 2) / self.settings.temperature
        lost = -torch.finfo(alike_BNN.dtype).max
        alike_BNN = alike_BNN.masked_fill(~batch.present[:, None, :], lost)
        alike_BNN = alike_BNN.masked_fill(~batch.present[:, :, None], lost)
        right = alike_BNN.diagonal(dim1=1, dim2=2)
        wrong_BN = 0.5 * (alike_BNN.logsumexp(dim=2) + alike_BNN.logsumexp(dim=1)) - right
        return (masked_mean(wrong_BN, batch.present) * related(batch)).sum()
