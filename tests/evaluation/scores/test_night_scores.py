"""Scores by night: calibration error and its floor, share of each sleep stage, REM latency error, their intervals."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.evaluation.results import describe_nights
from sleepkd.evaluation.scores.bootstrap import bootstrap_intervals
from sleepkd.evaluation.scores.calibration import calibration_of
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.night_scores import calibration_floor, night_scores
from sleepkd.evaluation.scores.sleep_medicine import REM_LATENCY, sleep_medicine_of
from sleepkd.evaluation.scores.summary import confusions_of
from tests.evaluation.nights import made_up_night

NAMES = CLASS_NAMES[4]
W, LIGHT, DEEP, REM = range(4)

pytestmark = pytest.mark.filterwarnings("error")


def night_of(
    recording: str, labels: Sequence[int], predictions: Sequence[int], confidence: float = 1.0
) -> NightPredictions:
    """A night with these labels and predictions, each predicted with this probability."""
    n = len(labels)
    probabilities = np.full((n, 4), (1 - confidence) / 3, dtype=np.float32)
    probabilities[np.arange(n), predictions] = confidence
    return dataclasses.replace(
        made_up_night(recording, n=n, classes=4), labels=np.array(labels, dtype=np.int8), probabilities=probabilities
    )


def test_calibration_error_by_night_and_pooled_by_hand() -> None:
    """Confidence .7; one night is always correct, the other in half of its sleep epochs: the errors cancel, pooled."""
    right = night_of("a", [LIGHT] * 10, [LIGHT] * 10, 0.7)
    half = night_of("b", [LIGHT] * 10, [LIGHT] * 4 + [DEEP] * 6, 0.7)
    found = night_scores([right, half], NAMES, draws=50)
    assert found["ece_by_night"]["value"] == pytest.approx((0.3 + 0.3) / 2)
    assert found["ece_pooled"]["value"] == pytest.approx(0.0, abs=1e-6)


def test_pooled_calibration_error_is_that_of_calibration() -> None:
    nights = [made_up_night(f"r{i}", n=300, seed=i) for i in range(4)]
    assert night_scores(nights, NAMES, draws=10)["ece_pooled"]["value"] == pytest.approx(calibration_of(nights)["ece"])


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_the_floor_is_the_mean_deviation_of_a_binomial_share(confidence: float) -> None:
    """All sleep epochs in one bin: E|share correct - p| = sqrt(2 p (1 - p) / (pi n)), the normal approximation."""
    n = 900
    night = night_of("a", [LIGHT] * n, [LIGHT] * n, confidence)
    expected = np.sqrt(2 * confidence * (1 - confidence) / (np.pi * n))
    assert calibration_floor(night, np.random.default_rng(0), 4000) == pytest.approx(expected, rel=0.05)


def test_calibrated_nights_have_the_error_of_the_floor() -> None:
    """Labels drawn from the probabilities of each night, one independently of another."""
    rng = np.random.default_rng(0)
    nights = []
    for i in range(60):
        night = made_up_night(f"r{i}", n=500, seed=i)
        drawn = (night.probabilities.cumsum(axis=1) > rng.random(500)[:, None]).argmax(axis=1)
        nights.append(dataclasses.replace(night, labels=drawn.astype(np.int8)))
    found = night_scores(nights, NAMES, draws=10)["ece_by_night"]
    assert found["value"] == pytest.approx(found["floor"], rel=0.1)
    assert 0.02 < found["floor"] < 0.06


def test_share_of_each_stage_by_hand() -> None:
    """Two nights of other length: shares are of each night, then averaged; an unscored sleep epoch does not count."""
    a = night_of("a", [W, LIGHT, LIGHT, DEEP], [W, LIGHT, DEEP, DEEP])
    b = night_of("b", [LIGHT, REM, -1], [REM, REM, W])
    found = night_scores([a, b], NAMES, draws=10)
    expected = {"W": 0.0, "light": (-0.25 - 0.5) / 2, "deep": 0.125, "REM": 0.25}
    assert {name: entry["value"] for name, entry in found["stage_share_difference"].items()} == pytest.approx(expected)
    assert found["largest_stage_share_difference"] == {"class": "light", "value": pytest.approx(-0.375)}


def latencies() -> list[NightPredictions]:
    """REM latency error of 4, 1 and 0 sleep epochs, two nights with REM on one side only, one without any."""
    return [
        night_of("a", [W, LIGHT, LIGHT, REM, REM, REM, REM, REM], [W, LIGHT, LIGHT, LIGHT, LIGHT, LIGHT, LIGHT, REM]),
        night_of("b", [W, LIGHT, LIGHT, REM], [LIGHT, LIGHT, REM, REM]),  # 2 and 2: the sleep onsets differ as well
        night_of("c", [W, LIGHT, LIGHT, REM], [LIGHT, LIGHT, LIGHT, REM]),
        night_of("d", [W, LIGHT, REM], [W, LIGHT, LIGHT]),
        night_of("e", [W, LIGHT, LIGHT], [W, LIGHT, REM]),
        night_of("f", [W, LIGHT, LIGHT], [W, LIGHT, LIGHT]),
    ]


def test_rem_latency_error_by_hand() -> None:
    found = night_scores(latencies(), NAMES, draws=10)["rem_latency_error_min"]
    assert (found["both"], found["only_scored"], found["only_predicted"]) == (3, 1, 1)
    assert found["median"]["value"] == pytest.approx(0.5)
    assert found["mean"]["value"] == pytest.approx((2.0 + 0.0 + 0.5) / 3)


def test_rem_latency_equals_yasa() -> None:
    nights = [made_up_night(f"r{i}", n=400, seed=i, skill=3.0, standard="rk" if i % 2 else "aasm") for i in range(6)]
    statistics = sleep_medicine_of(nights, NAMES)["statistics"]
    error = (statistics.loc["predicted"] - statistics.loc["scored"])[REM_LATENCY].abs()
    found = night_scores(nights, NAMES, draws=10)["rem_latency_error_min"]
    assert found["both"] == error.notna().sum() > 3
    assert found["mean"]["value"] == pytest.approx(error.mean(), abs=1e-6)
    assert found["median"]["value"] == pytest.approx(error.median(), abs=1e-6)


def test_intervals_are_those_of_the_bootstrap_over_subjects() -> None:
    nights = [made_up_night(f"r{i}", seed=i, skill=0.5 * i, subject=f"s{i // 2}") for i in range(8)]
    found = night_scores(nights, NAMES, draws=500, seed=3)
    expected = bootstrap_intervals(confusions_of(nights, 4), [n.subject for n in nights], draws=500, seed=3)
    assert found["kappa"] == pytest.approx(expected["mean"]["kappa"])
    assert (found["recordings"], found["subjects"]) == (8, 4)
    for name in ("ece_by_night", "ece_pooled"):
        assert 0 < found[name]["low"] < found[name]["value"] < found[name]["high"] < 1


def test_undefined_scores_are_nan_and_one_subject_has_no_interval() -> None:
    unscored = dataclasses.replace(made_up_night(n=5), labels=np.full(5, -1, dtype=np.int8))
    found = night_scores([unscored], NAMES, draws=10)
    assert all(np.isnan(found[name]["value"]) for name in ("kappa", "ece_by_night", "ece_pooled"))
    assert np.isnan(found["ece_by_night"]["floor"])
    assert found["largest_stage_share_difference"]["class"] is None
    assert found["rem_latency_error_min"]["both"] == 0
    one = night_scores([made_up_night()], NAMES, draws=10)["kappa"]
    assert one["value"] > 0 and np.isnan(one["low"])


def test_the_printed_line_by_hand() -> None:
    line = describe_nights(night_scores(latencies(), NAMES, draws=10))
    assert line.startswith("by night: kappa ")
    assert line.endswith("light, median REM latency error 0 min (REM on one side only in 2 nights)")
    assert "floor 0.000" in line
