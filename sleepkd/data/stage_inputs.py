"""Read `stage.inputs` of a config, or the inputs of a checkpoint, as the `InputSpec` of a network."""

from collections.abc import Iterable, Mapping
from typing import Any

from sleepkd.config import from_dict, require
from sleepkd.data.counts_input import CountsInput
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.inputs import BeatsInput, Input, InputSpec, SignalInput
from sleepkd.data.signal_kinds import SIGNAL_KINDS

InputSettings = dict[str, dict[str, Any]]
"""{signal: {field of its `Input`: value}}: what `stage.inputs` sets; other fields take their defaults."""

INPUTS: dict[str, type[Input]] = {"samples": SignalInput, "heartbeats": BeatsInput, "counts": CountsInput}
"""The class that reads a kind of signal, by `SignalKind.stored_as`."""
_EARLIER_SCALE = {"eeg": 20.0, "ecg": 100.0}
"""`scale` in checkpoints that do not record it. That of the ECG was meant in µV; ECGs are stored in mV."""


def input_settings(values: Any, key: str) -> InputSettings:
    """`stage.inputs` of a YAML file, checked: {} or null for the defaults, false to remove a signal.

    Raises UserError naming the key of an unknown signal, an unknown setting or an impossible value.
    """
    checked = {}
    for name, given in _by_name(values, key).items():
        if given is False:
            continue
        given = {} if given is None else given
        require(isinstance(given, Mapping), f"{key}.{name}", f"expected settings by name, got {given!r}")
        given = {field: value for field, value in given.items() if value is not None}
        item = _parsed(name, {"rate": 1.0} | given, f"{key}.{name}.")
        checked[name] = {field: getattr(item, field) for field in given}
    return checked


def input_spec(values: Any, key: str) -> InputSpec:
    """The inputs that a checkpoint holds. Raises UserError naming what is unknown or impossible."""
    spec = {}
    for name, given in _by_name(values, key).items():
        kind, given = SIGNAL_KINDS[name], dict(given)
        if kind.stored_as == "samples" and "scale" not in given:  # of an earlier version
            physical = given.get("normalisation") == "physical"  # no other normalisation uses the scale
            given["scale"] = _EARLIER_SCALE.get(name, kind.scale) if physical else kind.scale
            if not kind.has_polarity:
                given["polarity"] = "as_recorded"
        spec[name] = _parsed(name, given, f"{key}.{name}.")
    return spec


def resolve(settings: InputSettings, data: DataConfig, rate_hz: float) -> InputSpec:
    """The inputs of a new network: every field that `stage.inputs` leaves open takes its default.

    rate_hz: of the store, for signals without a rate of their own.
    Raises UserError: minmax_window or truncated in view `night`.
    """
    spec = {}
    for name, given in settings.items():
        kind = SIGNAL_KINDS[name]
        read_by = INPUTS[kind.stored_as]
        spec[name] = read_by(**(read_by.defaults(kind, data, rate_hz) | given))
    if data.view == "night":
        for name, item in spec.items():
            for field, only_epochs in (("normalisation", "minmax_window"), ("alignment", "truncated")):
                fits = getattr(item, field, "") != only_epochs
                require(fits, f"stage.inputs.{name}.{field}", f"{only_epochs} goes with data.view: epochs")
    return spec


def describe_inputs(names: Iterable[str]) -> str:
    """Inputs of a network in print, for example "ECG + heartbeats"."""
    return " + ".join(SIGNAL_KINDS[name].label for name in names)


def _by_name(values: Any, key: str) -> Mapping[str, Any]:
    require(isinstance(values, Mapping), key, f"expected signals by name, got {values!r}")
    for name in values:
        require(name in SIGNAL_KINDS, f"{key}.{name}", f"is not a known signal; known are {', '.join(SIGNAL_KINDS)}")
    return values


def _parsed(name: str, values: dict[str, Any], prefix: str) -> Input:
    item = from_dict(INPUTS[SIGNAL_KINDS[name].stored_as], values, prefix)
    for field in values:
        value = getattr(item, field)
        if field == "centre":
            require(abs(value) < float("inf"), f"{prefix}{field}", f"must be finite, is {value:g}")
        elif isinstance(value, float):
            require(0 < value < float("inf"), f"{prefix}{field}", f"must be positive, is {value:g}")
    return item
