"""Hints (FitNets; Romero et al., arXiv 1412.6550, eq. 3): the student's features, projected, are the teacher's."""

from typing import Any

from torch import Tensor, nn

from sleepkd.data.views import Places
from sleepkd.data.windows import Batch
from sleepkd.distillation.terms.term import Output, Shapes, TapSettings, Term, precise


class Hint(Term):
    """Mean squared difference of the projected features and the teacher's, a mean over stretches.

    The teacher's are first brought to zero mean and unit variance over the channels of each position, so that the
    weight means the same whatever the teacher's scale; as in layer normalisation, without gain.
    """

    Settings = TapSettings
    needs_logits = False

    def __init__(self, settings: Any, shapes: Shapes):
        super().__init__(settings, shapes)
        settings.check_lengths(shapes, "loss.hint")
        self.project = nn.Conv1d(*settings.widths(shapes), 1)  # learnt beside the student, kept in last.pt alone

    def keep(self, teacher: Output) -> dict[str, Tensor]:
        """The teacher's features (stretches, C, L), standardised."""
        return {"feature": standardised(teacher.features[self.settings.teacher_taps[0]])}

    def sum(self, student: Output, taught: dict[str, Tensor], batch: Batch) -> Tensor:
        """Squared differences, a mean over channels and the positions that are there, summed over stretches."""
        hint_BCL = precise(taught["feature"]).detach()
        projected_BCL = self.project(precise(student.features[self.settings.tap]))
        there_BL = batch.positions(hint_BCL.shape[-1])
        distance_BL = (projected_BCL - hint_BCL).square().mean(dim=1) * there_BL
        return (distance_BL.sum(dim=1) / there_BL.sum(dim=1).clamp_min(1)).sum()

    def count(self, places: Places) -> float:
        """Cuts of view `epochs`, rows of view `night`."""
        return float(places.stretches)


def standardised(feature_BCL: Tensor) -> Tensor:
    """(B, C, L) at zero mean and unit variance over the channels of each position."""
    x = precise(feature_BCL)
    return (x - x.mean(dim=1, keepdim=True)) * (x.var(dim=1, keepdim=True, correction=0) + 1e-6).rsqrt()
