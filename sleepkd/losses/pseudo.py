"""Pseudo-labels as soft targets: distillation from probabilities in the store, of any models, without a teacher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Annotated, Any

import torch
from torch import Tensor

from sleepkd.config import require
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.kd import distillation_sum
from sleepkd.losses.loss import Loss, NetworkOutput, TemperatureSettings


def model_weights(value: Any, key: str) -> dict[str, float]:
    """A model's name, or {name: weight}, as {name: weight}. Raises UserError where `value` is neither."""
    if isinstance(value, str):
        return {value: 1.0} if value else {}
    require(isinstance(value, Mapping), key, f"expected the name of a model, or {{name: weight}}, got {value!r}")
    for name, weight in value.items():
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        require(number, f"{key}.{name}", f"expected a number, got {weight!r}")
    return {str(name): float(weight) for name, weight in value.items()}


@dataclass(frozen=True)
class PseudoLabelSettings(TemperatureSettings):
    """Settings of the loss on pseudo-labels.

    model: the name of the model whose pseudo-labels in the store are the targets, or {name: weight} of several.
    temperature: divides the logits of both sides; 1 uses the probabilities as they are.
    """

    temperature: float = 1.0
    model: Annotated[dict[str, float], model_weights] = field(default_factory=dict)

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        super().check(key)
        named = bool(self.model) or not self.is_active
        require(named, f"{key}.model", "is missing: name the model of the pseudo-labels")
        for name, weight in self.model.items():
            require(PurePath(name).name == name, f"{key}.model", f"{name!r} cannot name a file of pseudo-labels")
            require(0 < weight < float("inf"), f"{key}.model.{name}", f"must be positive, is {weight}")


class PseudoLabelDistillation(Loss):
    """T² KL(pseudo-labels at T ‖ student at T), the mean over the sleep epochs that a model knows, scored or not.

    Several models: the weighted mean over the pairs of a model and a sleep epoch that it knows. Pseudo-labels of fewer
    classes are compared with the student's probabilities at T, merged to these.
    """

    Settings = PseudoLabelSettings
    needs_teacher = False

    @property
    def pseudo_labels(self) -> tuple[str, ...]:
        """The models of the settings."""
        return tuple(self.settings.model)

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Weighted KL divergences, summed over models and the sleep epochs that they know."""
        sums = []
        for model, weight in self.settings.model.items():
            logits_BNK = batch.pseudo_labels[model]
            known_BN = batch.present & ~logits_BNK.isnan().any(dim=-1)
            # 0 in place of NaN, which a factor of 0 would not remove from the sum or the gradient.
            sums.append(
                weight * distillation_sum(student.logits, logits_BNK.nan_to_num(), known_BN, self.settings.temperature)
            )
        return torch.stack(sums).sum()

    def normalizer(self, table: SegmentTable) -> float:
        """The number of sleep epochs that each model knows, weighted."""
        known = {model: float(table.known_to(model).present.sum()) for model in self.settings.model}
        # Where no model knows any the sum is 0; dividing it by 1 keeps it 0.
        return sum(weight * known[model] for model, weight in self.settings.model.items()) or 1.0
