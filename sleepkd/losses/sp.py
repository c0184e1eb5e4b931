"""SimilarityPreserving-preserving distillation (SP; Tung & Mori, arXiv 1907.09682): which sleep epochs resemble one another."""

import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.losses.loss import NetworkOutput
from sleepkd.losses.relational import RelationalFeatureLoss, masked_mean, pairs, related


class SimilarityPreserving(RelationalFeatureLoss):
    """Squared difference of the similarities of sleep epochs, a mean over pairs, and over rows.

    The paper takes them over a batch of images; here they are the sleep epochs of a row. Widths and lengths of the two
    features need not agree.
    """

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Mean squares, summed over rows of at least two sleep epochs."""
        own, other = (similarities(x, batch.present) for x in self.features(student, targets, batch))
        distance_B = masked_mean((own - other).square(), pairs(batch.present))
        return (distance_B * related(batch)).sum()


def similarities(x_BNC: Tensor, there_BN: Tensor) -> Tensor:
    """(B, n, n): inner products of what is there, each row at unit L2 norm."""
    x = x_BNC * there_BN[..., None]
    return F.normalize(x @ x.transpose(1, 2), dim=-1)
