"""Agreement of teacher and student by hand, projections, and figures that show something."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import cohen_kappa_score

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.evaluation.teacher_student.agreement import (
    by_teacher_confidence,
    clearest_examples,
    contested,
    project,
    teacher_agreement,
)
from sleepkd.evaluation.teacher_student.figures import (
    AttentionExample,
    attention_figure,
    confidence_figure,
    examples_figure,
    projection_figure,
)
from tests.evaluation.nights import made_up_night

NAMES = CLASS_NAMES[3]


def night_of(labels, predictions, sure=0.8):
    """A night with these labels and predictions. sure: the confidence, one value or one per sleep epoch."""
    n = len(labels)
    sure = np.broadcast_to(sure, n)
    probabilities = np.repeat(((1 - sure) / 2)[:, None], 3, axis=1)
    probabilities[np.arange(n), predictions] = sure
    return dataclasses.replace(
        made_up_night(n=n, classes=3), labels=np.array(labels, dtype=np.int8), probabilities=np.float32(probabilities)
    )


LABELS = [0, 1, 2, 0, 1, 2, -1, 0]
TEACHER = [0, 1, 2, 0, 2, 1, 0, 0]  # right on the first four and the last, wrong on two
STUDENT = [0, 1, 2, 1, 2, 2, 0, 0]  # wrong where the teacher is right once; repeats one of its two mistakes


def test_agreement_with_the_teacher_by_hand():
    result = teacher_agreement([night_of(LABELS, TEACHER)], [night_of(LABELS, STUDENT)])
    assert result["n"] == 7  # without the unscored sleep epoch
    assert result["agreement"] == pytest.approx(5 / 7)
    assert result["follows_right"] == pytest.approx(4 / 5)
    assert result["follows_wrong"] == pytest.approx(1 / 2)
    scored = [i for i, label in enumerate(LABELS) if label >= 0]
    expected = cohen_kappa_score([TEACHER[i] for i in scored], [STUDENT[i] for i in scored])
    assert result["kappa"] == pytest.approx(expected, abs=1e-12)


def test_kappa_by_teacher_confidence_by_hand():
    """Six sleep epochs: the teacher is unsure of the first three, where the student errs."""
    labels, wrong_then_right = [0, 1, 2, 0, 1, 2], [1, 2, 0, 0, 1, 2]
    teacher = night_of(labels, labels, sure=np.array([0.4, 0.4, 0.4, 0.9, 0.9, 0.9]))
    rows = by_teacher_confidence([teacher], {"student": [night_of(labels, wrong_then_right)]}, groups=2)
    assert [row["n"] for row in rows] == [3, 3]
    assert [row["kappa"]["teacher"] for row in rows] == [1.0, 1.0]
    assert [row["kappa"]["student"] for row in rows] == pytest.approx([-0.5, 1.0])
    assert rows[0]["high"] == pytest.approx(0.4)


def test_contested_sleep_epochs_and_the_clearest_of_them():
    baseline = night_of([0, 0, 1, 2, 2, -1], [0, 1, 1, 0, 1, 0], sure=[0.8, 0.7, 0.8, 0.6, 0.9, 0.8])
    distilled = night_of([0, 0, 1, 2, 2, -1], [0, 0, 0, 2, 2, 1], sure=0.8)
    assert contested([baseline], [distilled]) == {
        "both_right": [1, 0, 0],
        "distilled_right": [1, 0, 2],
        "baseline_right": [0, 1, 0],
        "both_wrong": [0, 0, 0],
    }
    found = clearest_examples([baseline], [distilled], per_class=1)
    assert [(example.label, example.index) for example in found["distilled_right"]] == [(0, 1), (2, 4)]
    assert [(example.label, example.index) for example in found["baseline_right"]] == [(1, 2)]
    assert found["baseline_right"][0].onset_s == baseline.onset_s[2]


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_projection_separates_what_is_separate(method):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    features = rng.normal(size=(60, 16)) + 20 * np.eye(3, 16)[labels]
    points = project({"teacher": features}, method)["teacher"]
    assert points.shape == (60, 2)
    centres = np.array([points[labels == k].mean(0) for k in range(3)])
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(1)
    assert (nearest == labels).mean() > 0.95
    with pytest.raises(ValueError, match="umap"):
        project({"teacher": features}, "umap")


def test_figures_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    baseline, distilled = [made_up_night(classes=3, skill=0.5)], [made_up_night(classes=3, skill=2.0)]
    examples = clearest_examples(baseline, distilled, 1)["distilled_right"]
    signals = [(rng.normal(size=600), rng.normal(size=600)) for _ in examples]
    examples_figure(examples, signals, ("EEG", "ECG"), NAMES, tmp_path / "examples.png")
    shown = [
        AttentionExample(name, *signals[0], 30.0, rng.random(125), rng.random(60))
        for name in ("scored W", "scored REM")
    ]
    attention_figure(shown, ("EEG", "ECG"), tmp_path / "attention.png")
    points = {name: rng.normal(size=(30, 2)) for name in ("EEG teacher", "ECG baseline", "distilled")}
    projection_figure(points, rng.integers(-1, 3, 30), NAMES, tmp_path / "projection.png")
    rows = by_teacher_confidence(distilled, {"student": baseline})
    confidence_figure(rows, tmp_path / "confidence.png")
    for path in tmp_path.iterdir():
        assert np.asarray(Image.open(path).convert("L")).std() > 5, path  # something is on it
    assert len(list(tmp_path.iterdir())) == 4
