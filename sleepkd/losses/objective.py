"""The training objective: the weighted sum of a stage's losses."""

from collections.abc import Mapping
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses import LOSSES
from sleepkd.losses.loss import FeatureShapes, Loss, LossSettings, NetworkOutput, at_least_float32

CONFIDENT = "confident"
"""Among the teacher targets: 1 for sleep epochs that the teacher knows and is confident of, else 0."""


class Objective(nn.ModuleDict):
    """The active losses by name, in the order of `LOSSES`. Their parameters are trained beside the student.

    min_confidence: losses that need a teacher skip sleep epochs whose largest teacher probability is below this.
    model: the external model that is the teacher, "" if another teacher or none. Losses that need a teacher neither use
    nor count the sleep epochs that it does not know, nor the segments on which it is silent.
    """

    def __init__(
        self,
        settings: Mapping[str, LossSettings],
        shapes: FeatureShapes,
        min_confidence: float = 0.0,
        model: str = "",
    ):
        super().__init__({name: LOSSES[name](of_loss, shapes) for name, of_loss in settings.items()})
        self._settings, self._min_confidence, self._model = dict(settings), min_confidence, model

    @property
    def losses(self) -> dict[str, Loss]:
        """The losses by name."""
        return {name: loss for name, loss in self.items() if isinstance(loss, Loss)}

    @property
    def uses_unlabelled(self) -> bool:
        """Whether recordings without labels contribute to any loss."""
        return not all(loss.needs_labels for loss in self.losses.values())

    @property
    def pseudo_labels(self) -> tuple[str, ...]:
        """Names of the models whose pseudo-labels the losses read of a batch, each once."""
        return tuple(dict.fromkeys(model for loss in self.losses.values() for model in loss.pseudo_labels))

    def fit(self, labels_SN: np.ndarray) -> None:
        """Give every loss the training labels (S, n), -1 unscored: class weights, transition counts."""
        for loss in self.losses.values():
            loss.fit(labels_SN)

    def normalizers(self, table: SegmentTable) -> dict[str, float]:
        """What the sum of each loss is divided by: counted over all segments of an update, equally on every process."""
        known = table.with_teacher().known_to(self._model)
        return {name: loss.normalizer(known if loss.needs_teacher else table) for name, loss in self.losses.items()}

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """What all losses read of the teacher's output, as "loss.name"."""
        targets = {f"{name}.{key}": x for name, loss in self.losses.items() for key, x in loss.targets(teacher).items()}
        if self._min_confidence or teacher.known is not None:
            confidence_BN = at_least_float32(teacher.logits).softmax(dim=-1).amax(dim=-1)
            confident_BN = confidence_BN >= self._min_confidence
            known_BN = confident_BN if teacher.known is None else confident_BN & teacher.known
            targets[CONFIDENT] = known_BN.to(teacher.logits.dtype)
        return targets

    def weighted_sum(
        self,
        student: NetworkOutput,
        targets: Mapping[str, Tensor],
        batch: Batch,
        normalizers: Mapping[str, float],
        epoch: int,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective over one micro-batch, and its losses by name, unweighted.

        epoch: the training epoch, counted from 0, for scheduled weights.
        """
        values = {}
        confident = batch.with_teacher()
        if CONFIDENT in targets:
            confident = confident._replace(present=confident.present & (targets[CONFIDENT] > 0))
        for name, loss in self.losses.items():
            own = {key.removeprefix(f"{name}."): x for key, x in targets.items() if key.startswith(f"{name}.")}
            values[name] = loss.sum(student, own, confident if loss.needs_teacher else batch) / normalizers[name]
        weighted = (self._settings[name].weight_at(epoch) * value for name, value in values.items())
        return reduce(torch.add, weighted), values
