"""Knowledge distillation of softened probabilities (KD; Hinton et al., arXiv 1503.02531)."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import (
    Loss,
    NetworkOutput,
    TemperatureSettings,
    at_least_float32,
    count_sleep_epochs,
    merged_logits,
)


@dataclass(frozen=True)
class SoftmaxDistillationSettings(TemperatureSettings):
    """Settings of softmax distillation.

    mean: over sleep epochs, or over elements, which also divides by the number of classes, as the released code does by
    PyTorch's reduction="mean".
    """

    mean: Literal["sleep_epoch", "element"] = "sleep_epoch"


class SoftmaxDistillation(Loss):
    """T² KL(teacher at T ‖ student at T), the mean over sleep epochs, scored or not."""

    Settings = SoftmaxDistillationSettings

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """KL divergences, summed over sleep epochs."""
        settings = self.settings
        return distillation_sum(student.logits, targets["logits"], batch.present, settings.temperature, settings.mean)

    def normalizer(self, table: SegmentTable) -> float:
        """Number of sleep epochs."""
        return count_sleep_epochs(table)


def distillation_sum(
    student_BNK: Tensor,
    teacher_BNK: Tensor,
    present_BN: Tensor,
    temperature: float,
    mean: Literal["sleep_epoch", "element"] = "sleep_epoch",
) -> Tensor:
    """T² KL(teacher at T ‖ student at T), summed over the sleep epochs present. mean="element" also divides by K.

    A teacher of fewer classes is compared with the student's probabilities at T, merged to these.
    """
    classes = teacher_BNK.shape[-1]
    student = F.log_softmax(merged_logits(student_BNK, classes, temperature) / temperature, dim=-1)
    teacher = F.log_softmax(at_least_float32(teacher_BNK).detach() / temperature, dim=-1)
    divergence_BN = F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)
    total = temperature**2 * (divergence_BN * present_BN).sum()
    return total / classes if mean == "element" else total
