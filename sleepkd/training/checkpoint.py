"""Checkpoints: written whole or not at all, read strictly, never executing what they hold; and networks out of them."""

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sleepkd.errors import UserError

FORMAT = 2
BEFORE = 1
"""Written before networks had inputs of their own; nothing in it says what its network saw."""


@dataclass
class Position:
    """How far a run has come: the next update to do is number `update` of epoch `epoch`, both counted from 0."""

    epoch: int = 0
    update: int = 0
    seconds: float = 0.0
    best_score: float | None = None  # of the validations so far; higher is better
    best_epoch: int | None = None
    stale: int = 0  # validations since the best one
    reductions: int = 0  # of the learning rate, by a plateau


@dataclass
class Checkpoint:
    """A network, what it was trained with, and (in last.pt) all that it takes to go on.

    inputs: what the network wants to see, with every choice made (`data.inputs.InputSpec` as plain values).
    scores: what was measured on the validation nights, where anything was.
    """

    config: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    model: dict[str, Tensor]
    position: Position = field(default_factory=Position)
    scores: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint, keep: Path | None = None) -> None:
    """Write to a temporary file of the same folder, flush it to the disk, then rename: never a half-written file.

    keep: another name for what stood at `path` before. Raises UserError where it cannot be written (a full disk, say).
    """
    content = {"format": FORMAT, **{k: v for k, v in vars(checkpoint).items() if k != "position"}}
    content["position"] = asdict(checkpoint.position)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            if keep and path.exists():
                _give_name(path, keep)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    except RuntimeError as error:  # what torch's writer makes of a full disk
        raise UserError(f"{path}: cannot be written, is the disk full? {error}") from None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU with weights_only=True; UserError where it is none, or damaged."""
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file makes the reader stumble in every way there is
        raise UserError(f"{path}: is damaged or no checkpoint; delete it or name another") from None
    try:
        if (written := content.pop("format")) == BEFORE:
            raise UserError(
                f"{path}: was trained by an earlier version of sleepkd and does not say what its network saw; train it "
                "again, or use it with the version that its environment.json names"
            )
        if written != FORMAT:
            raise KeyError("format")
        return Checkpoint(**content | {"position": Position(**content["position"])})
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is not a checkpoint of this version of sleepkd") from None


def _give_name(path: Path, name: Path) -> None:
    """Give a file a second name, taking it from what has it; at every moment both names stand for whole files."""
    temporary = name.with_name(f".{name.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, temporary)
    os.replace(temporary, name)


def load_weights(module: nn.Module, weights: dict[str, Tensor], source: Path) -> None:
    """Load weights strictly; UserError lists the names that are missing, extra, or of another shape."""
    own = module.state_dict()
    missing = sorted(own.keys() - weights.keys())
    extra = sorted(weights.keys() - own.keys())
    shapes = sorted(name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape)
    problems = [
        f"{what}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        for what, names in (("missing", missing), ("unexpected", extra), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise UserError(f"{source}: its weights do not fit this network; {'; '.join(problems)}")
    module.load_state_dict(weights)
