"""Settings of a training run: stage, data, model, losses, distillation, training loop. A config YAML is a `Config`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from sleepkd.config import from_dict, merged, renamed, require, to_dict
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.stage_inputs import InputSettings, input_settings
from sleepkd.errors import UserError
from sleepkd.losses import LOSSES, LossSettings, active_losses, loss_settings
from sleepkd.models import network_settings

RENAMED_KEYS = {
    "data.crop_minutes": "data.segment_minutes",
    "data.window": "data.sleep_epochs",
    "data.augment.polarity": "data.augment.inversion",
    "data.augment.lead_off": "data.augment.electrode_dropout",
    "data.augment.stretch": "data.augment.rr_scale",
    "loss.at.of_teacher": "loss.at.teacher_taps",
    **{f"loss.{name}.of_teacher": f"loss.{name}.teacher_tap" for name in ("hint", "vid", "sp", "rkd", "crd")},
    "loss.rkd.at_most": "loss.rkd.max_sleep_epochs",
}
"""Keys of earlier versions, by dotted path. YAML files, --set and checkpoints may still use them."""
RENAMED_VALUES = {"loss.at.normalisation": {"window": "sample"}, "distill.ensemble": {"alike": "equal"}}
"""Values of earlier versions, by the key's current dotted path."""
SHIPPED_NAME = "shipped"
"""What `stage.start_from` and `stage.teacher` call the network that ships with sleepkd."""


def teacher_names(value: Any, key: str) -> str | tuple[str, ...]:
    """The name of a teacher, or a tuple of names. Raises UserError where `value` is neither."""
    if isinstance(value, str):
        return value
    several = isinstance(value, list | tuple) and value and all(isinstance(name, str) and name for name in value)
    require(bool(several), key, f"expected a stage, or a list of stages, got {value!r}")
    return tuple(value)


def fitted_or_number(value: Any, key: str) -> str | float:
    """A temperature: "fitted" or a number. Raises UserError where `value` is neither."""
    if value == "fitted":
        return "fitted"
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"{key}: expected fitted or a number, got {value!r}") from None


def start_sources(value: Any, key: str) -> str | dict[str, str]:
    """A stage, or {module path: stage}. Raises UserError where `value` is neither."""
    if isinstance(value, Mapping):
        for part, source in value.items():
            require(isinstance(source, str) and bool(source), f"{key}.{part}", f"expected a stage, got {source!r}")
        return dict(value)
    require(isinstance(value, str), key, f"expected a stage, or stages by module path, got {value!r}")
    return value


@dataclass(frozen=True)
class StageConfig:
    """One training stage.

    name: of the stage and its run directory.
    inputs: signals that the student sees, each with its settings; {} takes the defaults of `data`, false removes a
    signal that an earlier config names.
    teacher: an earlier stage of the same `runs_root`, a checkpoint (….pt), shipped (the network that ships with
    sleepkd), a list of these (an ensemble), or a name of `teachers.TEACHERS`. A teacher that the student starts from
    reads the student's inputs.
    start_from: a stage, a checkpoint or shipped, whose weights the student starts from, or one per module, for example
    {encoders.ecg: night_ecg}. A module with another path there follows a colon: {encoders.ecg.bottom: ecg_base:bottom}.
    With a checkpoint or shipped, `model`, `data.classes`, `data.view` and `stage.inputs` are those of the checkpoint
    unless they are set; inputs that no training night holds are left out.
    """

    name: str = ""
    inputs: Annotated[InputSettings, input_settings] = field(default_factory=dict)
    teacher: Annotated[str | tuple[str, ...], teacher_names] = ""
    start_from: Annotated[str | dict[str, str], start_sources] = ""

    @property
    def start_modules(self) -> dict[str, tuple[str, str]]:
        """{module path of the student: (stage or checkpoint, its module path)}; "" is the whole network."""
        if isinstance(self.start_from, str):
            return {"": (self.start_from, "")} if self.start_from else {}
        found = {}
        for module, source in self.start_from.items():
            stage, colon, source_module = source.rpartition(":")
            found[module] = (stage, source_module) if colon else (source, module)
        return found

    @property
    def teachers(self) -> tuple[str, ...]:
        """The names in `teacher`."""
        return tuple(filter(None, (self.teacher,))) if isinstance(self.teacher, str) else self.teacher

    @property
    def starts(self) -> tuple[str, ...]:
        """The stages or checkpoints in `start_from`, each once."""
        return tuple(dict.fromkeys(stage for stage, _ in self.start_modules.values()))


@dataclass(frozen=True)
class TrustConfig:
    """How far the student trusts the teacher.

    min_confidence: losses that need a teacher skip sleep epochs whose largest teacher probability is below this.
    temperature: divides the teacher's logits before any loss; "fitted" reads the temperature that
    `evaluate.py --calibrate` stored beside the teacher's checkpoint.
    """

    min_confidence: float = 0.0
    temperature: Annotated[str | float, fitted_or_number] = 1.0

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        confidence, temperature = self.min_confidence, self.temperature
        require(0 <= confidence < 1, f"{key}.min_confidence", f"must be at least 0 and below 1, is {confidence}")
        positive = temperature == "fitted" or 0 < float(temperature) < math.inf
        require(positive, f"{key}.temperature", f"must be fitted or positive, is {temperature}")


@dataclass(frozen=True)
class DistillConfig:
    """Distillation.

    cache_teacher: compute the teacher targets once and keep them on disk.
    ensemble: weights of several teachers: equal, or proportional to their validation kappa.
    """

    cache_teacher: bool = False
    ensemble: Literal["equal", "kappa"] = "equal"
    trust: TrustConfig = field(default_factory=TrustConfig)


@dataclass(frozen=True)
class TrainConfig:
    """The training loop.

    epochs: training epochs.
    batch_size: segments per update over all processes and micro-batches.
    accumulate: micro-batches per update.
    optimizer: a name of `train_ddp.OPTIMIZERS`: adam or adamw.
    learning_rate: after the warm-up, before the schedule.
    weight_decay: for all weights except biases and gains of normalisation layers.
    schedule: of the learning rate: constant, half a cosine to 0, or reductions at a plateau of the validation score.
    warmup_updates: updates over which the learning rate rises linearly.
    plateau_patience: validations without a better score before a reduction.
    plateau_factor: the factor of a reduction.
    stop_patience: validations without a better score before training stops; 0 never stops early.
    ema_decay: above 0, a moving average of the student's weights is validated and saved as best.pt. Without validation,
    best.pt is the average after the last training epoch.
    clip_norm: largest gradient norm; 0 does not clip.
    precision: auto is bf16 on a CUDA device that supports it, else fp32. Losses are computed in float32 or float64.
    compile: compile student and teacher with torch.compile.
    device: auto is CUDA where available.
    seed: of initial weights, batches, augmentation and dropout.
    validate_every: training epochs between validations; 0 never validates.
    monitor: what best.pt is chosen by: the highest weighted F1 or the lowest loss.
    log_every: updates between log lines.
    timeout_minutes: how long processes wait for one another before they fail and torchrun restarts them.
    """

    epochs: int = 150
    batch_size: int = 256
    accumulate: int = 1
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    warmup_updates: int = 0
    plateau_patience: int = 5
    plateau_factor: float = 0.1
    stop_patience: int = 0
    ema_decay: float = 0.0
    clip_norm: float = 0.0
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp64"] = "auto"
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    validate_every: int = 2
    monitor: Literal["weighted_f1", "loss"] = "weighted_f1"
    log_every: int = 10
    timeout_minutes: float = 10.0

    def check(self) -> None:
        """Raise UserError naming the key of an impossible value."""
        for key in ("epochs", "batch_size", "accumulate", "log_every", "plateau_patience"):
            value = getattr(self, key)
            require(value >= 1, f"train.{key}", f"must be at least 1, is {value}")
        for key in (
            "warmup_updates", "stop_patience", "ema_decay", "validate_every", "clip_norm", "seed", "weight_decay",
        ):  # fmt: skip
            value = getattr(self, key)
            require(0 <= value < math.inf, f"train.{key}", f"must be 0 or more, is {value}")
        for key in ("learning_rate", "timeout_minutes"):
            value = getattr(self, key)
            require(0 < value < math.inf, f"train.{key}", f"must be positive, is {value}")
        require(self.ema_decay < 1, "train.ema_decay", f"must be below 1, is {self.ema_decay}")
        between = 0 < self.plateau_factor < 1
        require(between, "train.plateau_factor", f"must lie between 0 and 1, is {self.plateau_factor}")


@dataclass(frozen=True)
class Config:
    """All settings of a training run.

    runs_root: the folder of all run directories.
    model: settings of one of `models.NETWORKS`.
    loss: settings by name of `losses.LOSSES`.
    """

    runs_root: str = "runs"
    stage: StageConfig = field(default_factory=StageConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: Annotated[Any, network_settings] = field(default_factory=lambda: network_settings({}))
    loss: Annotated[dict[str, LossSettings], loss_settings] = field(default_factory=dict)
    distill: DistillConfig = field(default_factory=DistillConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def run_directory(self) -> Path:
        """The folder of this run's checkpoints and logs."""
        return self.stage_directory(self.stage.name)

    def stage_directory(self, stage: str) -> Path:
        """The run directory of a stage of the same `runs_root` and number of classes."""
        return Path(self.runs_root) / f"{self.data.classes}class" / stage

    @property
    def active_losses(self) -> dict[str, LossSettings]:
        """The settings of the losses with a weight above 0, in the order of `LOSSES`."""
        return active_losses(self.loss)

    @property
    def student_modules(self) -> tuple[str, ...]:
        """Paths of the student's modules that the active losses tap, each once."""
        return _each_once(path for settings in self.active_losses.values() for path in settings.student_modules)

    @property
    def teacher_modules(self) -> tuple[str, ...]:
        """Paths of the teacher's modules that the active losses tap, each once."""
        return _each_once(path for settings in self.active_losses.values() for path in settings.teacher_modules)

    @property
    def tap_keys(self) -> str:
        """The settings to look at where a tapped module does not exist."""
        return " or ".join(f"loss.{name}" for name, of_loss in self.active_losses.items() if of_loss.student_modules)

    @property
    def needs_teacher(self) -> bool:
        """Whether any active loss reads teacher targets."""
        return any(LOSSES[name].needs_teacher for name in self.active_losses)

    @property
    def trains_logits(self) -> bool:
        """Whether any active loss reads the student's logits; feature losses alone leave the last layers untrained."""
        return any(LOSSES[name].needs_logits for name in self.active_losses)


def _each_once(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(paths))


def load_config(files: list[str], overrides: list[str]) -> Config:
    """Merge YAML files left to right, then `a.b=value` overrides, over the defaults.

    `checkpoints.run_config.load_run_config` also takes settings from a checkpoint that the run starts from.
    Raises UserError naming the file or key: no such file, unknown key, wrong type, impossible value.
    """
    return checked_config(merged_settings(files, overrides))


def merged_settings(files: list[str], overrides: list[str]) -> dict[str, Any]:
    """The settings that YAML files and overrides set, with current keys. Raises UserError naming the file or key."""
    return merged(files, overrides, RENAMED_KEYS, RENAMED_VALUES)


def checked_config(values: dict[str, Any]) -> Config:
    """The config of these settings, over the defaults. Raises UserError naming a wrong key or an impossible value."""
    config = from_dict(Config, values)
    check(config)
    return config


def config_of(values: Mapping[str, Any]) -> Config:
    """The config in nested values, for example a checkpoint's. Raises UserError naming an unknown or wrong key."""
    return from_dict(Config, renamed(values, RENAMED_KEYS, RENAMED_VALUES, quiet=True))


def check(config: Config) -> None:
    """Raise UserError naming the key of an impossible value, before anything is loaded."""
    stage = config.stage
    require(bool(stage.name), "stage.name", "is missing: give a stage's config, for example --config feat_temp.yaml")
    is_folder = stage.name.strip(".") and not set("/\\") & set(stage.name)
    require(bool(is_folder), "stage.name", f"{stage.name!r} cannot name a folder of runs_root")
    require(stage.name != SHIPPED_NAME, "stage.name", f"{SHIPPED_NAME} is the network that ships; choose another name")
    require(
        bool(stage.inputs), "stage.inputs", "is missing: name the signals that the student sees, for example {ecg: {}}"
    )
    config.data.check()
    config.model.check()
    config.train.check()
    config.distill.trust.check("distill.trust")
    for name, settings in config.loss.items():
        settings.check(f"loss.{name}")
    require(bool(config.active_losses), "loss", "no loss has a weight above 0: nothing to train on")
    for name in config.active_losses if config.data.view == "epochs" and config.data.sleep_epochs == 1 else ():
        require(
            not LOSSES[name].needs_sequence,
            f"loss.{name}",
            "compares the sleep epochs of a segment: set data.view: night, or data.sleep_epochs above 1",
        )
    needing = " or ".join(f"loss.{name}" for name in config.active_losses if LOSSES[name].needs_teacher)
    require(not needing or bool(stage.teacher), "stage.teacher", f"is missing, and {needing} needs one")


RUNTIME_KEYS = (
    "runs_root", "data.store", "data.workers", "data.prefetch", "data.pin_memory", "distill.cache_teacher",
    "train.device", "train.compile", "train.accumulate", "train.log_every", "train.timeout_minutes",
)  # fmt: skip
"""Keys that change how or where a run computes, not what. A run may be resumed with other values of these."""


def result_settings(config: Config) -> dict[str, Any]:
    """Settings by dotted key without `RUNTIME_KEYS`: what the weights depend on besides the recordings and the inputs.

    The stores of `data.nights` are left out: a store may have moved. So is `stage.inputs`: a checkpoint holds the
    resolved inputs.
    """
    flat = _flat(to_dict(config))
    values = {k: value for k, value in flat.items() if k not in RUNTIME_KEYS and not k.startswith("stage.inputs.")}
    values["data.nights"] = [entry | {"store": ""} for entry in values["data.nights"]]
    return values


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
