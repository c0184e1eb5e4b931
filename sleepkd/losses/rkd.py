"""Relational knowledge distillation (RKD; Park et al., arXiv 1904.05068): distances and angles between sleep epochs."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.config import require
from sleepkd.data.segments import Batch
from sleepkd.losses.loss import NetworkOutput, TapSettings, check_component_weights
from sleepkd.losses.relational import RelationalFeatureLoss, masked_mean, pairs, related


@dataclass(frozen=True)
class RelationalDistillationSettings(TapSettings):
    """Settings of relational distillation.

    distances, angles: weights of the two parts, 1 and 2 in the paper. max_sleep_epochs: a longer segment is subsampled
    evenly to at most so many sleep epochs; the number of angles grows with their cube.
    """

    distances: float = 1.0
    angles: float = 2.0
    max_sleep_epochs: int = 48

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        super().check(key)
        require(
            self.max_sleep_epochs >= 2, f"{key}.max_sleep_epochs", f"must be at least 2, is {self.max_sleep_epochs}"
        )
        check_component_weights(self, ("distances", "angles"), key)


class RelationalDistillation(RelationalFeatureLoss):
    """Smooth L1 loss of relative distances and of cosines of angles between the sleep epochs of a segment."""

    Settings = RelationalDistillationSettings

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """The weighted losses, summed over segments of at least two sleep epochs."""
        settings = self.settings
        step = -(-batch.present.shape[1] // settings.max_sleep_epochs)
        present_BM = batch.present[:, ::step]
        both = pairs(present_BM)
        (d_s, a_s), (d_t, a_t) = (relations(x[:, ::step], both) for x in self.features(student, targets, batch))
        distances = masked_mean(F.smooth_l1_loss(d_s, d_t, reduction="none"), both)
        triples = both[..., None] & present_BM[:, None, None, :]
        angles = masked_mean(F.smooth_l1_loss(a_s, a_t, reduction="none"), triples)
        return ((settings.distances * distances + settings.angles * angles) * related(batch)).sum()


def relations(x_BMC: Tensor, both_BMM: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (B, m, m) over their mean between distinct points, and cosines (B, m, m, m) of the angles at the first.

    x_BMC: a feature per sleep epoch. both_BMM: bool, both sleep epochs of a pair are present.
    """
    apart = x_BMC[:, None] - x_BMC[:, :, None]
    squares = apart.square().sum(dim=-1)
    different = both_BMM & (squares > 1e-12)
    distance = torch.where(different, squares.clamp_min(1e-12).sqrt(), 0)
    mean = distance.sum(dim=(1, 2)) / different.sum(dim=(1, 2)).clamp_min(1)
    direction = F.normalize(apart, dim=-1)
    return distance / mean.clamp_min(1e-12)[:, None, None], direction @ direction.transpose(2, 3)
