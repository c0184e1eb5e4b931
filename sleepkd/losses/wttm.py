"""Weighted transformed teacher matching (WTTM; Zheng & Yang, arXiv 2402.11148): a temperature for the teacher only."""

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


class WeightedTransformedTeacher(Loss):
    """U KL(teacher at T ‖ student at 1), the mean over sleep epochs, scored or not.

    U is the sum over classes of the teacher's p^(1/T). It is larger the less confident the teacher is. 1/T is the
    paper's gamma, 0.1 to 0.9 there.
    """

    Settings = TemperatureSettings

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Weighted KL divergences, summed over sleep epochs."""
        powers_BNK = F.log_softmax(at_least_float32(targets["logits"]).detach(), dim=-1) / self.settings.temperature
        log_total = powers_BNK.logsumexp(dim=-1, keepdim=True)
        log_student = F.log_softmax(merged_logits(student.logits, powers_BNK.shape[-1]), dim=-1)
        divergence = F.kl_div(log_student, powers_BNK - log_total, reduction="none", log_target=True).sum(-1)
        return (log_total[..., 0].exp() * divergence * batch.present).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """Number of sleep epochs."""
        return count_sleep_epochs(table)
