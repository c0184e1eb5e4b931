import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yasa

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.errors import UserError
from sleepkd.evaluation.pictures.bland_altman import bland_altman_figure
from sleepkd.evaluation.scores.metrics import scores
from sleepkd.evaluation.scores.sleep_medicine import agreement_of, hypnograms, sleep_medicine_of
from tests.evaluation.nights import made_up_night

NAMES = CLASS_NAMES[4]
W, LIGHT, DEEP, REM = range(4)

pytestmark = pytest.mark.filterwarnings("error")


def night_of(labels, predictions, recording="r", minutes_per_epoch=0.5, classes=4):
    """A night with these labels and predictions, each predicted with probability 1."""
    n = len(labels)
    return dataclasses.replace(
        made_up_night(recording, n=n, classes=classes),
        onset_s=10.3 + 60 * minutes_per_epoch * np.arange(n),
        duration_s=np.full(n, 60 * minutes_per_epoch),
        labels=np.array(labels, dtype=np.int8),
        probabilities=np.eye(classes, dtype=np.float32)[predictions],
    )


def cohort(n=6, classes=4):
    return [
        made_up_night(f"r{i}", n=600, seed=i, classes=classes, standard="rk" if i % 2 else "aasm") for i in range(n)
    ]


def test_sleep_statistics_of_an_rk_night_by_hand():
    """20-s sleep epochs: 3 min wake, 30 light, 12 deep, 3 wake, 12 REM; predicted: sleep 1 min earlier, no wake."""
    labels = [W] * 9 + [LIGHT] * 90 + [DEEP] * 36 + [W] * 9 + [REM] * 36
    predictions = [W] * 6 + [LIGHT] * 93 + [DEEP] * 36 + [REM] * 45
    result = sleep_medicine_of([night_of(labels, predictions, minutes_per_epoch=1 / 3)], NAMES)
    scored, predicted = (result["statistics"].loc[scorer].iloc[0] for scorer in ("scored", "predicted"))
    expected = {"TIB": 60, "TST": 54, "SE": 90, "WASO": 3, "SOL": 3, "Lat_REM": 48, "REM latency": 45, "DEEP": 12}
    assert scored[list(expected)].to_dict() == pytest.approx(expected, abs=1e-3)
    expected = {"TIB": 60, "TST": 58, "SE": 96.6667, "WASO": 0, "SOL": 2, "Lat_REM": 45, "REM latency": 43, "DEEP": 12}
    assert predicted[list(expected)].to_dict() == pytest.approx(expected, abs=1e-3)
    assert result["agreement"] == {}  # one night has no limits of agreement
    expected = [[16, 1, 0, 1], [0, 89, 1, 0], [1, 0, 35, 0], [0, 0, 0, 35]]
    assert result["transitions"]["scored"].tolist() == expected


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_scores_of_every_class_scheme_equal_yasa(classes):
    night = made_up_night(n=300, classes=classes)
    scored, predicted = hypnograms(night, CLASS_NAMES[classes])
    assert scored.n_stages == classes
    agreement = yasa.EpochByEpochAgreement([scored], [predicted]).get_agreement()
    ours = scores(night.confusion, CLASS_NAMES[classes])
    assert ours["kappa"] == pytest.approx(agreement["kappa"], abs=1e-12)
    assert 100 * ours["accuracy"] == pytest.approx(agreement["accuracy"], abs=1e-12)
    assert 100 * ours["weighted_f1"] == pytest.approx(agreement["f1"], abs=1e-11)
    by_stage = yasa.EpochByEpochAgreement([scored], [predicted]).get_agreement_bystage()
    for row, name in zip(by_stage.itertuples(), CLASS_NAMES[classes], strict=True):
        assert 100 * ours["per_class"][name]["recall"] == pytest.approx(row.recall, abs=1e-11)


def test_unscored_time_and_gaps_count_in_neither_hypnogram():
    labels, predictions = [W, LIGHT, -1, REM], [W, LIGHT, LIGHT, REM]
    night = night_of(labels, predictions)
    night = dataclasses.replace(night, onset_s=np.array([0.0, 30, 60, 150]))  # two sleep epochs are missing
    for hypnogram in hypnograms(night, NAMES):
        assert hypnogram.hypno.tolist() == ["WAKE", "LIGHT", "UNS", "UNS", "UNS", "REM"]
        assert hypnogram.sleep_statistics()["TST"] == 1.0
    transitions = sleep_medicine_of([night], NAMES)["transitions"]
    assert transitions["scored"].sum() == 1


def test_bias_and_limits_by_hand():
    statistics = sleep_medicine_of(cohort(), NAMES)["statistics"]
    difference = (statistics.loc["predicted"] - statistics.loc["scored"])["TST"]
    row = agreement_of(statistics)["TST"]
    assert row["n"] == 6
    assert row["bias"]["value"] == pytest.approx(difference.mean())
    assert row["loa_upper"]["value"] == pytest.approx(difference.mean() + 1.96 * difference.std())
    half = 2.5705818 * difference.std() / np.sqrt(6)  # t of 5 degrees of freedom at 97.5 %
    assert row["bias"]["high"] == pytest.approx(difference.mean() + half)


def test_nights_of_20_s_and_30_s_sleep_epochs_are_combined(tmp_path):
    result = sleep_medicine_of(cohort(), NAMES)
    assert result["nights"] == 6
    assert not result["repeated"]
    pooled = scores(sum(night.confusion for night in cohort()), NAMES)["per_class"]
    for name in NAMES:
        assert result["stages"][name]["sensitivity"] == pytest.approx(100 * pooled[name]["recall"], abs=1e-11)
        assert result["stages"][name]["f1"] == pytest.approx(100 * pooled[name]["f1"], abs=1e-11)
    assert result["transitions"]["predicted"].shape == (4, 4)
    drawn = bland_altman_figure(result["statistics"], tmp_path / "ba.png")
    assert "TST" in drawn
    assert (tmp_path / "ba.png").stat().st_size > 10_000
    assert plt.get_fignums() == []  # no figure stays open


def test_perfect_agreement_has_no_bias_and_no_figure(tmp_path):
    nights = [
        dataclasses.replace(
            night, labels=night.predictions, probabilities=np.eye(4, dtype=np.float32)[night.predictions]
        )
        for night in cohort(4)
    ]
    result = sleep_medicine_of(nights, NAMES)
    assert result["agreement"]["TST"]["bias"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert bland_altman_figure(result["statistics"], tmp_path / "ba.png") == []
    assert list(tmp_path.iterdir()) == []


def test_latency_is_undefined_in_a_night_without_sleep():
    nights = [*cohort(3), night_of([W] * 40, [W] * 40, recording="awake")]
    result = sleep_medicine_of(nights, NAMES)
    assert result["statistics"].loc["scored", "SOL"].isna()["awake"]
    assert result["agreement"]["SOL"]["n"] == 3
    assert result["agreement"]["TST"]["n"] == 4


def test_undefined_sleep_statistics_raise_an_error():
    night = made_up_night(n=20)
    with pytest.raises(UserError, match="different lengths"):
        hypnograms(dataclasses.replace(night, duration_s=np.r_[np.full(10, 20.0), np.full(10, 30.0)]), NAMES)
    with pytest.raises(UserError, match="overlap"):
        hypnograms(dataclasses.replace(night, onset_s=10.0 * np.arange(20)), NAMES)
    with pytest.raises(UserError, match="scored"):
        sleep_medicine_of([dataclasses.replace(night, labels=np.full(20, -1, dtype=np.int8))], NAMES)
