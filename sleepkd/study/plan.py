"""The rows of the paper's table, as runs: which stage with which settings, for which classes, seed and fold."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from sleepkd.errors import UserError
from sleepkd.settings import Config, load_config


@dataclass(frozen=True)
class Row:
    """One row: a stage's config, and what is set differently. epochs_of: rows whose training epochs it gets, summed."""

    name: str
    config: str
    overrides: tuple[str, ...] = ()
    epochs_of: tuple[str, ...] = ()


STAGES = ("eeg_base", "ecg_base", "kd_temp", "feat_train", "feat_wce", "feat_temp")
NIGHT_STAGES = ("night_eeg", "night_ecg", "night_kd", "night_at", "night_feat")
ROWS = {
    row.name: row
    for row in (
        *(Row(stage, stage) for stage in STAGES),
        # What the paper left out: the baseline with the updates that the proposed model gets in its two stages.
        Row("ecg_base_long", "ecg_base", epochs_of=("feat_train", "feat_temp")),
        # As released: attention maps normalised over the batch; class weights that never reach the loss.
        Row("feat_train_at_batch", "feat_train", ("loss.at.normalisation=batch",)),
        Row("feat_temp_at_batch", "feat_temp", ("stage.start_from=feat_train_at_batch",)),
        Row("ecg_base_unweighted", "ecg_base", ("loss.ce.class_weights=none",)),
        Row("feat_temp_unweighted", "feat_temp", ("loss.ce.class_weights=none",)),
        *(Row(stage, stage) for stage in NIGHT_STAGES),
    )
}
PUBLISHED = tuple(name for name in ROWS if not name.startswith("night_"))
"""The rows of the published method, at its 30 s: what is run unless rows are named."""
BASELINE, EQUAL_BUDGET, PROPOSED = "ecg_base", "ecg_base_long", "feat_temp"
BASELINES = (BASELINE, EQUAL_BUDGET, "night_ecg")


@dataclass(frozen=True)
class Group:
    """Runs that share their classes, seed and fold, and so a folder: a stage finds the earlier ones there.

    fold: the name of the split that it trains on, None for the config's.
    """

    classes: int
    seed: int
    fold: str | None

    def __str__(self) -> str:
        return f"{self.classes} classes, seed {self.seed}" + (f", {self.fold}" if self.fold else "")

    def runs_root(self, out: Path) -> Path:
        """Where its runs write."""
        return out / "runs" / (self.fold or "single") / f"seed{self.seed}"

    def results(self, out: Path) -> Path:
        """Where its predictions are written, a folder per row."""
        return out / "results" / (self.fold or "single") / f"seed{self.seed}" / f"{self.classes}class"


@dataclass(frozen=True, eq=False)
class Job:
    """One training run, itself a key of dicts. needs: the rows of its group that it starts from or learns from."""

    row: str
    group: Group
    config: Config
    arguments: tuple[str, ...]
    needs: tuple[str, ...]

    @property
    def scored(self) -> bool:
        """Whether it learns to tell sleep stages; attention transfer alone leaves the last layer as it was."""
        return self.config.trains_logits


def plan(
    rows: Sequence[str],
    groups: Sequence[Group],
    overlays: Sequence[str],
    settings: Sequence[str],
    out: Path,
) -> list[Job]:
    """The runs of all groups, each after those that it needs; rows that others need are added.

    rows: names of ROWS, or of further stages' YAMLs. overlays, settings: as train_ddp.py's --config and --set, for all;
    an overlay PATTERN=YAML is for the rows whose names fit, say night_*=mine.yaml.
    Raises UserError: an unknown row, settings that no run can have.
    """
    return [job for group in groups for job in _plan_group(rows, group, overlays, settings, out)]


def _plan_group(
    rows: Sequence[str], group: Group, overlays: Sequence[str], settings: Sequence[str], out: Path
) -> list[Job]:
    jobs: dict[str, Job] = {}
    given = {row.name: row for row in map(_row, rows)}

    def add(name: str, needed_by: tuple[str, ...] = ()) -> None:
        if name in needed_by:
            raise UserError(f"{' needs '.join((*needed_by, name))}: a run cannot need itself")
        if name in jobs:
            return
        row = given.get(name) or _row(name)
        arguments = _arguments(row, group, overlays, settings, out)
        config = load_config(*arguments)
        needs = tuple(earlier for earlier in config.stage.earlier if not earlier.endswith(".pt"))
        for earlier in needs:
            add(earlier, (*needed_by, name))
        files, overrides = arguments
        jobs[name] = Job(row.name, group, config, ("--config", *files, "--set", *overrides), needs)

    for name in given:
        add(name)
    return list(jobs.values())


def for_row(name: str, overlays: Sequence[str]) -> list[str]:
    """The overlays that are for a row."""
    parts = [overlay.rpartition("=") for overlay in overlays]
    return [file for pattern, _, file in parts if not pattern or fnmatch(name, pattern)]


def _row(name: str) -> Row:
    """A row by name, or that of a stage's own YAML."""
    return ROWS.get(name) or Row(load_config([name], []).stage.name, name)


def _arguments(
    row: Row, group: Group, overlays: Sequence[str], settings: Sequence[str], out: Path
) -> tuple[list[str], list[str]]:
    """The configs and the overrides of a run."""
    files = [row.config, *for_row(row.name, overlays)]
    overrides = [
        *settings,
        *row.overrides,
        f"stage.name={row.name}",
        f"runs_root={group.runs_root(out)}",
        f"data.classes={group.classes}",
        f"train.seed={group.seed}",
    ]
    if group.fold:
        overrides.append(f"data.split={group.fold}")
    if row.epochs_of:
        both = (
            load_config([ROWS[name].config, *for_row(name, overlays)], [*settings]).train.epochs
            for name in row.epochs_of
        )
        overrides.append(f"train.epochs={sum(both)}")
    return files, overrides
