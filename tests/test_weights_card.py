"""The card of the network that ships: merged classes, averaged nights, settings without paths."""

from dataclasses import replace

import numpy as np
import pytest

from scripts.weights_card import (
    BIAS_SHARES,
    StudentResults,
    averaged_night,
    calibration_of,
    mean_kappa,
    merged,
    scores_by_sleeper,
    scores_of,
    typical_night,
    without_paths,
)
from sleepkd.checkpoints.calibrated import Calibration, fit_calibration
from sleepkd.checkpoints.shipped import SHIPPED
from sleepkd.data.store import Store
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.prediction.card import ModelCard, read_card, write_card
from sleepkd.study.ensemble_distillation import calibrated, logits_of


def night_of(probabilities: list[list[float]], labels: list[int]) -> NightPredictions:
    n = len(labels)
    p = np.array(probabilities, dtype=np.float32)
    return NightPredictions("n", "s", "", "aasm", 30.0 * np.arange(n), np.full(n, 30.0), np.array(labels, np.int8), p)


def test_light_and_deep_sleep_merge_to_nrem() -> None:
    night = night_of([[0.3, 0.25, 0.25, 0.2], [0.4, 0.1, 0.1, 0.4], [0.1, 0.1, 0.1, 0.7], [1, 0, 0, 0]], [1, 2, 3, -1])
    found = merged(night, 3)
    assert found.labels.tolist() == [1, 1, 2, -1]
    np.testing.assert_allclose(found.probabilities[:2], [[0.3, 0.5, 0.2], [0.4, 0.2, 0.4]], atol=1e-6)
    assert night.predictions[0] == 0 and found.predictions[0] == 1


def test_the_mean_kappa_counts_cohorts_equally() -> None:
    """Kappa 1 on three nights of one cohort, 0 on one of another."""
    right, wrong = night_of(np.eye(2)[[0, 1]].tolist(), [0, 1]), night_of(np.eye(2)[[0, 0]].tolist(), [0, 1])
    nights = [*[replace(right, cohort="a")] * 3, replace(wrong, cohort="b")]
    assert mean_kappa(nights) == pytest.approx(0.5)


def test_the_typical_night_has_the_median_kappa() -> None:
    """Three nights with 4, 3 and 2 of 4 sleep epochs right."""
    labels = [0, 0, 1, 1]
    predicted = {"best": [0, 0, 1, 1], "worst": [0, 1, 0, 1], "middle": [0, 0, 1, 0]}
    nights = [
        replace(night_of(np.eye(2)[p].tolist(), labels), recording=name, cohort="c") for name, p in predicted.items()
    ]
    results = StudentResults({None: [*nights, replace(nights[0], cohort="d")]}, {}, {})
    assert typical_night(results, "c").recording == "middle"


def test_the_bias_by_cadence_is_relative_to_that_of_nights_as_recorded() -> None:
    """The weights hold the bias of nights as recorded: a watch's, every 4.8 s, needs no further one."""
    calibrations = {
        average: Calibration(1.0, np.array(bias), (0, 0))
        for average, bias in {None: [0.1, -0.1], 30.0: [0.4, -0.4], 60.0: [-0.1, 0.1]}.items()
    }
    results = StudentResults({}, {"watch": 4.8, "beats": 0.0}, calibrations)
    assert results.cadence_bias == {"4.8": [0, 0], "30": [0.3, -0.3], "60": [-0.2, 0.2]}
    assert StudentResults({}, {"beats": 0.0}, calibrations).cadence_bias == {"30": [0.3, -0.3], "60": [-0.2, 0.2]}


def test_the_bias_corrects_the_prior_and_no_temperature_is_kept() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(20000) < 0.2).astype(np.int8)
    evidence = np.where(rng.random(20000) < 0.9, labels, 1 - labels)
    probabilities = np.where(evidence[:, None] == [0, 1], 0.9, 0.1)  # as if the prior were 1 : 1; it is 4 : 1
    found = calibration_of([night_of(probabilities.tolist(), labels.tolist())])
    assert found.temperature == 1.0
    assert found.bias[0] - found.bias[1] == pytest.approx(np.log(4), abs=0.25)


def test_a_share_of_the_bias_is_kept_where_all_of_it_lowers_kappa() -> None:
    """One night is nearly all 0, which asks for a large bias; beyond a share of it, the other night's 1s are lost."""
    uneven = night_of([[0.6, 0.4]] * 95 + [[0.05, 0.95]] * 5, [0] * 95 + [1] * 5)
    even = night_of([[0.7, 0.3]] * 50 + [[0.25, 0.75]] * 50, [0] * 50 + [1] * 50)
    found = calibration_of([uneven, even])
    whole = fit_calibration([logits_of(x) for x in (uneven, even)], [x.labels for x in (uneven, even)])
    kappas = {
        share: mean_kappa(
            [calibrated(x, replace(whole, temperature=1.0, bias=share * whole.bias)) for x in (uneven, even)]
        )
        for share in BIAS_SHARES
    }
    assert found.bias == pytest.approx(max(kappas, key=lambda share: kappas[share]) * whole.bias)


def test_an_averaged_night_has_the_cadence_of_its_average(store) -> None:
    opened = Store(store)
    night = opened.open(opened.recordings[0])
    found = averaged_night(night, 30.0)
    assert len(found.beats()) == pytest.approx(len(night.beats()), rel=0.1)
    rates = 60 / np.diff(found.beats())
    assert np.abs(np.diff(rates)).mean() < 0.3 * np.abs(np.diff(60 / np.diff(night.beats()))).mean()
    assert found.info.beats.median_s == pytest.approx(night.info.beats.median_s, rel=0.05)


def test_settings_keep_no_path_of_the_machine() -> None:
    config = {
        "runs_root": "/home/someone/runs",
        "stage": {"name": "scratch", "teacher": ""},
        "data": {"nights": [{"store": "/home/someone/stores/slpdb", "split": "everything"}], "classes": 4},
    }
    found = without_paths(config)
    assert "someone" not in str(found) and found["data"]["classes"] == 4 and found["stage"]["name"] == SHIPPED
    assert found["data"]["nights"] == [{"store": "slpdb", "split": "everything"}]


# --- by age and sex


def sleeping(name: str, predicted: list[int], **facts: object) -> NightPredictions:
    """A night of W, light, deep and REM, two sleep epochs each."""
    night = night_of(np.eye(4)[predicted].tolist(), [0, 0, 1, 1, 2, 2, 3, 3])
    return replace(night, recording=name, subject=name[:2], **facts)  # type: ignore[arg-type]


RIGHT, SWAPPED, WAKE = [0, 0, 1, 1, 2, 2, 3, 3], [0, 0, 2, 2, 1, 1, 3, 3], [0] * 8
NIGHTS = [
    sleeping("s1a", RIGHT, cohort="slpdb", age=39.9, sex="M"),
    sleeping("s1b", WAKE, cohort="slpdb", age=39.9, sex="M"),
    sleeping("s2", SWAPPED, cohort="slpdb", age=40.0, sex="M"),
    sleeping("s3", RIGHT, cohort="slpdb", sex="F"),
    sleeping("w1", RIGHT, cohort="watch"),
    sleeping("w2", WAKE, cohort="watch"),
]
RESULTS = StudentResults({None: NIGHTS, 30.0: NIGHTS}, {"slpdb": 0.0, "watch": 5.1}, {})


def test_scores_by_age_and_sex_count_nights_and_give_intervals_of_people() -> None:
    """By hand: of 8 sleep epochs, 4 of each swapped night are right, where chance is 1/4; all W is no better."""
    found = {(x.cohort, x.group, x.classes): x for x in scores_by_sleeper(RESULTS, [1, 2])}
    kappas = {key[:2]: (x.nights, x.kappa) for key, x in found.items() if x.classes == 4}
    assert kappas == {
        ("slpdb", "age under 40"): (2, 0.5),
        ("slpdb", "age 40 to 59"): (1, pytest.approx(1 / 3, abs=1e-4)),
        ("slpdb", "age unknown"): (1, 1.0),
        ("slpdb", "women"): (1, 1.0),
        ("slpdb", "men"): (3, pytest.approx((1 + 0 + 1 / 3) / 3, abs=1e-4)),
        ("watch", "age unknown"): (2, 0.5),
        ("watch", "sex unknown"): (2, 0.5),
    }
    assert found["slpdb", "age 40 to 59", 3].kappa == 1.0  # light and deep are one
    one_person, two = found["slpdb", "age under 40", 4], found["slpdb", "men", 4]
    assert (one_person.low, one_person.high) == (None, None) and two.low is not None and two.low < two.kappa < two.high
    assert found["watch", "sex unknown", 4].every_s == 5.0 and one_person.every_s is None
    assert one_person.method == "cross-validation by subject, 2 seeds"


def test_a_group_of_all_nights_has_the_score_of_the_cohort() -> None:
    whole = next(x for x in scores_of(RESULTS, [1])[0] if (x.cohort, x.classes) == ("watch", 4) and x.every_s == 5.0)
    group = next(x for x in scores_by_sleeper(RESULTS, [1]) if (x.cohort, x.classes) == ("watch", 4))
    assert replace(group, group="") == whole


def test_they_are_a_table_of_the_card(tmp_path) -> None:
    write_card(ModelCard("night", scores=tuple(scores_by_sleeper(RESULTS, [1]))), tmp_path)
    page, card = (tmp_path / "card.md").read_text(), read_card(tmp_path / "card.json")
    assert "## Scores by age and sex" in page and "| slpdb | age 40 to 59 | heartbeats | 1 | 0.333 | 1.000 |" in page
    assert "| watch | sex unknown | heart rate averaged every 5 s | 2 | 0.500 (" in page
    assert card.main_scores == [] and len(card.scores) == 14
