"""Write and read checkpoints: atomically, strictly, and without executing code that they contain."""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sleepkd.errors import UserError
from sleepkd.extras import require_extra
from sleepkd.files import write_bytes_atomically

FORMAT = 2
SAFETENSORS = ".safetensors"
"""Ending of the names of checkpoints in the format of the library safetensors."""
METADATA = "sleepkd"
"""Key of the metadata of such a file under which all but the weights is, as JSON."""


@dataclass
class Position:
    """Progress of a run: the next update is number `update` of training epoch `epoch`, both counted from 0."""

    epoch: int = 0
    update: int = 0
    seconds: float = 0.0
    best_score: float | None = None  # best validation score; higher is better
    best_epoch: int | None = None
    stale: int = 0  # validations since the best one
    reductions: int = 0  # times that a plateau reduced the learning rate


@dataclass
class Checkpoint:
    """The weights of a network, its settings, the recordings it was trained on, and the training state (last.pt only).

    inputs: the network's resolved input specification (`data.inputs.InputSpec` as plain values).
    scores: scores on the validation nights, {} without validation.
    training: optimizer, scaler, losses, moving average, random states; {} in best.pt.
    trained_on: {cohort/recording: digests of its signals} of every night that this network, its teachers or the
    networks it started from were trained on. None in checkpoints of version 0.1, which did not record it.
    cadence_bias: {cadence of an averaged heart rate, s: bias of each class's logit}, see `cadence_bias`; {} without.
    """

    config: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    model: dict[str, Tensor]
    position: Position = field(default_factory=Position)
    scores: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    trained_on: dict[str, list[str]] | None = None
    cadence_bias: dict[str, list[float]] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint, keep: Path | None = None) -> None:
    """Write a checkpoint atomically: to a temporary file in the same folder, flushed to disk, then renamed.

    keep: second name for the file that was at `path` before. Raises UserError where writing fails, for example on a
    full disk.
    """
    content = _as_dict(checkpoint)
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
    except RuntimeError as error:  # torch's writer raises it on a full disk
        raise UserError(f"{path}: cannot be written, is the disk full? {error}") from None


def save_safetensors(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint without its training state as a file of safetensors, which no program need unpickle.

    Raises UserError if the library is not installed.
    """
    require_extra("safetensors", "hub", f"{path}: safetensors")
    from safetensors.torch import save

    content = {**_as_dict(checkpoint), "training": {}}
    weights = {name: tensor.contiguous().clone() for name, tensor in content.pop("model").items()}
    write_bytes_atomically(path, save(weights, {METADATA: json.dumps(content)}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU, with weights_only=True, or one in the format of safetensors.

    Raises UserError where it is damaged or not a checkpoint.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    if path.suffix == SAFETENSORS:
        require_extra("safetensors", "hub", f"{path}: safetensors")
    try:
        if path.suffix == SAFETENSORS:
            content = _safetensors_content(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file can raise any exception
        raise UserError(f"{path}: is damaged or not a checkpoint; delete it or name another") from None
    try:
        if content.pop("format") != FORMAT:
            raise KeyError("format")
        return Checkpoint(**content | {"position": Position(**content["position"])})
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: is not a checkpoint of this version of sleepkd") from None


def _as_dict(checkpoint: Checkpoint) -> dict[str, Any]:
    """The content of a checkpoint's file."""
    content = {"format": FORMAT, **{k: v for k, v in vars(checkpoint).items() if k != "position"}}
    content["position"] = asdict(checkpoint.position)
    return content


def _safetensors_content(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return {**json.loads(file.metadata()[METADATA]), "model": weights}


def _give_name(path: Path, name: Path) -> None:
    """Give a file a second name, replacing the file there; both names refer to whole files at every moment."""
    temporary = name.with_name(f".{name.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, temporary)
    os.replace(temporary, name)


def load_weights(module: nn.Module, weights: dict[str, Tensor], source: Path) -> None:
    """Load weights strictly. Raises UserError listing names that are missing, unexpected, or of another shape."""
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
