"""The rows of the paper's table as training runs, for each number of classes, seed and split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sleepkd.errors import UserError
from sleepkd.settings import load_config
from sleepkd.study.jobs import RunGroup, TrainingJob, build_job, overlays_for


@dataclass(frozen=True)
class PaperRow:
    """One row: a stage's config with overrides. epochs_of: rows whose training epochs, summed, this row gets."""

    name: str
    config: str
    overrides: tuple[str, ...] = ()
    epochs_of: tuple[str, ...] = ()


STAGES = ("eeg_base", "ecg_base", "kd_temp", "feat_train", "feat_wce", "feat_temp")
NIGHT_STAGES = ("night_eeg", "night_ecg", "night_kd", "night_at", "night_feat")
PAPER_ROWS = {
    row.name: row
    for row in (
        *(PaperRow(stage, stage) for stage in STAGES),
        # Not in the paper: the baseline with as many updates as the proposed model gets in its two stages.
        PaperRow("ecg_base_long", "ecg_base", epochs_of=("feat_train", "feat_temp")),
        # As released: attention maps normalised over the batch; class weights that never reach the loss.
        PaperRow("feat_train_at_batch", "feat_train", ("loss.at.normalisation=batch",)),
        PaperRow("feat_temp_at_batch", "feat_temp", ("stage.start_from=feat_train_at_batch",)),
        PaperRow("ecg_base_unweighted", "ecg_base", ("loss.ce.class_weights=none",)),
        PaperRow("feat_temp_unweighted", "feat_temp", ("loss.ce.class_weights=none",)),
        *(PaperRow(stage, stage) for stage in NIGHT_STAGES),
    )
}
PUBLISHED = tuple(name for name in PAPER_ROWS if not name.startswith("night_"))
"""The default rows: the published method on 30-s segments, and its ablations."""
BASELINE, EQUAL_BUDGET, PROPOSED = "ecg_base", "ecg_base_long", "feat_temp"
BASELINES = (BASELINE, EQUAL_BUDGET, "night_ecg")


def plan_paper(
    rows: Sequence[str | PaperRow],
    groups: Sequence[RunGroup],
    overlays: Sequence[str],
    settings: Sequence[str],
    out: Path,
) -> list[TrainingJob]:
    """The runs of all groups, each after those that it needs; rows that others need are added.

    rows: rows, names of PAPER_ROWS, or YAML files of further stages. overlays, settings: --config and --set of all of
    them; PATTERN=YAML applies to the rows whose names match, for example night_*=mine.yaml.
    Raises UserError: an unknown row, impossible settings, a row that needs itself.
    """
    return [job for group in groups for job in _plan_group(rows, group, overlays, settings, out)]


def _plan_group(
    rows: Sequence[str | PaperRow], group: RunGroup, overlays: Sequence[str], settings: Sequence[str], out: Path
) -> list[TrainingJob]:
    jobs: dict[str, TrainingJob] = {}
    given = {row.name: row for row in (_row(row) if isinstance(row, str) else row for row in rows)}

    def add(name: str, needed_by: tuple[str, ...] = ()) -> None:
        if name in needed_by:
            raise UserError(f"{' needs '.join((*needed_by, name))}: a run cannot need itself")
        if name in jobs:
            return
        row = given.get(name) or _row(name)
        files = [row.config, *overlays_for(row.name, overlays)]
        job = build_job(row.name, group, files, _overrides(row, group, overlays, settings, out))
        for earlier in job.needs:
            add(earlier, (*needed_by, name))
        jobs[name] = job

    for name in given:
        add(name)
    return list(jobs.values())


def _row(name: str) -> PaperRow:
    """A row by name, or the row of a stage's own YAML."""
    return PAPER_ROWS.get(name) or PaperRow(load_config([name], []).stage.name, name)


def _overrides(
    row: PaperRow, group: RunGroup, overlays: Sequence[str], settings: Sequence[str], out: Path
) -> list[str]:
    overrides = [
        *settings,
        *row.overrides,
        f"stage.name={row.name}",
        f"runs_root={group.runs_root(out)}",
        f"data.classes={group.classes}",
        f"train.seed={group.seed}",
    ]
    if group.split:
        overrides.append(f"data.split={group.split}")
    if row.epochs_of:
        epochs = (
            load_config([PAPER_ROWS[name].config, *overlays_for(name, overlays)], [*settings]).train.epochs
            for name in row.epochs_of
        )
        overrides.append(f"train.epochs={sum(epochs)}")
    return overrides
