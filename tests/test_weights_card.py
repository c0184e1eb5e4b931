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
    typical_night,
    without_paths,
)
from sleepkd.checkpoints.calibrated import Calibration, fit_calibration
from sleepkd.checkpoints.shipped import SHIPPED
from sleepkd.data.store import Store
from sleepkd.evaluation.scores.night_predictions import NightPredictions
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
