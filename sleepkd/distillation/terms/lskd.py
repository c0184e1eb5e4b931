"""Logit standardisation (LSKD; Sun et al., arXiv 2403.01427): softmax distillation of the logits' shape alone."""

from torch import Tensor

from sleepkd.data.views import Places
from sleepkd.data.windows import Batch
from sleepkd.distillation.terms.kd import distillation_sum
from sleepkd.distillation.terms.term import Output, TemperedSettings, Term, precise, sleep_epochs


class LogitStandardisation(Term):
    """T² KL(teacher ‖ student) of logits standardised over the classes, a mean over sleep epochs, scored or not.

    The paper gives it a weight of 9 beside cross-entropy's 0.1, at T = 2.
    """

    Settings = TemperedSettings

    def keep(self, teacher: Output) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: Output, taught: dict[str, Tensor], batch: Batch) -> Tensor:
        """Divergences, summed over sleep epochs."""
        logits = standardised_logits(student.logits), standardised_logits(taught["logits"])
        return distillation_sum(*logits, batch.present, self.settings.temperature)

    def count(self, places: Places) -> float:
        """Sleep epochs."""
        return sleep_epochs(places)


def standardised_logits(logits_BNK: Tensor) -> Tensor:
    """(z - mean z) / (sd z + 1e-7) over the classes; sd by K - 1, as in the authors' code."""
    z = precise(logits_BNK)
    return (z - z.mean(dim=-1, keepdim=True)) / (z.std(dim=-1, keepdim=True) + 1e-7)
