"""RelationalLoss distillation (RKD; Park et al., arXiv 1904.05068): distances and angles between sleep epochs."""

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
    """distances, angles: weights of the two, the paper's 1 and 2; max_sleep_epochs: sleep epochs of a row, evenly spaced.

    There are at_most³ angles in a row.
    """

    distances: float = 1.0
    angles: float = 2.0
    max_sleep_epochs: int = 48

    def check(self, key: str) -> None:
        """Refuse impossible values by key."""
        super().check(key)
        require(
            self.max_sleep_epochs >= 2, f"{key}.max_sleep_epochs", f"must be at least 2, is {self.max_sleep_epochs}"
        )
        check_component_weights(self, ("distances", "angles"), key)


class RelationalDistillation(RelationalFeatureLoss):
    """Smooth L1 of distances over their mean, and of the cosines of angles, over the sleep epochs of a row."""

    Settings = RelationalDistillationSettings

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Both, weighted, summed over rows of at least two sleep epochs."""
        settings = self.settings
        step = -(-batch.present.shape[1] // settings.max_sleep_epochs)
        there_BN = batch.present[:, ::step]
        both = pairs(there_BN)
        (d_s, a_s), (d_t, a_t) = (relations(x[:, ::step], both) for x in self.features(student, targets, batch))
        distances = masked_mean(F.smooth_l1_loss(d_s, d_t, reduction="none"), both)
        triples = both[..., None] & there_BN[:, None, None, :]
        angles = masked_mean(F.smooth_l1_loss(a_s, a_t, reduction="none"), triples)
        return ((settings.distances * distances + settings.angles * angles) * related(batch)).sum()


def relations(x_BMC: Tensor, both_BMM: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (B, m, m) over their mean between different ones; cosines (B, m, m, m) of the angles at the first."""
    apart = x_BMC[:, None] - x_BMC[:, :, None]
    squares = apart.square().sum(dim=-1)
    different = both_BMM & (squares > 1e-12)
    distance = torch.where(different, squares.clamp_min(1e-12).sqrt(), 0)
    mean = distance.sum(dim=(1, 2)) / different.sum(dim=(1, 2)).clamp_min(1)
    direction = F.normalize(apart, dim=-1)
    return distance / mean.clamp_min(1e-12)[:, None, None], direction @ direction.transpose(2, 3)
