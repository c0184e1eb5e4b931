"""Networks. A network is a file in this folder and an entry of `NETWORKS`.

A network is an nn.Module built from (settings, classes, inputs, output_seconds). `forward(inputs)` takes a dict of the
signals that its `InputSpec` names, (B, n, samples) or (B, n, channels, samples), and returns logits (B, n * outputs,
classes), one output per `output_seconds`. n is the number of sleep epochs in view `epochs`, 1 in view `night`.
`bottleneck` is the path of the module whose features evaluation shows. The settings' `check()` raises UserError naming
the key of an impossible value.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from sleepkd.config import from_dict, require
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.inputs import InputSpec
from sleepkd.data.views import TOKEN_SECONDS
from sleepkd.models.ensemble import Ensemble, EnsembleSettings
from sleepkd.models.night_network import NightNetwork, NightSettings
from sleepkd.models.utime import UTime, UTimeSettings


class Network(NamedTuple):
    """The class of a network and the dataclass of its settings, whose field `name` is the name in `NETWORKS`."""

    build: type[nn.Module]
    settings: type


NETWORKS = {
    "utime": Network(UTime, UTimeSettings),
    "night": Network(NightNetwork, NightSettings),
    "ensemble": Network(Ensemble, EnsembleSettings),
}


def network_settings(values: Mapping[str, Any], key: str = "model") -> Any:
    """The settings of the network that a YAML section names. Raises UserError naming a wrong key."""
    require(isinstance(values, Mapping), key, f"expected a section of keys, got {values!r}")
    name = values.get("name", "utime")
    require(name in NETWORKS, f"{key}.name", f"{name!r} is not a network; choose from {', '.join(NETWORKS)}")
    return from_dict(NETWORKS[name].settings, dict(values), f"{key}.")


def build_network(settings: Any, classes: int, inputs: InputSpec, view: str) -> nn.Module:
    """A network with initial weights: one output per sleep epoch in view `epochs`, per 10-s token in view `night`."""
    output_seconds = TOKEN_SECONDS if view == "night" else EPOCH_SECONDS
    return NETWORKS[settings.name].build(settings, classes, inputs, output_seconds)
