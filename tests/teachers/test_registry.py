"""The names of teachers, and settings that a teacher cannot satisfy."""

import pytest
from torch import nn

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.stage_inputs import resolve
from sleepkd.errors import UserError
from sleepkd.models import build_network
from sleepkd.settings import load_config
from sleepkd.teachers import EXTERNAL, TEACHERS, Teacher, build_teacher, check_teacher, earlier_stages


def test_names_of_teachers_without_a_checkpoint() -> None:
    assert set(TEACHERS) == {"self", *EXTERNAL}
    assert all(issubclass(teacher, Teacher) for teacher in TEACHERS.values())
    assert all(teacher.model == name for name, teacher in EXTERNAL.items())


def test_a_stage_without_a_loss_that_needs_one_has_no_teacher() -> None:
    assert build_teacher(load_config(["ecg_base"], ["stage.teacher=nowhere.pt"]), nn.Identity(), {}) is None


@pytest.mark.parametrize("name", ["self", "yasa", "sleepecg"])
def test_a_teacher_is_built_by_name(name: str) -> None:
    config = load_config(["kd_temp"], [f"stage.teacher={name}", "train.ema_decay=0.9", "model.bottom_filters=4"])
    inputs = resolve(config.stage.inputs, DataConfig(), 64)
    student = build_network(config.model, 4, inputs, "epochs")
    teacher = build_teacher(config, student, inputs)
    assert type(teacher) is TEACHERS[name]
    assert not any(p.requires_grad for network in teacher.networks for p in network.parameters())
    assert teacher.trained_on == {}
    assert teacher.classes == {"self": None, "yasa": 4, "sleepecg": 3}[name]


def test_earlier_stages_are_teachers_and_starts_with_a_checkpoint() -> None:
    config = load_config(["feat_temp"], ["stage.teacher=[eeg_base, other.pt]"])
    assert earlier_stages(config) == ("eeg_base", "other.pt", "feat_train")
    assert earlier_stages(load_config(["kd_temp"], ["stage.teacher=yasa"])) == ()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stage.teacher=[night_eeg, yasa]"], "stage.teacher: yasa cannot be part of an ensemble"),
        (["stage.teacher=[night_eeg, sleepecg]"], "stage.teacher: sleepecg cannot be part of an ensemble"),
        (["stage.teacher=self"], "train.ema_decay: must be above 0 for stage.teacher: self"),
        (
            ["stage.teacher=self", "train.ema_decay=0.9", "distill.cache_teacher=true"],
            "distill.cache_teacher: must be false for stage.teacher: self",
        ),
        (
            ["stage.teacher=self", "train.ema_decay=0.9", "distill.trust.temperature=2"],
            "distill.trust.temperature: must be 1 for stage.teacher: self",
        ),
        (["stage.teacher=yasa", "loss.hint.weight=1"], "loss.hint: needs the features of a network"),
        (["stage.teacher=yasa", "distill.trust.temperature=fitted"], "distill.trust.temperature: fitted needs a"),
    ],
)
def test_settings_that_a_teacher_cannot_satisfy_raise_by_key(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as raised:
        check_teacher(load_config(["night_kd"], overrides))
    assert str(raised.value).startswith(message)
