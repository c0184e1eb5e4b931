"""Base classes of losses that compare the sleep epochs of a segment with one another.

They compare within a segment and not over the batch, so that a loss depends neither on the number of processes nor on
which segments share a batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import Loss, NetworkOutput, TapSettings, at_least_float32


class RelationalLoss(Loss):
    """A loss that is a mean over the segments of at least two sleep epochs."""

    needs_sequence = True

    def normalizer(self, table: SegmentTable) -> float:
        """Number of segments of at least two sleep epochs."""
        # Without one the sum is 0; dividing it by 1 keeps it 0.
        return float((table.present.sum(axis=1) > 1).sum()) or 1.0


class RelationalFeatureLoss(RelationalLoss):
    """A relational loss on tapped features."""

    Settings = TapSettings
    needs_logits = False

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's features (sequences, C, L)."""
        return {"feature": teacher.features[self.settings.teacher_modules[0]]}

    def features(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """The student's and the teacher's feature of each sleep epoch, (B, n, C) each."""
        own = features_per_sleep_epoch(at_least_float32(student.features[self.settings.tap]), batch)
        return own, features_per_sleep_epoch(at_least_float32(targets["feature"]).detach(), batch)


def features_per_sleep_epoch(feature_SCL: Tensor, batch: Batch) -> Tensor:
    """Features (sequences, C, L) → (B, n, C): the mean over the positions that each sleep epoch covers."""
    if not batch.mask.shape[-1]:
        return feature_SCL.mean(dim=-1).unflatten(0, batch.present.shape)
    tokens_SCT = F.adaptive_avg_pool1d(feature_SCL, batch.mask.shape[-1])
    return batch.per_sleep_epoch(tokens_SCT.transpose(1, 2))


def related(batch: Batch) -> Tensor:
    """Which segments hold at least two sleep epochs, bool (B,)."""
    return batch.present.sum(dim=1) > 1


def pairs(present_BN: Tensor) -> Tensor:
    """Which pairs of sleep epochs are both present, bool (B, n, n)."""
    return present_BN[:, :, None] & present_BN[:, None, :]


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean (B,) over all other dimensions where `mask` (bool) is true; 0 where it never is."""
    x = torch.where(mask, x, 0)
    dims = tuple(range(1, x.dim()))
    return x.sum(dim=dims) / mask.sum(dim=dims).clamp_min(1)
