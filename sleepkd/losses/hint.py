"""Hint loss (FitNets; Romero et al., arXiv 1412.6550, eq. 3): projected student features match the teacher's."""

from typing import Any

from torch import Tensor, nn

from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import FeatureShapes, Loss, NetworkOutput, TapSettings, at_least_float32, count_sequences


class HintLoss(Loss):
    """Mean squared error between the projected student features and the teacher's, the mean over sequences.

    A 1x1 convolution projects the student's features to the teacher's width. The teacher's features are standardised
    over the channels of each position (layer normalisation without gain), so that their scale does not matter.
    """

    Settings = TapSettings
    needs_logits = False

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        settings.check_lengths(shapes, "loss.hint")
        width, teacher_width = settings.widths(shapes)
        self.project = nn.Conv1d(width, teacher_width, 1)

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's features (sequences, C, L), standardised."""
        return {"feature": standardised(teacher.features[self.settings.teacher_modules[0]])}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Squared errors: the mean over channels and unmasked positions, summed over sequences."""
        hint_BCL = at_least_float32(targets["feature"]).detach()
        projected_BCL = self.project(at_least_float32(student.features[self.settings.tap]))
        mask_BL = batch.positions(hint_BCL.shape[-1])
        distance_BL = (projected_BCL - hint_BCL).square().mean(dim=1) * mask_BL
        return (distance_BL.sum(dim=1) / mask_BL.sum(dim=1).clamp_min(1)).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """Number of sequences: sleep epochs in view `epochs`, segments in view `night`."""
        return count_sequences(table)


def standardised(feature_BCL: Tensor) -> Tensor:
    """A feature (B, C, L) with zero mean and unit variance over the channels of each position."""
    x = at_least_float32(feature_BCL)
    return (x - x.mean(dim=1, keepdim=True)) * (x.var(dim=1, keepdim=True, correction=0) + 1e-6).rsqrt()
