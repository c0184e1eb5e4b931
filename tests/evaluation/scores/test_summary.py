import json

import numpy as np
import pytest

from sleepkd.evaluation.scores.metrics import scores
from sleepkd.evaluation.scores.summary import json_safe, metrics_of, over_recordings, write_metrics
from tests.evaluation.nights import made_up_night

NAMES = ("W", "light", "deep", "REM")


def test_scores_pooled_by_standard_and_by_recording(tmp_path):
    nights = [
        made_up_night("a", seed=1),
        made_up_night("b", seed=2, standard="rk", subset="SS2"),
        made_up_night("c", seed=3, skill=0.3, subject="s"),
    ]
    metrics = metrics_of(nights, NAMES)
    confusion = {name: np.array(entry["confusion"]) for name, entry in metrics["by_recording"].items()}
    assert metrics["classes"] == list(NAMES)
    assert metrics["overall"] == scores(sum(confusion.values()), NAMES)
    assert metrics["by_standard"]["rk"] == scores(confusion["b"], NAMES)
    assert metrics["by_standard"]["aasm"] == scores(confusion["a"] + confusion["c"], NAMES)
    assert metrics["by_recording"]["c"]["subject"] == "s"
    kappas = [entry["kappa"] for entry in metrics["by_recording"].values()]
    assert metrics["over_recordings"]["mean"]["kappa"] == pytest.approx(np.mean(kappas))
    assert metrics["over_recordings"]["median"]["kappa"] == pytest.approx(np.median(kappas))
    write_metrics(tmp_path / "metrics.json", metrics)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics


def test_a_recording_with_an_undefined_score_is_left_out_of_its_mean():
    matrices = np.array([[[5, 1], [1, 3]], [[7, 0], [0, 0]]])  # the kappa of the second is undefined
    table = over_recordings(matrices)
    assert table["mean"]["kappa"] == pytest.approx((0.8 - 0.52) / 0.48)
    assert table["defined"] == {
        "accuracy": 2, "balanced_accuracy": 2, "kappa": 1, "macro_f1": 2, "weighted_f1": 2,
    }  # fmt: skip


def test_scores_of_no_nights_are_none():
    metrics = metrics_of([], NAMES)
    assert metrics["overall"]["n"] == 0
    assert metrics["overall"]["kappa"] is None
    assert metrics["over_recordings"]["mean"]["kappa"] is None


def test_a_duplicate_recording_raises_an_error():
    with pytest.raises(ValueError, match="more than once"):
        metrics_of([made_up_night("a"), made_up_night("a")], NAMES)


def test_json_safe_converts_numpy_and_nan():
    value = {1: np.float32("nan"), "a": (np.int64(3), np.array([1.0, np.inf])), "b": [True, None, "x", 0.5]}
    assert json_safe(value) == {"1": None, "a": [3, [1.0, None]], "b": [True, None, "x", 0.5]}
