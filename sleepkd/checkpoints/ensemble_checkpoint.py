"""One checkpoint of several trained night networks: an ensemble that predicts their geometric mean probabilities."""

from collections.abc import Sequence
from pathlib import Path

from sleepkd.checkpoints.checkpoint import Checkpoint, Position, read_checkpoint
from sleepkd.errors import UserError


def ensemble_checkpoint(paths: Sequence[Path]) -> Checkpoint:
    """The checkpoint of an `Ensemble` of the night networks in these checkpoints.

    Its settings are those of the first, but for `model`; it was trained on the nights of all.
    Raises UserError: a damaged checkpoint, another kind of network, other inputs or classes than the first.
    """
    members = [read_checkpoint(path) for path in paths]
    first = members[0]
    for path, member in zip(paths, members, strict=True):
        if member.config["model"].get("name") != "night":
            raise UserError(f"{path}: is not a night network; an ensemble is of night networks")
        if member.inputs != first.inputs:
            raise UserError(f"{path}: has other inputs than {paths[0]}; the members of an ensemble share their inputs")
        if member.config["data"]["classes"] != first.config["data"]["classes"]:
            raise UserError(f"{path}: has another number of classes than {paths[0]}")
    seen: dict[str, list[str]] = {}
    for member in members:
        seen |= member.trained_on or {}
    return Checkpoint(
        config={**first.config, "model": {"name": "ensemble", "members": [dict(x.config["model"]) for x in members]}},
        inputs=first.inputs,
        model={f"members.{k}.{name}": x for k, member in enumerate(members) for name, x in member.model.items()},
        position=Position(),
        trained_on=seen,
    )
