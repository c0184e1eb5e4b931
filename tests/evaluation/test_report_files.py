"""Which of several evaluated runs a report leads with."""

from types import SimpleNamespace

import pytest

from sleepkd.evaluation import report_files
from sleepkd.evaluation.report_files import proposed_side

STAGES = {
    # name: (teacher, the stages it was trained from, itself included)
    "eeg_base": ("", 1),
    "ecg_base": ("", 1),
    "kd_temp": ("eeg_base", 2),
    "feat_temp": ("eeg_base", 4),
    "pretrained": ("", 3),
}


@pytest.mark.parametrize(
    ("names", "proposed"),
    [
        (["eeg_base", "ecg_base", "feat_temp", "kd_temp"], "feat_temp"),
        (["eeg_base", "kd_temp", "pretrained"], "kd_temp"),
        (["ecg_base", "eeg_base"], "ecg_base"),
        (["kd_temp"], "kd_temp"),
    ],
)
def test_a_report_leads_with_the_taught_student(monkeypatch, names, proposed):
    def side(name):
        config = SimpleNamespace(stage=SimpleNamespace(teacher=STAGES[name][0]))
        trained = SimpleNamespace(config=config, name=name)
        return [SimpleNamespace(run=SimpleNamespace(trained=trained))]

    monkeypatch.setattr(report_files, "lineage", lambda trained: [trained.name] * STAGES[trained.name][1])
    assert names[proposed_side([side(name) for name in names])] == proposed
