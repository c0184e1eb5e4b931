"""Distillation by correlation (DIST; Huang et al., arXiv 2205.10536): rankings of classes, and of sleep epochs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.losses.loss import NetworkOutput, TemperatureSettings, at_least_float32, check_component_weights
from sleepkd.losses.relational import RelationalLoss, related


@dataclass(frozen=True)
class CorrelationDistillationSettings(TemperatureSettings):
    """classes: weight of correlations within a sleep epoch (beta); sleep_epochs: along a row (gamma)."""

    temperature: float = 1.0
    classes: float = 1.0
    sleep_epochs: float = 1.0

    def check(self, key: str) -> None:
        """Refuse impossible values by key."""
        super().check(key)
        check_component_weights(self, ("classes", "sleep_epochs"), key)


class CorrelationDistillation(RelationalLoss):
    """T² times one minus Pearson's correlation of probabilities, of both kinds; a mean over rows."""

    Settings = CorrelationDistillationSettings

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Weighted distances, summed over rows of at least two sleep epochs."""
        settings, there_BN1 = self.settings, batch.present[..., None]
        own, other = (
            (at_least_float32(logits) / settings.temperature).softmax(dim=-1)
            for logits in (student.logits, targets["logits"].detach())
        )
        everything = torch.ones_like(own, dtype=torch.bool)
        of_classes_BN = (1 - pearson(own, other, everything, dim=2)) * batch.present
        of_classes = of_classes_BN.sum(dim=1) / batch.present.sum(dim=1).clamp_min(1)
        along = (1 - pearson(own, other, there_BN1.expand_as(own), dim=1)).mean(dim=1)
        distance_B = settings.classes * of_classes + settings.sleep_epochs * along
        return settings.temperature**2 * (distance_B * related(batch)).sum()


def pearson(a: Tensor, b: Tensor, there: Tensor, dim: int) -> Tensor:
    """Pearson's correlation along a dimension, over what is there."""

    def centred(x: Tensor) -> Tensor:
        mean = torch.where(there, x, 0).sum(dim, keepdim=True) / there.sum(dim, keepdim=True).clamp_min(1)
        return torch.where(there, x - mean, 0)

    a, b = centred(a), centred(b)
    return (a * b).sum(dim) / (a.norm(dim=dim) * b.norm(dim=dim) + 1e-8)
