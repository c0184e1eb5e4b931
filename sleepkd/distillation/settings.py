"""A whole run as data: which stage, on which nights, with which network, loss and loop. A config YAML is this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from sleepkd.config import from_dict, merged, require
from sleepkd.data.inputs import InputSpec, input_spec
from sleepkd.data.settings import DataConfig
from sleepkd.distillation.terms import TERMS, TermSettings, active_terms, term_settings
from sleepkd.errors import UserError
from sleepkd.models import network_settings
from sleepkd.training.settings import TrainConfig

OWN_AVERAGE = "self"
"""A teacher: the moving average of the student's own weights."""
STAGER_NAMES = ("yasa",)
"""Teachers of other libraries, see `stagers.STAGERS`."""


def teacher_names(value: Any, key: str) -> str | tuple[str, ...]:
    """A stage, a checkpoint or a kind of teacher, or several of the first two; UserError where it is neither."""
    if isinstance(value, str):
        return value
    several = isinstance(value, list | tuple) and value and all(isinstance(name, str) and name for name in value)
    require(bool(several), key, f"expected a stage, or a list of stages, got {value!r}")
    return tuple(value)


def fitted_or_number(value: Any, key: str) -> str | float:
    """A temperature: "fitted", or a number."""
    if value == "fitted":
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{key}: expected fitted or a number, got {value!r}") from None


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

    teacher: several, as a list, are an ensemble; "self" is the moving average of the student's own weights; "yasa" is
    that library's stager, on the EEG of the nights.
    inputs: what the network that is trained sees, by signal: eeg, ecg, beats; {} takes what `data` says, false leaves
    out one that an earlier config names. start_from: a stage for the whole network, or one for each of some parts, say
    {encoders.ecg: night_ecg}; what a part is called there comes after a colon: {encoders.ecg.bottom: ecg_base:bottom}.
    """

    name: str = ""
    inputs: Annotated[InputSpec, input_spec] = field(default_factory=dict)
    teacher: Annotated[str | tuple[str, ...], teacher_names] = ""
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
    def teachers(self) -> tuple[str, ...]:
        """Those that `teacher` names."""
        return tuple(filter(None, (self.teacher,))) if isinstance(self.teacher, str) else self.teacher

    @property
    def earlier(self) -> tuple[str, ...]:
        """The stages or checkpoints that it learns from or starts from, each once."""
        learns = [name for name in self.teachers if name not in (OWN_AVERAGE, *STAGER_NAMES)]
        return tuple(dict.fromkeys((*learns, *self.starts)))

    @property
    def starts(self) -> tuple[str, ...]:
        """The stages or checkpoints that it starts from, each once."""
        return tuple(dict.fromkeys(stage for stage, _ in self.start_parts.values()))


@dataclass(frozen=True)
class TrustConfig:
    """min_confidence: sleep epochs whose most likely class the teacher gives less are not taught by it.

    temperature: the teacher's logits are divided by it, before all else; "fitted": by the one that `evaluate.py
    --calibrate` left beside the teacher's checkpoint.
    """

    min_confidence: float = 0.0
    temperature: Annotated[str | float, fitted_or_number] = 1.0

    def check(self, key: str) -> None:
        """Refuse impossible values by key."""
        least, temperature = self.min_confidence, self.temperature
        require(0 <= least < 1, f"{key}.min_confidence", f"must be at least 0 and below 1, is {least}")
        positive = temperature == "fitted" or 0 < float(temperature) < float("inf")
        require(positive, f"{key}.temperature", f"must be fitted or positive, is {temperature}")


@dataclass(frozen=True)
class DistillConfig:
    """cache_teacher: keep what the terms need of the teacher's answers on disk, and run it once only.

    ensemble: several teachers count alike, or by the kappa that each has on its validation nights.
    """

    cache_teacher: bool = False
    ensemble: Literal["alike", "kappa"] = "alike"
    trust: TrustConfig = field(default_factory=TrustConfig)


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
    _check_teachers(config)


def _check_teachers(config: Config) -> None:
    """Refuse what a kind of teacher cannot do."""
    named, trust = config.stage.teachers, config.distill.trust
    trust.check("distill.trust")
    special = [name for name in named if name in (OWN_AVERAGE, *STAGER_NAMES)]
    require(not special or len(named) == 1, "stage.teacher", f"{', '.join(special)} teaches alone, not in an ensemble")
    if not special or not config.needs_teacher:
        return
    for name, settings in config.terms.items():
        taps = settings.teacher_taps
        require(not taps, f"loss.{name}", f"needs the features of a network; stage.teacher is {special[0]}")
    require(
        trust.temperature != "fitted",
        "distill.trust.temperature",
        f"fitted goes with checkpoints, not with {special[0]}",
    )
    if special == [OWN_AVERAGE]:
        require(config.train.ema_decay > 0, "train.ema_decay", "must be above 0 for stage.teacher: self")
        require(not config.distill.cache_teacher, "distill.cache_teacher", "cannot keep a teacher that changes: self")
        require(trust.temperature == 1, "distill.trust.temperature", "is for a teacher that does not change, not self")
