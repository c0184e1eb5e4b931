"""A network out of a checkpoint, with what it was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from sleepkd.config import to_dict
from sleepkd.data.inputs import InputSpec, input_spec, resolve, said
from sleepkd.distillation.settings import Config, config_of
from sleepkd.errors import UserError
from sleepkd.models import build_network
from sleepkd.training.checkpoint import Checkpoint, Position, load_weights, read_checkpoint

NETWORK = "network"
"""What a network by itself is called among the readers of its windows."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network in evaluation mode, what it wants to see, and the checkpoint it came from."""

    network: nn.Module
    inputs: InputSpec
    config: Config
    checkpoint: Checkpoint
    path: Path

    @property
    def readers(self) -> dict[str, InputSpec]:
        """What windows that are read for this network alone are read for."""
        return {NETWORK: self.inputs}

    def seeing(self, names: Sequence[str]) -> "TrainedNetwork":
        """The same network shown some of its inputs only. Raises UserError where it cannot do without the others."""
        unknown = [name for name in names if name not in self.inputs]
        if unknown:
            raise UserError(f"--inputs: {self.path} was trained on {', '.join(self.inputs)}, not on {unknown[0]}")
        if len(names) < len(self.inputs) and not getattr(self.network, "may_lack_inputs", False):
            raise UserError(f"--inputs: {self.path} holds {self.config.model.name}, which needs all of its inputs")
        return replace(self, inputs={name: item for name, item in self.inputs.items() if name in names})

    @property
    def sees(self) -> str:
        """Its inputs in a word."""
        return said(self.inputs)


def load_trained(path: Path) -> TrainedNetwork:
    """The network of a checkpoint, frozen and in evaluation mode, on the CPU; built from its own config."""
    checkpoint = read_checkpoint(path)
    inputs = input_spec(checkpoint.inputs, f"{path}: inputs")
    config = config_of(checkpoint.config)
    network = build_network(config.model, config.data.classes, inputs, config.data.view)
    load_weights(network, checkpoint.model, path)
    return TrainedNetwork(network.eval().requires_grad_(False), inputs, config, checkpoint, path)


def load_start(config: Config, network: nn.Module) -> None:
    """Give a network, or parts of it, the weights that `stage.start_from` names.

    Raises UserError: no such stage or part, other classes (of a whole network), another shape.
    """
    for part, (stage, part_there) in config.stage.start_parts.items():
        path = checkpoint_of(config, stage, "stage.start_from")
        start = read_checkpoint(path)
        if not part:
            _check_classes(config, config_of(start.config), path)
            load_weights(network, start.model, path)
            continue
        try:
            module = network.get_submodule(part)
        except AttributeError:
            raise UserError(f"stage.start_from.{part}: the network has no such module") from None
        prefix = f"{part_there}."
        weights = {name.removeprefix(prefix): x for name, x in start.model.items() if name.startswith(prefix)}
        if not weights:
            raise UserError(f"stage.start_from.{part}: {path} has no module {part_there}")
        load_weights(module, weights, path)


def load_teacher(config: Config, name: str) -> TrainedNetwork:
    """A network that `stage.teacher` names. Raises UserError: not there, of other classes or another view."""
    teacher = load_trained(checkpoint_of(config, name, "stage.teacher"))
    _check_classes(config, teacher.config, teacher.path)
    if teacher.config.data.view != config.data.view:
        raise UserError(
            f"{teacher.path}: answers in view {teacher.config.data.view}, data.view is {config.data.view}; "
            "a teacher and its student look at a night in the same way"
        )
    return teacher


def checkpoint_of_network(
    config: Config, inputs: InputSpec, network: nn.Module, position: Position, **more: dict
) -> Checkpoint:
    """What is saved of a network; more: `scores`, `training`."""
    spec = {name: to_dict(item) for name, item in inputs.items()}
    return Checkpoint(to_dict(config), spec, network.state_dict(), position, **more)


def untrained(config: Config, rate_hz: float) -> Checkpoint:
    """A checkpoint of a config's network with its first weights, for signals at rate_hz."""
    inputs = resolve(config.stage.inputs, config.data, rate_hz)
    network = build_network(config.model, config.data.classes, inputs, config.data.view)
    return checkpoint_of_network(config, inputs, network, Position())


def checkpoint_of(config: Config, name: str, key: str) -> Path:
    """The checkpoint a config means by a path (it ends in .pt) or by the name of an earlier stage."""
    if name.endswith(".pt"):
        path, advice = Path(name), "check the path"
    else:
        path = best_or_last(config.stage_directory(name))
        advice = f"train {name} first, or name a checkpoint (….pt)"
    if not path.is_file():
        raise UserError(f"{key}: no checkpoint at {path}; {advice}")
    return path


def best_or_last(folder: Path) -> Path:
    """The checkpoint of a run that validation chose, or its last where nothing was validated; it may not be there."""
    return next((folder / name for name in ("best.pt", "last.pt") if (folder / name).is_file()), folder / "best.pt")


def _check_classes(config: Config, other: Config, path: Path) -> None:
    """UserError where an earlier stage was trained for another number of classes."""
    if config.data.classes != other.data.classes:
        raise UserError(
            f"{path}: was trained for {other.data.classes} classes, data.classes is {config.data.classes}; "
            f"set data.classes={other.data.classes} or train the earlier stage for {config.data.classes}"
        )
