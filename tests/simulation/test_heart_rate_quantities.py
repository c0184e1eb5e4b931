"""`benchmarks/simulation_heart_rate.py`: its quantities by hand, and those of the real nights that it was made for."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulation_fit import FACTS
from benchmarks.simulation_heart_rate import (
    StagedHeartRate,
    percentiles,
    quantities,
    rate_of_beats,
    real_quantities,
    staged_heart_rate,
)
from sleepkd import prepare
from sleepkd.data.hypnogram import Hypnogram

SLEEP_ACCEL = FACTS.parent / "sleep_accel"


def test_quantities_of_a_night_by_hand() -> None:
    # 30 min of N2 at 60 per minute, then 10 min of wake that begin with a peak 20 % above and continue 10 % above.
    labels = np.repeat([2, 0], [360, 120])
    x = np.log(60) + np.where(labels == 0, 0.1, 0.0)
    x[360] = np.log(60) + 0.2
    found = quantities(StagedHeartRate(x, labels))
    assert found["median_heart_rate"] == pytest.approx(60)
    assert found["N2.share"] == 0.75 and found["W.share"] == 0.25
    assert found["N2.level"] == pytest.approx(0) and found["W.level"] == pytest.approx(0.1 + 0.1 / 120)
    assert found["W.step_5s"] == pytest.approx(0.1 / 119) and found["N2.step_5s"] == pytest.approx(0)
    assert "rise_at_waking" not in found and "N3.level" not in found  # one awakening, no N3
    assert 0.98 < found["share_of_variance_by_stage"] < 1
    assert found["slope_per_hour_in_N2_N3"] == pytest.approx(0)


def test_rises_at_waking_and_slope() -> None:
    labels = np.tile(np.repeat([2, 0], [180, 20]), 3)
    x = np.log(60) + 0.02 * np.arange(600) * 5 / 3600 + np.where(labels == 0, 0.2, 0.0)
    found = quantities(StagedHeartRate(x, labels))
    assert found["slope_per_hour_in_N2_N3"] == pytest.approx(0.02)
    assert found["rise_at_waking"] == pytest.approx(0.2, abs=0.001)


def test_heart_rate_of_beats_with_labels_on_a_grid() -> None:
    beats = np.concatenate([np.arange(0, 60, 1.0), np.arange(110, 200, 0.5)])
    hypnogram = Hypnogram(np.arange(0, 180, 30.0), np.full(6, 30.0), np.array([-1, 2, 2, 2, 0, 0], dtype=np.int8))
    night = staged_heart_rate(*rate_of_beats(beats), hypnogram)
    assert len(night.labels) == 30 and list(night.labels[[0, 17, 18]]) == [2, 2, 0]  # from 30 to 180 s
    assert np.exp(night.log_rate[[0, 29]]) == pytest.approx([60, 120])
    assert np.isnan(night.log_rate[7:15]).all()  # the gap


@pytest.mark.slow
def test_quantities_of_the_watch_nights_are_the_published_ones(tmp_path: Path) -> None:
    if not SLEEP_ACCEL.is_dir():
        pytest.skip(f"{SLEEP_ACCEL} is missing")
    store = tmp_path / "store"
    assert prepare.main(["--dataset", "sleep_accel", "--raw", str(SLEEP_ACCEL), "--out", str(store)]) == 0
    found = percentiles(real_quantities(store).values())
    published = json.loads(FACTS.read_text())["sleep_accel_22_healthy_watch_5s"]
    for name, row in published.items():
        assert abs(found[name][2] - row["p50"]) < 0.25 * (row["p75"] - row["p25"]), name
