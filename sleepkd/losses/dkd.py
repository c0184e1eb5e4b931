"""Decoupled knowledge distillation (DKD; Zhao et al., arXiv 2203.08679): target and non-target classes apart."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.hypnogram import UNSCORED, merged_classes
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import (
    Loss,
    NetworkOutput,
    TemperatureSettings,
    at_least_float32,
    check_component_weights,
    count_sleep_epochs,
    merged_logits,
)


@dataclass(frozen=True)
class DecoupledDistillationSettings(TemperatureSettings):
    """Settings of decoupled distillation.

    target: weight of the target class's divergence (the paper's alpha). others: weight of the divergence of the other
    classes (the paper's beta).
    """

    temperature: float = 4.0
    target: float = 1.0
    others: float = 8.0

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        super().check(key)
        check_component_weights(self, ("target", "others"), key)


class DecoupledDistillation(Loss):
    """T² times the weighted sum of both divergences, the mean over sleep epochs, scored or not.

    The target class is the label. In an unscored sleep epoch it is the teacher's most likely class, which is our own
    choice: the paper has labels for all samples.
    """

    Settings = DecoupledDistillationSettings

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Weighted divergences, summed over sleep epochs."""
        settings, teacher = self.settings, at_least_float32(targets["logits"]).detach()
        own = merged_logits(student.logits, teacher.shape[-1], settings.temperature)
        merged = merged_classes(student.logits.shape[-1], teacher.shape[-1])
        labels_BN = torch.tensor(merged, device=own.device)[batch.labels.clamp_min(0)]
        target_BN = torch.where(batch.labels == UNSCORED, teacher.argmax(dim=-1), labels_BN)
        target, others = decoupled_divergences(own, teacher, target_BN, settings.temperature)
        return ((settings.target * target + settings.others * others) * batch.present).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """Number of sleep epochs."""
        return count_sleep_epochs(table)


def decoupled_divergences(
    student_BNK: Tensor, teacher_BNK: Tensor, target_BN: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """T² KL of (target, not target), and T² KL over the other classes, each (B, n). Computed in the log domain."""
    is_target = F.one_hot(target_BN, student_BNK.shape[-1]).bool()

    def parts(logits: Tensor) -> tuple[Tensor, Tensor]:
        log_p = F.log_softmax(logits / temperature, dim=-1)
        others = log_p.masked_fill(is_target, -torch.inf)
        rest = others.logsumexp(dim=-1)
        pair = torch.stack([log_p.gather(-1, target_BN[..., None])[..., 0], rest], dim=-1)
        return pair, (log_p - rest[..., None]).masked_fill(is_target, 0)  # the target is left out below

    (pair_s, other_s), (pair_t, other_t) = parts(student_BNK), parts(teacher_BNK)
    of_target = (pair_t.exp() * (pair_t - pair_s)).sum(-1)
    of_others = (other_t.exp().masked_fill(is_target, 0) * (other_t - other_s)).sum(-1)
    return temperature**2 * of_target, temperature**2 * of_others
