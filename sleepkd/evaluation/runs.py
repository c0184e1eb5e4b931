"""The runs of one evaluation: their names, the folders of their results, and the two sides of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.errors import UserError
from sleepkd.evaluation.scores.bootstrap import DRAWS


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """One checkpoint to evaluate: its name in the report, and the folder of its results.

    side: the name of all runs that differ from it by their training seed only.
    """

    name: str
    side: str
    folder: Path
    trained: TrainedNetwork

    @property
    def seed(self) -> int:
        """The training seed."""
        return self.trained.config.train.seed


@dataclass(frozen=True)
class EvaluationProtocol:
    """The rules of an evaluation: the part of the split, what is known of the subjects, and the bootstrap.

    part: train, validation, test or all. participants: {participant: {column: text}}. draws, seed: of the bootstrap.
    """

    part: str = "test"
    participants: Mapping[str, Mapping[str, str]] | None = None
    draws: int = DRAWS
    seed: int = 0


def runs_of(checkpoints: Sequence[Path], inputs: Sequence[str] | None, out: Path) -> list[list[EvaluatedRun]]:
    """The runs of several checkpoints, named by their stages, each a side of its own.

    inputs: the only inputs to show them, None for all of theirs. Results go to `out` for one checkpoint, to out/<stage>
    for several. Raises UserError: no such checkpoint, two of one stage, an input that a network lacks.
    """
    networks = _load(checkpoints, inputs)
    names = [trained.config.stage.name for trained in networks]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--checkpoint: several of stage {name}; evaluate them into different --out folders")
    folders = [out] if len(networks) == 1 else [out / name for name in names]
    return [
        [EvaluatedRun(name, name, folder, trained)]
        for name, folder, trained in zip(names, folders, networks, strict=True)
    ]


def compared_runs(
    compared: Sequence[Path], against: Sequence[Path] | None, inputs: Sequence[str] | None, out: Path
) -> list[list[EvaluatedRun]]:
    """The runs of the two sides of a comparison, A and B.

    compared, against: A and B, or the training seeds of A and those of B. Runs are named by their stage, by A and B
    where that is the same, and by seed where a side has several. inputs: as in `runs_of`.
    Raises UserError: not two sides, a side of several stages or with a seed twice, no seed on both, other classes.
    """
    if not against and len(compared) != 2:
        raise UserError("--compare: give A.pt B.pt, or several seeds: --compare A1.pt A2.pt --with B1.pt B2.pt")
    a, b = (_load(side, inputs) for side in ((compared, against) if against else (compared[:1], compared[1:])))
    for option, side in (("--compare", a), ("--with", b)):
        stages = sorted({trained.config.stage.name for trained in side})
        seeds = [trained.config.train.seed for trained in side]
        if len(stages) > 1:
            raise UserError(
                f"{option}: {', '.join(stages)} are several stages; a side is one, trained with several seeds"
            )
        if twice := {seed for seed in seeds if seeds.count(seed) > 1}:
            raise UserError(f"{option}: several checkpoints have train.seed {min(twice)}; give one of each seed")
    check_same_classes([*a, *b])
    names = [side[0].config.stage.name for side in (a, b)]
    if names[0] == names[1]:
        names = [f"{names[0]} A", f"{names[1]} B"]
    runs_a, runs_b = (_side(name, side, out) for name, side in zip(names, (a, b), strict=True))
    by_seed_a, by_seed_b = by_seed(runs_a, runs_b)
    if not set(by_seed_a) & set(by_seed_b):
        seeds_of = " against ".join(", ".join(str(run.seed) for run in side) for side in (runs_a, runs_b))
        raise UserError(f"--compare: no train.seed is on both sides: {seeds_of}")
    return [runs_a, runs_b]


def by_seed(
    a: Sequence[EvaluatedRun], b: Sequence[EvaluatedRun]
) -> tuple[dict[int, EvaluatedRun], dict[int, EvaluatedRun]]:
    """Both sides by training seed. One run on each side is a pair whatever its seed."""
    if len(a) == len(b) == 1:
        return {0: a[0]}, {0: b[0]}
    return {run.seed: run for run in a}, {run.seed: run for run in b}


def check_same_classes(networks: Sequence[TrainedNetwork]) -> None:
    """Raise UserError where networks to be compared have different numbers of classes."""
    first = networks[0]
    for other in networks:
        if other.config.data.classes != first.config.data.classes:
            raise UserError(
                f"{other.path}: was trained for {other.config.data.classes} classes, {first.path} for "
                f"{first.config.data.classes}; compare models with the same number of classes"
            )


def _load(checkpoints: Sequence[Path], inputs: Sequence[str] | None) -> list[TrainedNetwork]:
    networks = [load_trained(path) for path in checkpoints]
    return [trained.with_inputs(inputs) for trained in networks] if inputs else networks


def _side(name: str, side: Sequence[TrainedNetwork], out: Path) -> list[EvaluatedRun]:
    full = [f"{name} seed {trained.config.train.seed}" if len(side) > 1 else name for trained in side]
    return [
        EvaluatedRun(of_run, name, out / of_run.replace(" ", "-"), trained)
        for of_run, trained in zip(full, side, strict=True)
    ]
