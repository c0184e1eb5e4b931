"""Losses: cross-entropy and knowledge distillation. A loss is a file in this folder and an entry of `LOSSES`."""

from collections.abc import Mapping
from typing import Any

from sleepkd.config import from_dict, require
from sleepkd.losses.at import AttentionTransfer
from sleepkd.losses.ce import CrossEntropy
from sleepkd.losses.crd import ContrastiveDistillation
from sleepkd.losses.dist import CorrelationDistillation
from sleepkd.losses.dkd import DecoupledDistillation
from sleepkd.losses.hint import HintLoss
from sleepkd.losses.kd import SoftmaxDistillation
from sleepkd.losses.loss import FeatureShapes, Loss, LossSettings, NetworkOutput
from sleepkd.losses.lskd import StandardisedLogitDistillation
from sleepkd.losses.pseudo import PseudoLabelDistillation
from sleepkd.losses.rkd import RelationalDistillation
from sleepkd.losses.sp import SimilarityPreserving
from sleepkd.losses.transition import TransitionDistillation
from sleepkd.losses.vid import VariationalInformation
from sleepkd.losses.wttm import WeightedTransformedTeacher

__all__ = ["LOSSES", "FeatureShapes", "Loss", "LossSettings", "NetworkOutput", "active_losses", "loss_settings"]

LOSSES: dict[str, type[Loss]] = {  # computed and summed in this order
    "ce": CrossEntropy,
    "kd": SoftmaxDistillation,
    "lskd": StandardisedLogitDistillation,
    "dkd": DecoupledDistillation,
    "dist": CorrelationDistillation,
    "wttm": WeightedTransformedTeacher,
    "transition": TransitionDistillation,
    "pseudo": PseudoLabelDistillation,
    "at": AttentionTransfer,
    "hint": HintLoss,
    "vid": VariationalInformation,
    "sp": SimilarityPreserving,
    "rkd": RelationalDistillation,
    "crd": ContrastiveDistillation,
}


def loss_settings(values: Mapping[str, Any], key: str = "loss") -> dict[str, LossSettings]:
    """The settings of the losses in a YAML section, in the order of `LOSSES`. Raises UserError naming a wrong key."""
    require(isinstance(values, Mapping), key, f"expected a section of keys, got {values!r}")
    for name, value in values.items():
        require(name in LOSSES, f"{key}.{name}", f"is not a loss; choose from {', '.join(LOSSES)}")
        require(
            isinstance(value, Mapping), f"{key}.{name}", f"expected keys, for example {{weight: 1.0}}, got {value!r}"
        )
    return {name: from_dict(LOSSES[name].Settings, values[name], f"{key}.{name}.") for name in LOSSES if name in values}


def active_losses(loss: Mapping[str, LossSettings]) -> dict[str, LossSettings]:
    """The settings of the losses whose weight is ever above 0."""
    return {name: settings for name, settings in loss.items() if settings.is_active}
