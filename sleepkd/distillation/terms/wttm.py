"""Weighted transformed teacher matching (WTTM; Zheng & Yang, arXiv 2402.11148): a temperature on the teacher alone."""

import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.views import Places
from sleepkd.data.windows import Batch
from sleepkd.distillation.terms.term import Output, TemperedSettings, Term, precise, sleep_epochs


class TransformedTeacher(Term):
    """U KL(teacher at T ‖ student at 1), U the power sum of the teacher's answer, a mean over sleep epochs.

    U = sum of p^(1/T) is larger the less sure the teacher is: soft answers count more. 1/T is the paper's
    gamma, from 0.1 to 0.9 there.
    """

    Settings = TemperedSettings

    def keep(self, teacher: Output) -> dict[str, Tensor]:
        """The teacher's logits (B, n, K)."""
        return {"logits": teacher.logits}

    def sum(self, student: Output, taught: dict[str, Tensor], batch: Batch) -> Tensor:
        """Weighted divergences, summed over sleep epochs."""
        powers_BNK = F.log_softmax(precise(taught["logits"]).detach(), dim=-1) / self.settings.temperature
        log_total = powers_BNK.logsumexp(dim=-1, keepdim=True)
        log_student = F.log_softmax(precise(student.logits), dim=-1)
        divergence = F.kl_div(log_student, powers_BNK - log_total, reduction="none", log_target=True).sum(-1)
        return (log_total[..., 0].exp() * divergence * batch.present).sum()

    def count(self, places: Places) -> float:
        """Sleep epochs."""
        return sleep_epochs(places)
