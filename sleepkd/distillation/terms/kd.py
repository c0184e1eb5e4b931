"""Softmax distillation (SD; Hinton et al., arXiv 1503.02531)."""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.views import Places
from sleepkd.data.windows import Batch
from sleepkd.distillation.terms.term import Output, TemperedSettings, Term, precise, sleep_epochs


@dataclass(frozen=True)
class SoftmaxDistillationSettings(TemperedSettings):
    """mean "element" divides by the number of classes too, as PyTorch's reduction='mean' and so the release does."""

    mean: Literal["sleep_epoch", "element"] = "sleep_epoch"


class SoftmaxDistillation(Term):
    """T² KL(teacher at T ‖ student at T), a mean over sleep epochs, scored or not."""

    Settings = SoftmaxDistillationSettings

    def keep(self, teacher: Output) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: Output, taught: dict[str, Tensor], batch: Batch) -> Tensor:
        """Divergences, summed over sleep epochs."""
        settings = self.settings
        return distillation_sum(student.logits, taught["logits"], batch.present, settings.temperature, settings.mean)

    def count(self, places: Places) -> float:
        """Sleep epochs."""
        return sleep_epochs(places)


def distillation_sum(
    student_BNK: Tensor,
    teacher_BNK: Tensor,
    present_BN: Tensor,
    temperature: float,
    mean: Literal["sleep_epoch", "element"] = "sleep_epoch",
) -> Tensor:
    """T^2 * KL(teacher_T || student_T), summed over sleep epochs present; mean="element" divides it by K too."""
    student = F.log_softmax(precise(student_BNK) / temperature, dim=-1)
    teacher = F.log_softmax(precise(teacher_BNK).detach() / temperature, dim=-1)
    divergence_BN = F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)
    total = temperature**2 * (divergence_BN * present_BN).sum()
    return total / student_BNK.shape[-1] if mean == "element" else total
