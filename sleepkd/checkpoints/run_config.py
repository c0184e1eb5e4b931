"""The config of a training run that starts from a checkpoint: what it leaves open is that of the checkpoint."""

from collections.abc import Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.checkpoints.trained import checkpoint_of, is_stage
from sleepkd.config import from_dict, require, to_dict
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.inputs import InputSpec
from sleepkd.data.nights import open_nights
from sleepkd.data.stage_inputs import input_settings, input_spec
from sleepkd.errors import UserError
from sleepkd.models import NETWORKS, network_settings
from sleepkd.settings import Config, checked_config, config_of, merged_settings

OF_ITS_INPUTS = {"normalisation": "normalisation", "clip": "clip", "ecg_polarity": "polarity", "alignment": "alignment"}
"""{setting of `data`: the field of `SignalInput` that it is the default of}."""
MAY_DIFFER = ("dropout", "norm")
"""Settings of `model` that a run may change: the weights keep their meaning."""


def load_run_config(files: list[str], overrides: list[str]) -> Config:
    """`settings.load_config`, where a run that starts from a checkpoint takes from it what its config leaves open.

    With `stage.start_from: shipped` or a path (….pt), `model`, `data.classes`, `data.view`, `data.context_minutes`,
    `data.augment.drop_input` and `stage.inputs` are those of the checkpoint unless they are set. A network that may
    lack inputs is started without those that no training night holds.
    Raises UserError naming a key that contradicts the checkpoint, or a checkpoint that does not exist, if it is needed:
    a config that names its inputs can be planned before.
    """
    values = merged_settings(files, overrides)
    stage = _section(values, "stage")
    start = stage.get("start_from")
    if not isinstance(start, str) or not start or is_stage(start):
        return checked_config(values)
    try:
        path = checkpoint_of(Config(), start, "stage.start_from")
    except UserError:
        if not stage.get("inputs"):
            raise
        return checked_config(values)
    return checked_config(_completed(values, path))


def _completed(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The settings of a config, with those of a checkpoint where they are open."""
    checkpoint = read_checkpoint(path)
    trained, inputs = config_of(checkpoint.config), input_spec(checkpoint.inputs, f"{path}: inputs")
    model, data, stage = (_section(values, name) for name in ("model", "data", "stage"))

    of_data = from_dict(DataConfig, data, "data.")
    for key in ("classes", "view"):
        _check_same(f"data.{key}", getattr(of_data, key) if key in data else None, getattr(trained.data, key), path)
    for key, field in OF_ITS_INPUTS.items():
        for item in inputs.values() if key in data else ():
            _check_same(f"data.{key}", getattr(of_data, key), getattr(item, field, None), path)
    data = {key: getattr(trained.data, key) for key in ("classes", "view", "context_minutes")} | data

    _check_same("model.name", model.get("name"), trained.model.name, path)
    completed_model = to_dict(trained.model) | model
    of_model = network_settings(completed_model)
    for key in (key for key in model if key not in MAY_DIFFER):
        _check_same(f"model.{key}", getattr(of_model, key), getattr(trained.model, key), path)

    may_lack = getattr(NETWORKS[trained.model.name].build, "may_lack_inputs", False)
    named = stage.get("inputs") or {}
    stage["inputs"] = _inputs(named, inputs, path)
    if may_lack and not named:
        held = {kind for night in open_nights(of_data.sources, "train") for kind in night.info.kinds}
        stage["inputs"] = {name: x for name, x in stage["inputs"].items() if name in held} or stage["inputs"]
    augment = _section(data, "augment")
    augment.setdefault("drop_input", _drop_input(trained.data.augment.drop_input, stage["inputs"]))
    return {**values, "model": completed_model, "data": data | {"augment": augment}, "stage": stage}


def _inputs(named: Any, trained: InputSpec, path: Path) -> dict[str, Any]:
    """`stage.inputs` with every field of the checkpoint's inputs: those that are named, or all but the removed ones."""
    given = input_settings(named, "stage.inputs")
    for name, fields in given.items():
        require(name in trained, f"stage.inputs.{name}", f"{path} was trained on {', '.join(trained)}; leave it out")
        for field, value in fields.items():
            _check_same(f"stage.inputs.{name}.{field}", value, getattr(trained[name], field), path)
    chosen = given or [name for name in trained if name not in named]
    return {name: to_dict(item) for name, item in trained.items() if name in chosen}


def _drop_input(trained: float | dict[str, float], inputs: Collection[str]) -> float | dict[str, float]:
    """`data.augment.drop_input` of a checkpoint for some of its inputs; 0 for one alone."""
    if len(inputs) < 2:
        return 0.0
    return {name: trained.get(name, 0.0) for name in inputs} if isinstance(trained, dict) else trained


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A copy of a section of settings, {} where it is open. Raises UserError where it is no section."""
    section = values.get(name) or {}
    require(isinstance(section, Mapping), name, f"expected a section of keys, got {section!r}")
    return deepcopy(dict(section))


def _check_same(key: str, given: Any, trained: Any, path: Path) -> None:
    """Raise UserError where a setting is given and differs from that of a checkpoint. None: it is open, or unknown."""
    same = given is None or trained is None or given == trained
    require(same, key, f"is {given}, {path} was trained with {trained}; leave it out to take that")
