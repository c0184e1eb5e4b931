"""Correlation distillation (DIST; Huang et al., arXiv 2205.10536): correlations over classes and over sleep epochs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.losses.loss import (
    NetworkOutput,
    TemperatureSettings,
    at_least_float32,
    check_component_weights,
    merged_logits,
)
from sleepkd.losses.relational import RelationalLoss, related


@dataclass(frozen=True)
class CorrelationDistillationSettings(TemperatureSettings):
    """Settings of correlation distillation.

    classes: weight of the correlation over the classes of a sleep epoch (the paper's beta).
    sleep_epochs: weight of the correlation over the sleep epochs of a segment (the paper's gamma).
    """

    temperature: float = 1.0
    classes: float = 1.0
    sleep_epochs: float = 1.0

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        super().check(key)
        check_component_weights(self, ("classes", "sleep_epochs"), key)


class CorrelationDistillation(RelationalLoss):
    """T² (1 - Pearson's correlation) of probabilities, over classes and over sleep epochs; the mean over segments."""

    Settings = CorrelationDistillationSettings

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Weighted distances, summed over segments of at least two sleep epochs."""
        settings, mask_BN1 = self.settings, batch.present[..., None]
        teacher = at_least_float32(targets["logits"]).detach()
        merged = merged_logits(student.logits, teacher.shape[-1], settings.temperature)
        own, other = ((logits / settings.temperature).softmax(dim=-1) for logits in (merged, teacher))
        unmasked = torch.ones_like(own, dtype=torch.bool)
        over_classes_BN = (1 - pearson(own, other, unmasked, dim=2)) * batch.present
        over_classes_B = over_classes_BN.sum(dim=1) / batch.present.sum(dim=1).clamp_min(1)
        over_sleep_epochs_B = (1 - pearson(own, other, mask_BN1.expand_as(own), dim=1)).mean(dim=1)
        distance_B = settings.classes * over_classes_B + settings.sleep_epochs * over_sleep_epochs_B
        return settings.temperature**2 * (distance_B * related(batch)).sum()


def pearson(a: Tensor, b: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Pearson's correlation along a dimension, over the elements where `mask` (bool) is true."""

    def centred(x: Tensor) -> Tensor:
        mean = torch.where(mask, x, 0).sum(dim, keepdim=True) / mask.sum(dim, keepdim=True).clamp_min(1)
        return torch.where(mask, x - mean, 0)

    a, b = centred(a), centred(b)
    return (a * b).sum(dim) / (a.norm(dim=dim) * b.norm(dim=dim) + 1e-8)
