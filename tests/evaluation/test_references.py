"""The teacher and the baseline of a student are found beside its run, whatever the stages are called."""

from pathlib import Path

import pytest

from launch import NIGHT_STAGES, STAGES, tiny, tiny_night
from sleepkd.checkpoints.checkpoint import save_checkpoint
from sleepkd.checkpoints.trained import load_trained, untrained
from sleepkd.errors import UserError
from sleepkd.evaluation.references import find_baseline, find_teacher, lineage, references_of
from sleepkd.evaluation.runs import runs_of
from sleepkd.settings import load_config

RATE_HZ = 64.0


def save(root: Path, stage: str, *overrides: str) -> Path:
    """An untrained checkpoint of a stage, where its run would write it."""
    shape = tiny_night if stage.startswith("night") else tiny
    config = load_config([stage], [*shape(Path("store"), root), *overrides])
    path = config.run_directory / "best.pt"
    save_checkpoint(path, untrained(config, RATE_HZ))
    return path


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of every stage in configs/."""
    root = tmp_path_factory.mktemp("runs")
    return {stage: save(root, stage) for stage in (*STAGES, *NIGHT_STAGES)}


@pytest.mark.parametrize(
    ("stage", "teacher", "baseline"),
    [
        ("kd_temp", "eeg_base", "ecg_base"),
        ("feat_train", "eeg_base", "ecg_base"),
        ("feat_temp", "eeg_base", "ecg_base"),
        ("night_kd", "night_eeg", "night_ecg"),
        ("night_at", "night_eeg", "night_ecg"),
        ("night_feat", "night_eeg", "night_ecg"),
    ],
)
def test_the_shipped_students_have_their_teacher_and_baseline(
    shipped: dict[str, Path], stage: str, teacher: str, baseline: str
) -> None:
    (side,) = runs_of([shipped[stage]], None, Path("out"))
    found = references_of([side], None, None, comparing=False)[side[0]]
    assert {part: network.path for part, network in found.items()} == {
        "teacher": shipped[teacher],
        "baseline": shipped[baseline],
    }


@pytest.mark.parametrize("stage", ["eeg_base", "ecg_base", "feat_wce", "night_eeg", "night_ecg"])
def test_a_run_without_a_teacher_has_no_references(shipped: dict[str, Path], stage: str) -> None:
    assert references_of(runs_of([shipped[stage]], None, Path("out")), None, None, comparing=False) == {}


def test_stages_of_any_name_are_found(tmp_path: Path) -> None:
    teacher = save(tmp_path, "eeg_base", "stage.name=brain")
    baseline = save(tmp_path, "ecg_base", "stage.name=plain")
    save(tmp_path, "ecg_base", "stage.name=aaa_wider", "model.filters=[3,3,3,3,3]")
    save(tmp_path, "ecg_base", "stage.name=fine_tuned", "stage.start_from=plain")
    save(tmp_path, "ecg_base", "stage.name=aaa_other_input", "stage.inputs={ecg: false, eeg: {}}")
    (tmp_path / "3class" / "broken").mkdir()
    (tmp_path / "3class" / "broken" / "best.pt").write_text("no checkpoint")
    student = load_trained(save(tmp_path, "kd_temp", "stage.name=learner", "stage.teacher=brain"))
    assert find_teacher(student.config) == teacher
    assert find_baseline(student) == baseline
    baseline.unlink()
    assert find_baseline(student) == tmp_path / "3class" / "aaa_wider" / "best.pt"


def test_the_second_side_of_a_comparison_has_the_first_as_its_baseline(shipped: dict[str, Path]) -> None:
    sides = runs_of([shipped["feat_wce"], shipped["kd_temp"]], None, Path("out"))
    found = references_of(sides, None, None, comparing=True)
    assert [network.path for network in found[sides[1][0]].values()] == [shipped["eeg_base"], shipped["feat_wce"]]


def test_references_of_another_view_are_refused(shipped: dict[str, Path]) -> None:
    sides = runs_of([shipped["kd_temp"]], None, Path("out"))
    with pytest.raises(UserError, match=r"--teacher: .*night_eeg.* has data\.view night, .*kd_temp.* has epochs"):
        references_of(sides, shipped["night_eeg"], None, comparing=False)


def test_the_lineage_is_in_the_order_of_training(shipped: dict[str, Path]) -> None:
    found = lineage(load_trained(shipped["feat_temp"]))
    assert list(dict.fromkeys(found)) == [shipped[name] for name in ("eeg_base", "feat_train", "feat_temp")]


def test_a_teacher_of_fewer_classes_is_no_reference(tmp_path: Path) -> None:
    teacher = save(tmp_path, "night_eeg", "data.classes=3")
    student = save(tmp_path, "night_kd", "data.classes=4", f"stage.teacher={teacher}")
    assert find_teacher(load_trained(student).config) is None
    assert references_of(runs_of([student], None, Path("out")), None, None, comparing=False) == {}
    same = save(tmp_path / "same", "night_kd", f"stage.teacher={teacher}")
    assert find_teacher(load_trained(same).config) == teacher
