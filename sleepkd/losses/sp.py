"""Similarity-preserving distillation (SP; Tung & Mori, arXiv 1907.09682): similarities between sleep epochs."""

import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.losses.loss import NetworkOutput
from sleepkd.losses.relational import RelationalFeatureLoss, masked_mean, pairs, related


class SimilarityPreserving(RelationalFeatureLoss):
    """Squared difference of the similarity matrices of student and teacher, the mean over pairs and over segments.

    The paper compares the images of a batch; here they are the sleep epochs of a segment. Student and teacher features
    may differ in width and length.
    """

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Mean squared differences, summed over segments of at least two sleep epochs."""
        own, other = (similarities(x, batch.present) for x in self.features(student, targets, batch))
        distance_B = masked_mean((own - other).square(), pairs(batch.present))
        return (distance_B * related(batch)).sum()


def similarities(x_BNC: Tensor, present_BN: Tensor) -> Tensor:
    """Inner products (B, n, n) of the sleep epochs present, each matrix row at unit L2 norm."""
    x = x_BNC * present_BN[..., None]
    return F.normalize(x @ x.transpose(1, 2), dim=-1)
