"""The rows of the paper's table as training runs: settings, order, folders."""

from pathlib import Path

import pytest

from sleepkd.errors import UserError
from sleepkd.provenance import REPOSITORY, launch_command, shown
from sleepkd.study.jobs import RunGroup, TrainingJob
from sleepkd.study.paper_plan import PAPER_ROWS, PUBLISHED, plan_paper

OUT = Path("out")
GROUP = RunGroup(3, 7, None)


def jobs(*rows: str, groups: tuple[RunGroup, ...] = (GROUP,), settings: tuple[str, ...] = ()) -> dict[str, TrainingJob]:
    return {job.row: job for job in plan_paper(rows, groups, ["demo.yaml"], settings, OUT)}


def test_needed_rows_are_added_and_come_first() -> None:
    planned = jobs("feat_temp")
    assert list(planned) == ["eeg_base", "feat_train", "feat_temp"]
    assert planned["feat_temp"].needs == ("eeg_base", "feat_train")
    assert planned["feat_train"].needs == ("eeg_base",)


def test_every_row_trains_once_per_classes_seed_and_fold() -> None:
    groups = [RunGroup(classes, seed, fold) for classes in (3, 4) for seed in (0, 1) for fold in ("a", "b")]
    planned = plan_paper(list(PAPER_ROWS), groups, [], [], OUT)
    assert len(planned) == len(PAPER_ROWS) * 8
    folders = {job.config.run_directory for job in planned}
    assert len(folders) == len(planned)
    for job in planned:
        config = job.config
        assert (config.data.classes, config.train.seed, config.data.split) == (
            job.group.classes, job.group.seed, job.group.split,
        )  # fmt: skip
        needed = {config.stage_directory(row) for row in job.needs}
        assert needed <= {other.config.run_directory for other in planned[: planned.index(job)]}


def test_the_equal_budget_baseline_gets_the_updates_of_both_stages() -> None:
    planned = jobs("feat_temp", "ecg_base", "ecg_base_long", settings=("train.epochs=6",))
    assert planned["ecg_base_long"].config.train.epochs == 12
    both = planned["feat_train"].config.train.epochs + planned["feat_temp"].config.train.epochs
    assert both == 12 and planned["ecg_base"].config.train.epochs == 6
    long, short = planned["ecg_base_long"].config, planned["ecg_base"].config
    assert (long.loss, long.data, long.stage.start_from) == (short.loss, short.data, "")


def test_the_ablations_differ_from_their_rows_in_one_setting() -> None:
    planned = jobs(*PUBLISHED)
    assert planned["feat_train_at_batch"].config.loss["at"].normalisation == "batch"
    assert planned["feat_temp_at_batch"].needs == ("eeg_base", "feat_train_at_batch")
    for row in ("ecg_base", "feat_temp"):
        assert planned[f"{row}_unweighted"].config.loss["ce"].class_weights == "none"
        assert planned[row].config.loss["ce"].class_weights == "balanced"
    assert not planned["feat_train"].is_scored
    assert all(planned[row].is_scored for row in PUBLISHED if "feat_train" not in row)


def test_an_overlay_with_a_pattern_applies_to_matching_rows() -> None:
    overlays = ["*_base=demo.yaml", "night_*=beats.yaml", "night_*=demo_night.yaml"]
    planned = {
        job.row: job.config for job in plan_paper(["ecg_base", "night_feat", "night_ecg"], [GROUP], overlays, [], OUT)
    }
    assert list(planned) == ["ecg_base", "night_eeg", "night_at", "night_feat", "night_ecg"]
    assert planned["ecg_base"].model.bottom_filters == 48
    assert set(planned["night_feat"].stage.inputs) == set(planned["night_ecg"].stage.inputs) == {"beats"}
    assert set(planned["night_eeg"].stage.inputs) == {"eeg"}


def test_night_students_get_equal_budgets() -> None:
    planned = {
        job.row: job.config.train for job in plan_paper(["night_ecg", "night_kd", "night_feat"], [GROUP], [], [], OUT)
    }
    both = planned["night_at"].epochs + planned["night_feat"].epochs
    assert planned["night_ecg"].epochs == planned["night_kd"].epochs == both


def test_a_row_from_a_users_own_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "stage: {name: mine, inputs: {ecg: {}}, teacher: eeg_base}\nloss: {ce: {weight: 0.9}, kd: {weight: 0.1}}\n"
    )
    assert list(jobs(str(path))) == ["eeg_base", "mine"]
    after = tmp_path / "after.yaml"
    after.write_text("stage: {name: after, inputs: {ecg: {}}, start_from: mine}\nloss: {ce: {weight: 1}}\n")
    assert list(jobs(str(after), str(path))) == ["eeg_base", "mine", "after"]


def test_commands_as_typed_in_a_shell() -> None:
    command = launch_command("train_ddp.py", 4, jobs("ecg_base")["ecg_base"].arguments)
    assert Path(command[5]) == REPOSITORY / "train_ddp.py" and Path(command[5]).is_file()
    assert shown(command) == (
        "torchrun --standalone --nproc_per_node=4 train_ddp.py --config ecg_base demo.yaml --set stage.name=ecg_base "
        "runs_root=out/runs/single/seed7 data.classes=3 train.seed=7"
    )


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [("feat_tmp", (), "feat_tmp: no such config"), ("ecg_base", ("train.epoch=3",), "train.epoch: unknown key")],
)
def test_impossible_plans_are_refused(row: str, settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        jobs(row, settings=settings)


def test_a_circle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ring.yaml"
    path.write_text(f"stage: {{name: ring, inputs: {{ecg: {{}}}}, start_from: {path}}}\nloss: {{ce: {{weight: 1}}}}\n")
    with pytest.raises(UserError, match="cannot need itself"):
        jobs(str(path))
