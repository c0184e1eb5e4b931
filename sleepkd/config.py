"""What a run can be told: frozen dataclasses are schema and defaults; YAML files and --set fill them in, strictly."""

import dataclasses
import difflib
import math
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from sleepkd.errors import UserError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"

Signal = Literal["eeg", "ecg"]


@dataclass(frozen=True)
class StageConfig:
    """One training stage. `teacher` and `start_from` name an earlier stage of the same `runs_root`, or a checkpoint."""

    name: str = ""
    signal: Signal = "ecg"
    teacher: str = ""
    start_from: str = ""


@dataclass(frozen=True)
class DataConfig:
    """Which windows a network sees. `classes` 3: W NREM REM; 4: W light deep REM; 5: W N1 N2 N3 REM.

    workers: reading processes per training process, -1: four on CUDA, none on CPU; prefetch: batches each reads ahead.
    """

    store: str = "store"
    split: str = "default"
    classes: Literal[3, 4, 5] = 4
    window: int = 1
    normalisation: Literal["robust_night", "minmax_window"] = "robust_night"
    clip: float = 20.0
    ecg_polarity: Literal["corrected", "as_recorded", "inverted"] = "corrected"
    alignment: Literal["exact", "truncated"] = "exact"
    workers: int = -1
    prefetch: int = 4
    pin_memory: Literal["auto", "yes", "no"] = "auto"


@dataclass(frozen=True)
class ModelConfig:
    """U-Time's size; the defaults are the published ones (method.md, 'Network')."""

    filters: tuple[int, ...] = (16, 32, 64, 128, 256)
    pools: tuple[int, ...] = (3, 2, 2, 2, 2)
    bottom_filters: int = 512
    kernel: int = 5
    dilation: int = 2
    norm: Literal["batch", "sync_batch", "group"] = "batch"


# Joshi et al.: five groups of features, each the mean over its members, the loss the mean over the groups.
ATTENTION_TAPS = (
    ("encoder.0.pool", "encoder.1.pool", "encoder.2.pool", "encoder.3.pool", "encoder.4.pool"),
    ("bottom",),
    ("decoder.0", "decoder.1", "decoder.2", "decoder.3", "decoder.4"),
    ("decoder.4",),
    ("dense",),
)


@dataclass(frozen=True)
class LossConfig:
    """The weights of the three terms. A term of weight 0 is not computed."""

    ce: float = 1.0
    kd: float = 0.0
    at: float = 0.0
    class_weights: Literal["balanced", "none"] = "balanced"


@dataclass(frozen=True)
class DistillConfig:
    """How the terms that need a teacher are defined.

    cache_teacher: keep what the teacher says of every window on disk, and run it once only.
    """

    temperature: float = 2.0
    kd_mean: Literal["sleep_epoch", "element"] = "sleep_epoch"
    at_normalisation: Literal["window", "batch"] = "window"
    at_taps: tuple[tuple[str, ...], ...] = ATTENTION_TAPS
    cache_teacher: bool = False


@dataclass(frozen=True)
class TrainConfig:
    """The loop. `batch_size` is global: processes and micro-batches (`accumulate`) share it out.

    schedule, stop_patience, ema_decay and clip_norm are off by default, as published. Patience is counted in
    validations. ema_decay: what is validated and kept as best.pt is a moving average of the student's weights.
    precision: auto is bf16 on a CUDA device that computes in it, else fp32; losses are in float32 at least.
    timeout_minutes: how long processes wait for one another before they fail, for torchrun to restart them.
    """

    epochs: int = 150
    batch_size: int = 256
    accumulate: int = 1
    learning_rate: float = 1e-3
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


@dataclass(frozen=True)
class Config:
    """A whole run."""

    runs_root: str = "runs"
    stage: StageConfig = field(default_factory=StageConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def run_directory(self) -> Path:
        """Where this run keeps its checkpoints and logs."""
        return self.stage_directory(self.stage.name)

    def stage_directory(self, stage: str) -> Path:
        """The run directory of a stage of the same `runs_root` and number of classes."""
        return Path(self.runs_root) / f"{self.data.classes}class" / stage


def load_config(files: list[str], overrides: list[str]) -> Config:
    """Merge YAML files left to right, then `a.b=value` overrides, over the defaults.

    Raises UserError naming the file or key: no such file, unknown key, wrong type, impossible value.
    """
    merged: dict[str, Any] = {}
    for name in files:
        path = find_config(name)
        _merge(merged, read_yaml(path))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"--set {override}: expected key=value, for example train.epochs=3")
        value: Any = _parse(text, f"--set {override}")
        for part in reversed(key.split(".")):
            value = {part: value}
        _merge(merged, value)
    config = from_dict(Config, merged)
    check(config)
    return config


def find_config(name: str, folder: Path = CONFIGS) -> Path:
    """A config by path, or by bare name (with or without .yaml) in `folder`."""
    candidates = [Path(name), folder / name, folder / f"{name}.yaml"]
    for path in candidates:
        if path.is_file():
            return path
    known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
    raise UserError(f"{name}: no such config, here or in {folder.name}/ (which has: {known})")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a mapping; UserError naming the file where it is not one."""
    try:
        content = _parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def check(config: Config) -> None:
    """Refuse impossible values by key, before anything is loaded."""
    stage, data, model, train = config.stage, config.data, config.model, config.train
    loss, distill = config.loss, config.distill
    _require(bool(stage.name), "stage.name", "is missing: give a stage's config, for example --config feat_temp.yaml")
    is_folder = stage.name.strip(".") and not set("/\\") & set(stage.name)
    _require(bool(is_folder), "stage.name", f"{stage.name!r} cannot name a folder of runs_root")
    for key, value in (
        ("data.window", data.window),
        ("train.epochs", train.epochs),
        ("train.batch_size", train.batch_size),
        ("train.accumulate", train.accumulate),
        ("train.log_every", train.log_every),
        ("train.plateau_patience", train.plateau_patience),
        ("data.prefetch", data.prefetch),
        ("model.bottom_filters", model.bottom_filters),
        ("model.dilation", model.dilation),
    ):
        _require(value >= 1, key, f"must be at least 1, is {value}")
    for key, number in (
        ("train.warmup_updates", train.warmup_updates),
        ("train.stop_patience", train.stop_patience),
        ("train.ema_decay", train.ema_decay),
        ("train.validate_every", train.validate_every),
        ("train.clip_norm", train.clip_norm),
        ("train.seed", train.seed),
        ("loss.ce", loss.ce),
        ("loss.kd", loss.kd),
        ("loss.at", loss.at),
    ):
        _require(0 <= number < math.inf, key, f"must be 0 or more, is {number}")
    for key, number in (
        ("data.clip", data.clip),
        ("train.learning_rate", train.learning_rate),
        ("train.timeout_minutes", train.timeout_minutes),
        ("distill.temperature", distill.temperature),
    ):
        _require(0 < number < math.inf, key, f"must be positive, is {number}")
    _require(loss.ce + loss.kd + loss.at > 0, "loss", "ce, kd and at are all 0: nothing to train on")
    _require(data.workers >= -1, "data.workers", f"must be -1 (by device) or more, is {data.workers}")
    _require(train.ema_decay < 1, "train.ema_decay", f"must be below 1, is {train.ema_decay}")
    _require(
        0 < train.plateau_factor < 1, "train.plateau_factor", f"must lie between 0 and 1, is {train.plateau_factor}"
    )
    needs_teacher = loss.kd > 0 or loss.at > 0
    _require(not needs_teacher or bool(stage.teacher), "stage.teacher", "is missing, and loss.kd or loss.at needs one")
    full = bool(distill.at_taps) and all(distill.at_taps)
    _require(loss.at == 0 or full, "distill.at_taps", "has no taps or an empty group")
    _require(len(model.filters) == len(model.pools) >= 1, "model.pools", "must have one value per model.filters")
    _require(min(model.filters) >= 1, "model.filters", "must all be at least 1")
    _require(min(model.pools) >= 1, "model.pools", "must all be at least 1")
    _require(model.kernel >= 1 and model.kernel % 2 == 1, "model.kernel", f"must be odd, is {model.kernel}")


def to_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as plain values (tuples as lists) for YAML and checkpoints."""
    return _plain(dataclasses.asdict(config))


Schema = TypeVar("Schema")


def from_dict(schema: type[Schema], values: dict[str, Any], prefix: str = "") -> Schema:
    """Fill a dataclass from nested mappings; UserError names the dotted key that is unknown or of a wrong type."""
    hints = typing.get_type_hints(schema)
    for key in values:
        if key not in hints:
            nearest = difflib.get_close_matches(str(key), hints, n=1, cutoff=0.0)
            raise UserError(f"{prefix}{key}: unknown key; did you mean {prefix}{nearest[0]}?")
    required = {f.name for f in dataclasses.fields(schema) if _has_no_default(f)}  # type: ignore[arg-type]
    for key in sorted(required - set(values)):
        raise UserError(f"{prefix}{key}: is missing")
    return schema(**{key: _typed(hints[key], value, f"{prefix}{key}") for key, value in values.items()})


def _has_no_default(f: dataclasses.Field) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _typed(hint: Any, value: Any, key: str) -> Any:
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise UserError(f"{key}: expected a section of keys, got {value!r}")
        return from_dict(hint, value, prefix=f"{key}.")
    if origin is Literal:
        allowed = typing.get_args(hint)
        if not any(value == choice and type(value) is type(choice) for choice in allowed):
            raise UserError(f"{key}: must be one of {', '.join(map(str, allowed))}; is {value!r}")
        return value
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise UserError(f"{key}: expected a list, got {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(_typed(item, entry, f"{key}[{i}]") for i, entry in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise UserError(f"{key}: expected keys and values, got {value!r}")
        item = typing.get_args(hint)[1]
        return {str(name): _typed(item, entry, f"{key}.{name}") for name, entry in value.items()}
    if origin in (types.UnionType, typing.Union):  # T | None
        return None if value is None else _typed(typing.get_args(hint)[0], value, key)
    if hint is float and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as text
        except (TypeError, ValueError):
            pass
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"{key}: expected {hint.__name__}, got {value!r}")


class _Loader(yaml.SafeLoader):
    """Safe, and strict: a key given twice is an error, not the last one's win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not valid YAML: {error}") from None


def _merge(base: dict[str, Any], overlay: dict[str, Any]) -> None:
    for key, value in overlay.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _require(holds: bool, key: str, problem: str) -> None:
    if not holds:
        raise UserError(f"{key}: {problem}")
