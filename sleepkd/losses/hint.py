"""Hints (FitNets; Romero et al., arXiv 1412.6550, eq. 3): the student's features, projected, are the teacher's."""

from typing import Any

from torch import Tensor, nn

from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import FeatureShapes, Loss, NetworkOutput, TapSettings, at_least_float32


class HintLoss(Loss):
    """Mean squared difference of the projected features and the teacher's, a mean over sequences.

    The teacher's are first brought to zero mean and unit variance over the channels of each position, so that the
    weight means the same whatever the teacher's scale; as in layer normalisation, without gain.
    """

    Settings = TapSettings
    needs_logits = False

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        settings.check_lengths(shapes, "loss.hint")
        self.project = nn.Conv1d(*settings.widths(shapes), 1)  # learnt beside the student, kept in last.pt alone

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's features (sequences, C, L), standardised."""
        return {"feature": standardised(teacher.features[self.settings.teacher_modules[0]])}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Squared differences, a mean over channels and the positions that are there, summed over sequences."""
        hint_BCL = at_least_float32(targets["feature"]).detach()
        projected_BCL = self.project(at_least_float32(student.features[self.settings.tap]))
        there_BL = batch.positions(hint_BCL.shape[-1])
        distance_BL = (projected_BCL - hint_BCL).square().mean(dim=1) * there_BL
        return (distance_BL.sum(dim=1) / there_BL.sum(dim=1).clamp_min(1)).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """Cuts of view `epochs`, rows of view `night`."""
        return float(table.sequences)


def standardised(feature_BCL: Tensor) -> Tensor:
    """(B, C, L) at zero mean and unit variance over the channels of each position."""
    x = at_least_float32(feature_BCL)
    return (x - x.mean(dim=1, keepdim=True)) * (x.var(dim=1, keepdim=True, correction=0) + 1e-6).rsqrt()
