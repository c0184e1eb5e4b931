"""Training runs of a study, and the groups of them that share a folder."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from sleepkd.checkpoints.run_config import load_run_config
from sleepkd.checkpoints.trained import is_stage
from sleepkd.settings import Config
from sleepkd.teachers import check_teacher, earlier_stages


@dataclass(frozen=True)
class RunGroup:
    """Runs that share classes, seed and split, and so a `runs_root`: a stage finds the earlier ones there.

    split: name of the split that they train on, None for the config's own.
    """

    classes: int
    seed: int
    split: str | None

    def __str__(self) -> str:
        return f"{self.classes} classes, seed {self.seed}" + (f", {self.split}" if self.split else "")

    @property
    def slug(self) -> str:
        """The group as part of a file name."""
        return f"{self.classes}class-seed{self.seed}" + (f"-{self.split}" if self.split else "")

    def runs_root(self, out: Path) -> Path:
        """The folder of its training runs."""
        return out / "runs" / (self.split or "single") / f"seed{self.seed}"

    def results(self, out: Path) -> Path:
        """The folder of its predictions, with a folder per row."""
        return out / "results" / (self.split or "single") / f"seed{self.seed}" / f"{self.classes}class"


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """One training run, compared by identity. needs: rows of its group that must be trained before."""

    row: str
    group: RunGroup
    config: Config
    arguments: tuple[str, ...]
    needs: tuple[str, ...]

    @property
    def is_scored(self) -> bool:
        """Whether it learns to stage sleep; attention transfer alone leaves the last layers untrained."""
        return self.config.trains_logits


def build_job(row: str, group: RunGroup, files: Sequence[str], overrides: Sequence[str]) -> TrainingJob:
    """The job of a row with these configs and overrides. Raises UserError for impossible settings."""
    config = load_run_config(list(files), list(overrides))
    check_teacher(config)
    needs = tuple(earlier for earlier in earlier_stages(config) if is_stage(earlier))
    return TrainingJob(row, group, config, ("--config", *files, "--set", *overrides), needs)


def updates_per_epoch(config: Config, seconds: Iterable[float]) -> int:
    """The updates of a training epoch on nights of these lengths, s, estimated before their segments are cut."""
    minutes = config.data.shown_minutes
    # The first segment of a night begins up to a minute before its first sample.
    segments = sum(math.ceil((length + 60) / (60 * minutes)) if minutes else 1 for length in seconds)
    return math.ceil(segments / config.train.batch_size)


def overlays_for(row: str, overlays: Sequence[str]) -> list[str]:
    """The overlays that apply to a row: those without a pattern, and PATTERN=YAML whose pattern matches its name."""
    parts = [overlay.rpartition("=") for overlay in overlays]
    return [file for pattern, _, file in parts if not pattern or fnmatch(row, pattern)]
