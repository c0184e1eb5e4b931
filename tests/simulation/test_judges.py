"""The bars of docs/simulation.md on a smaller cohort, held by the judges of benchmarks/simulation.py: minutes."""

import warnings

import numpy as np
import pytest

from sleepkd.simulation.cohort import write_cohort
from sleepkd.simulation.ecg import clean, simulate_ecg
from sleepkd.simulation.heart import simulate_heart
from sleepkd.simulation.hypnogram import score
from sleepkd.simulation.layout import plan
from sleepkd.simulation.night import simulate_night

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judges():
    from benchmarks import simulation

    if not simulation.TABLE.exists():
        pytest.skip(f"{simulation.TABLE} is not there")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield simulation


@pytest.fixture(scope="module")
def recordings(judges, tmp_path_factory):
    """Five nights of 8 h, one of each subset, as MNE reads them."""
    return write_cohort(tmp_path_factory.mktemp("judged") / "raw", nights=5, hours=8, seed=1)


def test_the_heart_meets_the_autonomic_table_its_beats_are_found_and_context_helps(judges, monkeypatch):
    nights, counts = [], np.zeros(3)
    for recording in plan(20, 1):
        night = simulate_night(1, recording.night, recording.subset, 8.0)
        labels = np.array([judges.FROM_TEXT[label] for label in score(night.states, "aasm", 10.0, 955)])
        heart = simulate_heart(night)
        nights.append((labels, *judges.heart_rate_features(heart.beats, 10.0, 955)))
        ecg = simulate_ecg(night, heart, 256, recording.leads("needed")[0])
        counts += judges.detector_counts(ecg, 256, heart.beats, clean(night, heart.beats))
    found, missed, invented = counts
    assert found / (found + missed) >= 0.99 and found / (found + invented) >= 0.99
    monkeypatch.setattr(judges, "autonomic_night", nights.__getitem__)
    pool = type("Pool", (), {"map": staticmethod(map)})
    autonomic = judges.judge_autonomic(pool, range(20))
    assert autonomic["inside"] == "25 of 25", autonomic["rows"]
    ecg = judges.judge_ecg(pool, range(20))
    alone, around = (ecg[name]["kappa"] for name in ("one sleep epoch", "ten minutes"))
    assert 0.10 <= alone <= 0.28
    # Of the states themselves, which no scorer has blurred.
    assert alone + 0.05 <= around <= 0.55


def test_yasa_stages_the_night_from_its_files(judges, recordings):
    nights = [judges.yasa_night(path) for path in recordings]
    pool = type("Pool", (), {"map": staticmethod(lambda function, paths: nights)})
    result = judges.judge_yasa(pool, recordings)
    assert 0.65 <= result["eeg+eog+emg"]["median kappa"] <= 0.88
    assert min(result["eeg+eog+emg"]["F1"].values()) >= 0.40
    assert result["eeg"]["median kappa"] >= 0.62


def test_band_powers_tell_the_sleep_stages(judges, tmp_path):
    # Subjects differ: five would be too few to learn from.
    paths = write_cohort(tmp_path / "raw", nights=15, hours=8, seed=1, channels="needed", scorers=judges.SCORERS)
    pool = type("Pool", (), {"map": staticmethod(map)})
    kappa = judges.judge_eeg(pool, paths)["kappa"]
    assert 0.70 <= kappa <= 0.92
