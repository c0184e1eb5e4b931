"""Load a trained network from a checkpoint, with the settings and the recordings that it was trained on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sleepkd.checkpoints.checkpoint import Checkpoint, Position, load_weights, read_checkpoint
from sleepkd.checkpoints.shipped import shipped_checkpoint
from sleepkd.config import to_dict
from sleepkd.data.held_inputs import AbsentInputs
from sleepkd.data.inputs import InputSpec
from sleepkd.data.stage_inputs import describe_inputs, input_spec, resolve
from sleepkd.errors import UserError
from sleepkd.models import build_network
from sleepkd.models.ensemble import Ensemble
from sleepkd.models.night_network import NightNetwork
from sleepkd.settings import SHIPPED_NAME, Config, config_of

NETWORK = "network"
"""The reader name of a single network in `Segments.readers`."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network in evaluation mode, its input specification, its settings, and its checkpoint."""

    network: nn.Module
    inputs: InputSpec
    config: Config
    checkpoint: Checkpoint
    path: Path

    @property
    def readers(self) -> dict[str, InputSpec]:
        """What `Segments` reads for this network alone."""
        return {NETWORK: self.inputs}

    @property
    def may_lack_inputs(self) -> bool:
        """Whether the network takes any of its inputs alone."""
        return bool(getattr(self.network, "may_lack_inputs", False))

    @property
    def learnt_absence(self) -> bool:
        """Whether the network may lack inputs and was trained with `data.augment.drop_input`."""
        return self.may_lack_inputs and self.config.data.augment.drops_inputs

    @property
    def absent(self) -> AbsentInputs:
        """Whether `Segments` may read nights for it that lack some of its inputs."""
        return AbsentInputs(may_lack=frozenset({NETWORK} if self.may_lack_inputs else ()))

    def with_inputs(self, names: Sequence[str]) -> "TrainedNetwork":
        """The same network restricted to some of its inputs. Raises UserError where it needs the others."""
        unknown = [name for name in names if name not in self.inputs]
        if unknown:
            raise UserError(f"--inputs: {self.path} was trained on {', '.join(self.inputs)}, not on {unknown[0]}")
        if len(names) < len(self.inputs) and not self.may_lack_inputs:
            raise UserError(
                f"--inputs: {self.path} is a {self.config.model.name} network, which needs all of its inputs"
            )
        return replace(self, inputs={name: item for name, item in self.inputs.items() if name in names})

    @property
    def trained_on(self) -> dict[str, list[str]]:
        """{cohort/recording: digests} of the nights behind its weights; {} where the checkpoint did not record them."""
        return self.checkpoint.trained_on or {}

    @property
    def input_names(self) -> str:
        """Its inputs in a few words, for example "ECG + BEATS"."""
        return describe_inputs(self.inputs)


def load_trained(path: Path) -> TrainedNetwork:
    """The network of a checkpoint, frozen, in evaluation mode, on the CPU.

    Raises UserError where the checkpoint is damaged.
    """
    checkpoint = read_checkpoint(path)
    inputs = input_spec(checkpoint.inputs, f"{path}: inputs")
    config = config_of(checkpoint.config)
    network = build_network(config.model, config.data.classes, inputs, config.data.view)
    load_weights(network, checkpoint.model, path)
    return TrainedNetwork(network.eval().requires_grad_(False), inputs, config, checkpoint, path)


def load_start(config: Config, network: nn.Module) -> None:
    """Copy the weights that `stage.start_from` names into a network or its modules; does nothing if it names none.

    A whole network that may lack inputs starts a network of some of them. Raises UserError: no such stage or module,
    other classes (for a whole network), another shape.
    """
    for module_path, (stage, source_module) in config.stage.start_modules.items():
        path = checkpoint_of(config, stage, "stage.start_from")
        start = read_checkpoint(path)
        if not module_path:
            _check_classes(config, config_of(start.config), path)
            load_weights(network, _weights_without(start, config.stage.inputs, path), path)
            continue
        try:
            module = network.get_submodule(module_path)
        except AttributeError:
            raise UserError(f"stage.start_from.{module_path}: the network has no such module") from None
        prefix = f"{source_module}."
        weights = {name.removeprefix(prefix): x for name, x in start.model.items() if name.startswith(prefix)}
        if not weights:
            raise UserError(f"stage.start_from.{module_path}: {path} has no module {source_module}")
        load_weights(module, weights, path)


def _weights_without(start: Checkpoint, inputs: Collection[str], path: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint's network, restricted to some inputs if it is a network that may lack the others."""
    dropped = [name for name in start.inputs if name not in inputs]
    if not dropped or len(dropped) == len(start.inputs):
        return start.model
    whole = load_trained(path).network
    if not isinstance(whole, NightNetwork | Ensemble):
        return start.model
    whole.drop_inputs(dropped)
    return whole.state_dict()


def load_teacher(config: Config, name: str) -> TrainedNetwork:
    """The trained network that `stage.teacher` names. Raises UserError: not there, more classes, another view."""
    teacher = load_trained(checkpoint_of(config, name, "stage.teacher"))
    if teacher.config.data.classes > config.data.classes:
        _check_classes(config, teacher.config, teacher.path)
    if teacher.config.data.view != config.data.view:
        raise UserError(
            f"{teacher.path}: was trained with data.view {teacher.config.data.view}, this run has {config.data.view}; "
            "teacher and student need the same view"
        )
    return reading_as_student(teacher, config)


def reading_as_student(teacher: TrainedNetwork, config: Config) -> TrainedNetwork:
    """A teacher that the student of a config started from reads the student's inputs; any other reads its own.

    The student may have left out an input of the teacher that its recordings do not hold.
    """
    start, _ = config.stage.start_modules.get("", ("", ""))
    if start and checkpoint_of(config, start, "stage.start_from").resolve() == teacher.path.resolve():
        return teacher.with_inputs([name for name in teacher.inputs if name in config.stage.inputs])
    return teacher


def network_checkpoint(
    config: Config, inputs: InputSpec, network: nn.Module, position: Position, **more: Any
) -> Checkpoint:
    """The checkpoint of a network. more: fields of `Checkpoint` such as `scores` and `training`."""
    spec = {name: to_dict(item) for name, item in inputs.items()}
    return Checkpoint(to_dict(config), spec, network.state_dict(), position, **more)


def untrained(config: Config, rate_hz: float) -> Checkpoint:
    """A checkpoint of a config's network with its initial weights, for signals stored at rate_hz."""
    inputs = resolve(config.stage.inputs, config.data, rate_hz)
    network = build_network(config.model, config.data.classes, inputs, config.data.view)
    return network_checkpoint(config, inputs, network, Position())


def checkpoint_of(config: Config, name: str, key: str) -> Path:
    """The path of a checkpoint. name: a path (….pt), "shipped", or an earlier stage.

    Raises UserError where it does not exist.
    """
    if name == SHIPPED_NAME:
        path, advice = shipped_checkpoint(), "install sleepkd again"
    elif not is_stage(name):
        path, advice = Path(name), "check the path"
    else:
        path = best_or_last(config.stage_directory(name))
        advice = f"train {name} first, or name a checkpoint (….pt)"
    if not path.is_file():
        raise UserError(f"{key}: no checkpoint at {path}; {advice}")
    return path


def is_stage(name: str) -> bool:
    """Whether a name in `stage.start_from` or `stage.teacher` is a stage of the same `runs_root`, not a checkpoint."""
    return name != SHIPPED_NAME and not name.endswith(".pt")


def best_or_last(folder: Path) -> Path:
    """best.pt of a run directory, or last.pt of a run without validation. The file may not exist."""
    return next((folder / name for name in ("best.pt", "last.pt") if (folder / name).is_file()), folder / "best.pt")


def _check_classes(config: Config, other: Config, path: Path) -> None:
    """Raise UserError where an earlier stage was trained for another number of classes."""
    if config.data.classes != other.data.classes:
        raise UserError(
            f"{path}: was trained for {other.data.classes} classes, data.classes is {config.data.classes}; "
            f"set data.classes={other.data.classes} or train the earlier stage for {config.data.classes}"
        )
