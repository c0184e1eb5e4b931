"""The runs of one evaluation: what each is called, where its results go, and which of two sides belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.errors import UserError
from sleepkd.evaluation.scores.bootstrap import DRAWS


@dataclass(frozen=True, eq=False)
class Run:
    """One checkpoint to be evaluated: what the report calls it, and the folder of its results."""

    name: str
    folder: Path
    trained: TrainedNetwork

    @property
    def seed(self) -> int:
        """The seed that it was trained with."""
        return self.trained.config.train.seed


@dataclass(frozen=True)
class Protocol:
    """By which rules nights are scored: which part of the split they are, whose, and the bootstrap."""

    part: str = "test"
    participants: Mapping[str, Mapping[str, str]] | None = None
    draws: int = DRAWS
    seed: int = 0


@dataclass(frozen=True)
class Again:
    """How to do it all again: the checkpoints in the order of their training, and the command that evaluated them."""

    checkpoints: tuple[Path, ...]
    command: str


def name_runs(networks: Sequence[TrainedNetwork], out: Path) -> list[list[Run]]:
    """Runs named by their stages, each a side of its own; results go to `out` itself for one, to out/<stage> for
    several. UserError where two would share a folder.
    """
    names = [trained.config.stage.name for trained in networks]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--checkpoint: several of stage {name}; evaluate them into different --out folders")
    folders = [out] if len(networks) == 1 else [out / name for name in names]
    return [[Run(*of_run)] for of_run in zip(names, folders, networks, strict=True)]


def name_sides(a: Sequence[TrainedNetwork], b: Sequence[TrainedNetwork], out: Path) -> list[list[Run]]:
    """The runs of the two sides of a comparison, named by stage, by side where that is the same, and by seed where a
    side has several. UserError: a side of several stages, or with a seed twice; no seed in both; other classes."""
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
    runs = []
    for name, side in zip(names, (a, b), strict=True):
        full = [f"{name} seed {trained.config.train.seed}" if len(side) > 1 else name for trained in side]
        runs.append([Run(n, out / n.replace(" ", "-"), trained) for n, trained in zip(full, side, strict=True)])
    if not set(by_seed(*runs)[0]) & set(by_seed(*runs)[1]):
        seeds = (", ".join(str(run.seed) for run in side) for side in runs)
        raise UserError(f"--compare: no train.seed is in both: {' against '.join(seeds)}")
    return runs


def by_seed(a: Sequence[Run], b: Sequence[Run]) -> tuple[dict[int, Run], dict[int, Run]]:
    """Both sides by training seed; one run on each side belongs together whatever its seed."""
    if len(a) == len(b) == 1:
        return {0: a[0]}, {0: b[0]}
    return {run.seed: run for run in a}, {run.seed: run for run in b}


def check_same_classes(networks: Sequence[TrainedNetwork]) -> None:
    """UserError where networks that are held against each other tell different numbers of classes."""
    first = networks[0]
    for other in networks:
        if other.config.data.classes != first.config.data.classes:
            raise UserError(
                f"{other.path}: was trained for {other.config.data.classes} classes, {first.path} for "
                f"{first.config.data.classes}; only models of the same number can be compared"
            )
