"""What terms share that compare the sleep epochs of a row with one another.

They are taken over one row at a time, a crop of a night or a window of several sleep epochs, and not over the batch: so
a term depends neither on the number of processes nor on which nights happen to be together.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import Loss, NetworkOutput, TapSettings, at_least_float32


class RelationalLoss(Loss):
    """A mean over the rows that hold at least two sleep epochs; each row counts alike."""

    needs_sequence = True

    def normalizer(self, table: SegmentTable) -> float:
        """Those rows."""
        # A batch without one has a sum of 0; dividing it by 1 keeps it 0.
        return float((table.present.sum(axis=1) > 1).sum()) or 1.0


class RelationalFeatureLoss(RelationalLoss):
    """One whose sleep epochs are tapped features."""

    Settings = TapSettings
    needs_logits = False

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The teacher's features (sequences, C, L)."""
        return {"feature": teacher.features[self.settings.teacher_modules[0]]}

    def features(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Student's and teacher's, (B, n, C) each, by sleep epoch."""
        own = features_per_sleep_epoch(at_least_float32(student.features[self.settings.tap]), batch)
        return own, features_per_sleep_epoch(at_least_float32(targets["feature"]).detach(), batch)


def features_per_sleep_epoch(feature_SCL: Tensor, batch: Batch) -> Tensor:
    """Features (sequences, C, L) → (B, n, C), the mean over the positions that each sleep epoch covers."""
    if not batch.mask.shape[-1]:
        return feature_SCL.mean(dim=-1).unflatten(0, batch.present.shape)
    token_spans = F.adaptive_avg_pool1d(feature_SCL, batch.mask.shape[-1])
    return batch.per_sleep_epoch(token_spans.transpose(1, 2))


def related(batch: Batch) -> Tensor:
    """(B,) bool: which rows hold at least two sleep epochs."""
    return batch.present.sum(dim=1) > 1


def pairs(there_BN: Tensor) -> Tensor:
    """(B, n, n) bool: both are there."""
    return there_BN[:, :, None] & there_BN[:, None, :]


def masked_mean(x: Tensor, there: Tensor) -> Tensor:
    """(B,), over all other dimensions and what is there in them; 0 where nothing is."""
    x = torch.where(there, x, 0)
    dims = tuple(range(1, x.dim()))
    return x.sum(dim=dims) / there.sum(dim=dims).clamp_min(1)
