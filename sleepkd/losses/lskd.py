"""Logit standardisation (LSKD; Sun et al., arXiv 2403.01427): distillation that ignores shift and scale of logits."""

from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.kd import distillation_sum
from sleepkd.losses.loss import (
    Loss,
    NetworkOutput,
    TemperatureSettings,
    at_least_float32,
    count_sleep_epochs,
    merged_logits,
)


class StandardisedLogitDistillation(Loss):
    """T² KL(teacher ‖ student) of logits standardised over the classes, the mean over sleep epochs, scored or not.

    The paper uses a weight of 9, a weight of 0.1 for cross-entropy, and T = 2. For a teacher of fewer classes, the
    student's probabilities are merged before they are standardised.
    """

    Settings = TemperatureSettings

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """KL divergences, summed over sleep epochs."""
        teacher = targets["logits"]
        own = merged_logits(student.logits, teacher.shape[-1])
        logits = standardised_logits(own), standardised_logits(teacher)
        return distillation_sum(*logits, batch.present, self.settings.temperature)

    def normalizer(self, table: SegmentTable) -> float:
        """Number of sleep epochs."""
        return count_sleep_epochs(table)


def standardised_logits(logits_BNK: Tensor) -> Tensor:
    """(z - mean z) / (sd z + 1e-7) over the classes. The variance divides by K - 1, as in the authors' code."""
    z = at_least_float32(logits_BNK)
    return (z - z.mean(dim=-1, keepdim=True)) / (z.std(dim=-1, keepdim=True) + 1e-7)
