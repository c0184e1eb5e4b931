"""The networks that a student is evaluated beside: its teacher, and the baseline that was trained without one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.checkpoints.trained import (
    TrainedNetwork,
    best_or_last,
    checkpoint_of,
    load_trained,
    reading_as_student,
)
from sleepkd.errors import UserError
from sleepkd.evaluation.runs import EvaluatedRun, check_same_classes
from sleepkd.settings import Config, config_of
from sleepkd.teachers import TEACHERS, earlier_stages

References = dict[str, TrainedNetwork]
"""{"teacher": a network, "baseline": a network, if there is one}."""


def references_of(
    sides: Sequence[Sequence[EvaluatedRun]], teacher: Path | None, baseline: Path | None, comparing: bool
) -> dict[EvaluatedRun, References]:
    """Teacher and baseline of the first run of each side that has a teacher.

    teacher, baseline: checkpoints to take instead of those found (`find_teacher`, `find_baseline`). comparing: the
    baseline of the second side is the first run of the first side, if both have the same `data.view`.
    Raises UserError: a checkpoint that is missing, of another `data.view`, or with other classes.
    """
    found: dict[EvaluatedRun, References] = {}
    for number, run in enumerate(side[0] for side in sides):
        teacher_path = teacher or find_teacher(run.trained.config)
        if not teacher_path:
            continue
        first = sides[0][0].trained if comparing and number else None
        same_view = first and first.config.data.view == run.trained.config.data.view
        paths = {
            "teacher": teacher_path,
            "baseline": baseline or (first.path if first and same_view else find_baseline(run.trained)),
        }
        own = run.trained.path.resolve()
        networks = {part: load_trained(path) for part, path in paths.items() if path and path.resolve() != own}
        for part, network in networks.items():
            view, needed = network.config.data.view, run.trained.config.data.view
            if view != needed:
                raise UserError(f"--{part}: {network.path} has data.view {view}, {run.trained.path} has {needed}")
        if "teacher" in networks:
            networks["teacher"] = reading_as_student(networks["teacher"], run.trained.config)
            check_same_classes([run.trained, *networks.values()])
            found[run] = networks
    return found


def find_teacher(config: Config) -> Path | None:
    """The checkpoint of the one trained network that a student learned from.

    None: it had no teacher, an ensemble, one without a checkpoint or of fewer classes, or the file is gone.
    """
    networks = [name for name in config.stage.teachers if name not in TEACHERS]
    path = _checkpoint_of_stage(config, networks[0]) if len(networks) == 1 else None
    comparable = path and config_of(read_checkpoint(path).config).data.classes == config.data.classes
    return path if comparable else None


def find_baseline(trained: TrainedNetwork) -> Path | None:
    """The checkpoint, in the same `runs_root`, of a run that was trained on the same inputs and view without a teacher.

    Of several, one with the same `model` settings is preferred, then the first by name. None if no run fits.
    """
    candidates: list[tuple[bool, Path]] = []
    for folder in sorted(trained.config.run_directory.parent.glob("*/")):
        path = best_or_last(folder)
        try:
            checkpoint = read_checkpoint(path)
            config = config_of(checkpoint.config)
        except UserError:  # no checkpoint, or a damaged one
            continue
        alike = config.data.view == trained.config.data.view and config.data.classes == trained.config.data.classes
        same_inputs = checkpoint.inputs.keys() == trained.checkpoint.inputs.keys()
        if alike and same_inputs and not config.needs_teacher and not earlier_stages(config):
            candidates.append((config.model != trained.config.model, path))
    return min(candidates, default=(False, None))[1]


def networks_of(
    sides: Sequence[Sequence[EvaluatedRun]], references: Mapping[EvaluatedRun, References]
) -> dict[Path, TrainedNetwork]:
    """All networks that take part in an evaluation, by checkpoint. A run that is a reference too is there once."""
    found = {run.trained.path: run.trained for side in sides for run in side}
    for network in (network for of_run in references.values() for network in of_run.values()):
        found.setdefault(network.path, network)  # the run itself may be restricted to some inputs
    return found


def lineage(trained: TrainedNetwork) -> list[Path]:
    """The checkpoints that a network was trained from, in the order of their training, the network itself last."""
    earlier = [_checkpoint_of_stage(trained.config, name) for name in earlier_stages(trained.config)]
    return [*(path for parent in earlier if parent for path in lineage(load_trained(parent))), trained.path]


def _checkpoint_of_stage(config: Config, stage: str) -> Path | None:
    """The checkpoint that a config means by the name of a stage, None where it is gone."""
    try:
        return checkpoint_of(config, stage, "stage.teacher")
    except UserError:
        return None
