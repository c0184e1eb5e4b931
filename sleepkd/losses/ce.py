"""Class-weighted cross-entropy (CE) of scored sleep epochs."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import FeatureShapes, Loss, LossSettings, NetworkOutput, at_least_float32


@dataclass(frozen=True)
class CrossEntropySettings(LossSettings):
    """Settings of cross-entropy.

    class_weights: "balanced" is n / (K n_k) from the training labels. "none" weights all classes equally, as the
    released code does.
    """

    class_weights: Literal["balanced", "none"] = "balanced"


class CrossEntropy(Loss):
    """Class-weighted mean of the cross-entropy over scored sleep epochs."""

    Settings = CrossEntropySettings
    needs_labels = True
    needs_teacher = False
    weight: Tensor

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        self.class_weights_K = np.ones(shapes.classes)
        self.register_buffer("weight", torch.ones(shapes.classes, dtype=torch.float64), persistent=False)

    def fit(self, labels_SN: np.ndarray) -> None:
        """Compute balanced class weights, if `class_weights` asks for them."""
        if self.settings.class_weights == "balanced":
            self.class_weights_K = balanced_class_weights(labels_SN, self.shapes.classes)
            self.weight.copy_(torch.as_tensor(self.class_weights_K))

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Weighted cross-entropy, summed over scored sleep epochs."""
        return cross_entropy_sum(student.logits, batch.labels, self.weight)

    def normalizer(self, table: SegmentTable) -> float:
        """The sum of the class weights of all scored labels, as in PyTorch's weighted mean."""
        weight = float(self.class_weights_K[table.labels[table.labels != UNSCORED]].sum())
        # Without a scored label the sum is 0; dividing it by 1 keeps it 0.
        return weight or 1.0


def cross_entropy_sum(logits_BNK: Tensor, labels_BN: Tensor, class_weights_K: Tensor) -> Tensor:
    """Class-weighted cross-entropy, summed over scored sleep epochs. The sum of their weights is its normalizer."""
    return F.cross_entropy(
        at_least_float32(logits_BNK).flatten(0, 1),
        labels_BN.flatten(),
        weight=class_weights_K,
        ignore_index=UNSCORED,
        reduction="sum",
    )


def balanced_class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weights (K,) float64, n / (K * n_k): scikit-learn's "balanced", over the scored labels of the training set.

    A class that does not occur gets weight 0 and does not count towards K.
    """
    counts = np.bincount(labels[labels != UNSCORED].ravel(), minlength=classes)
    occurring = counts > 0
    weights = np.zeros(classes)
    weights[occurring] = counts.sum() / (occurring.sum() * counts[occurring])
    return weights
