"""Contrastive representation distillation (CRD; Tian et al., arXiv 1910.10699) over the sleep epochs of a segment."""

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
    """Settings of contrastive distillation, with the defaults of the paper.

    width: dimensions of the embedding. temperature: divides the similarities.
    """

    width: int = 128
    temperature: float = 0.07

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        super().check(key)
        check_temperature(self.temperature, key)
        require(self.width >= 1, f"{key}.width", f"must be at least 1, is {self.width}")


class ContrastiveDistillation(RelationalFeatureLoss):
    """InfoNCE that matches the student feature of a sleep epoch to its teacher feature, and the reverse; their mean.

    Negatives are the other sleep epochs of the segment: the same person at the same hour. The paper draws them from a
    memory bank of the whole training set, and uses NCE.
    """

    Settings = ContrastiveDistillationSettings

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        width, teacher_width = settings.widths(shapes)
        self.embed_student = nn.Linear(width, settings.width)
        self.embed_teacher = nn.Linear(teacher_width, settings.width)

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Cross-entropies: the mean over the sleep epochs of a segment, summed over segments of at least two."""
        own, other = self.features(student, targets, batch)
        own, other = F.normalize(self.embed_student(own), dim=-1), F.normalize(self.embed_teacher(other), dim=-1)
        similarity_BNN = own @ other.transpose(1, 2) / self.settings.temperature
        lowest = -torch.finfo(similarity_BNN.dtype).max
        similarity_BNN = similarity_BNN.masked_fill(~batch.present[:, None, :], lowest)
        similarity_BNN = similarity_BNN.masked_fill(~batch.present[:, :, None], lowest)
        positive_BN = similarity_BNN.diagonal(dim1=1, dim2=2)
        loss_BN = 0.5 * (similarity_BNN.logsumexp(dim=2) + similarity_BNN.logsumexp(dim=1)) - positive_BN
        return (masked_mean(loss_BN, batch.present) * related(batch)).sum()
