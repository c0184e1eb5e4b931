"""A whole run as data: which stage, on which nights, with which network, loss and loop. A config YAML is this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from sleepkd.config import from_dict, merged, require
from sleepkd.data.inputs import InputSpec, input_spec
from sleepkd.data.settings import DataConfig
from sleepkd.distillation.terms import TERMS, TermSettings, active_terms, term_settings
from sleepkd.models import network_settings
from sleepkd.training.settings import TrainConfig


def start_sources(value: Any, key: str) -> str | dict[str, str]:
    """A stage, or stages by part; UserError where it is neither."""
    if isinstance(value, Mapping):
        for part, source in value.items():
            require(isinstance(source, str) and bool(source), f"{key}.{part}", f"expected a stage, got {source!r}")
        return dict(value)
    require(isinstance(value, str), key, f"expected a stage or stages by part, got {value!r}")
    return value


@dataclass(frozen=True)
class StageConfig:
    """One training stage. `teacher` and `start_from` name an earlier stage of the same `runs_root`, or a checkpoint.

    inputs: what the network that is trained sees, by signal: eeg, ecg, beats; {} takes what `data` says, false leaves
    out one that an earlier config names. start_from: a stage for the whole network, or one for each of some parts, say
    {encoders.ecg: night_ecg}; what a part is called there comes after a colon: {encoders.ecg.bottom: ecg_base:bottom}.
    """

    name: str = ""
    inputs: Annotated[InputSpec, input_spec] = field(default_factory=dict)
    teacher: str = ""
    start_from: Annotated[str | dict[str, str], start_sources] = ""

    @property
    def start_parts(self) -> dict[str, tuple[str, str]]:
        """{path of a module here: (stage or checkpoint, path of the module there)}; "" is the whole network."""
        if isinstance(self.start_from, str):
            return {"": (self.start_from, "")} if self.start_from else {}
        found = {}
        for part, source in self.start_from.items():
            stage, colon, there = source.rpartition(":")
            found[part] = (stage, there) if colon else (source, part)
        return found

    @property
    def starts(self) -> tuple[str, ...]:
        """The stages or checkpoints that it starts from, each once."""
        return tuple(dict.fromkeys(stage for stage, _ in self.start_parts.values()))


@dataclass(frozen=True)
class DistillConfig:
    """cache_teacher: keep what the terms need of the teacher's answers on disk, and run it once only."""

    cache_teacher: bool = False


@dataclass(frozen=True)
class Config:
    """A whole run. model: of `models.NETWORKS`; loss: of `distillation.terms.TERMS`, by name."""

    runs_root: str = "runs"
    stage: StageConfig = field(default_factory=StageConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: Annotated[Any, network_settings] = field(default_factory=lambda: network_settings({}))
    loss: Annotated[dict[str, TermSettings], term_settings] = field(default_factory=dict)
    distill: DistillConfig = field(default_factory=DistillConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def run_directory(self) -> Path:
        """Where this run keeps its checkpoints and logs."""
        return self.stage_directory(self.stage.name)

    def stage_directory(self, stage: str) -> Path:
        """The run directory of a stage of the same `runs_root` and number of classes."""
        return Path(self.runs_root) / f"{self.data.classes}class" / stage

    @property
    def terms(self) -> dict[str, TermSettings]:
        """The settings of the terms that have a weight, in the order of `TERMS`."""
        return active_terms(self.loss)

    @property
    def needs_teacher(self) -> bool:
        """Whether any term does."""
        return any(TERMS[name].needs_teacher for name in self.terms)

    @property
    def tells_stages(self) -> bool:
        """Whether any term teaches the network's answers; features alone leave its last layer as it was."""
        return any(TERMS[name].needs_logits for name in self.terms)


def load_config(files: list[str], overrides: list[str]) -> Config:
    """Merge YAML files left to right, then `a.b=value` overrides, over the defaults.

    Raises UserError naming the file or key: no such file, unknown key, wrong type, impossible value.
    """
    config = config_of(merged(files, overrides))
    check(config)
    return config


def config_of(values: Mapping[str, Any]) -> Config:
    """The config in nested values, say those of a checkpoint; UserError names the key that is unknown or wrong."""
    return from_dict(Config, dict(values))


def check(config: Config) -> None:
    """Refuse impossible values by key, before anything is loaded."""
    stage = config.stage
    require(bool(stage.name), "stage.name", "is missing: give a stage's config, for example --config feat_temp.yaml")
    is_folder = stage.name.strip(".") and not set("/\\") & set(stage.name)
    require(bool(is_folder), "stage.name", f"{stage.name!r} cannot name a folder of runs_root")
    require(bool(stage.inputs), "stage.inputs", "is missing: name what the network sees, for example {ecg: {}}")
    config.data.check()
    config.model.check()
    config.train.check()
    for name, settings in config.loss.items():
        settings.check(f"loss.{name}")
    require(bool(config.terms), "loss", "no term has a weight: nothing to train on")
    for name in config.terms if config.data.view == "epochs" and config.data.window == 1 else ():
        alone = TERMS[name].needs_sequence
        require(
            not alone, f"loss.{name}", "compares sleep epochs of a row: set data.view: night, or data.window above 1"
        )
    needing = " or ".join(f"loss.{name}" for name in config.terms if TERMS[name].needs_teacher)
    require(not needing or bool(stage.teacher), "stage.teacher", f"is missing, and {needing} needs one")
