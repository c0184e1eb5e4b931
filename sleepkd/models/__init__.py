"""The networks there are. One is a file and a line of `NETWORKS`.

A network is an nn.Module made of (settings, classes, inputs, answer_seconds). Its `forward(inputs)` takes a dict
of what its `InputSpec` names, each (B, n, samples), beats (B, n, 3, samples), and returns logits (B, n * answers,
classes), an answer for every `answer_seconds` of each of the n cuts. `bottleneck` is the path of the module that
evaluation looks into. Its settings' `check()` refuses impossible values by key.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import nn

from sleepkd.config import from_dict, require
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.inputs import InputSpec
from sleepkd.data.views import TOKEN_SECONDS
from sleepkd.models.night_network import NightNetwork, NightSettings
from sleepkd.models.utime import UTime, UTimeSettings


class Network(NamedTuple):
    """How a network is made, and the dataclass of its settings, whose field `name` is its name here."""

    build: type[nn.Module]
    settings: type


NETWORKS = {
    "utime": Network(UTime, UTimeSettings),
    "night": Network(NightNetwork, NightSettings),
}


def network_settings(values: Mapping[str, Any], key: str = "model") -> Any:
    """The settings that a section of YAML means, by its `name`; UserError names the key that is wrong."""
    require(isinstance(values, Mapping), key, f"expected a section of keys, got {values!r}")
    name = values.get("name", "utime")
    require(name in NETWORKS, f"{key}.name", f"is no network: {name!r}; there are {', '.join(NETWORKS)}")
    return from_dict(NETWORKS[name].settings, dict(values), f"{key}.")


def build_network(settings: Any, classes: int, inputs: InputSpec, view: str) -> nn.Module:
    """A fresh network that answers every sleep epoch of view `epochs`, or every 10-s cell of view `night`."""
    answer_seconds = TOKEN_SECONDS if view == "night" else EPOCH_SECONDS
    return NETWORKS[settings.name].build(settings, classes, inputs, answer_seconds)
