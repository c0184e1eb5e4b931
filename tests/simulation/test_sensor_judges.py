"""`benchmarks/simulation_sensors.py`: each judge on signals whose answer is known, and its table."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulation_sensors import (
    breathing_by_stage,
    breaths_of,
    counts_by_stage,
    describe_counts,
    dips,
    effort_in_apneas,
    measure,
    pulse_agreement,
    real_counts,
    sinus_arrhythmia,
)
from sleepkd.simulation.cohort import write_cohort
from sleepkd.simulation.population import Population
from sleepkd.simulation.sensor_channels import SENSOR_KINDS

RATE = 32.0


def test_breaths_of_a_sine_by_stage() -> None:
    t = np.arange(0, 1200, 1 / RATE)
    phase = np.where(t < 600, 0.2 * t, 0.2 * 600 + 0.3 * (t - 600))  # 12, then 18 breaths per minute
    labels = np.repeat([2, 4], 20)
    found = breathing_by_stage(breaths_of(np.sin(2 * np.pi * phase), RATE), 0.0, labels)
    assert set(found) == {"N2", "R"}
    assert found["N2"][0] == pytest.approx(12, abs=0.1) and found["R"][0] == pytest.approx(18, abs=0.1)
    assert found["N2"][1] < 0.02
    rng = np.random.default_rng(0)
    breaths = np.cumsum(4 * np.exp(0.1 * rng.standard_normal(300)))
    assert breathing_by_stage(breaths, 0.0, np.full(45, 2))["N2"][1] == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("lead", [0.0, 90.0, -45.0])
def test_phase_of_heart_rate_to_the_belt(lead: float) -> None:
    t = np.arange(0, 1800, 1 / RATE)
    rng = np.random.default_rng(0)
    phase = 2 * np.pi * np.cumsum(0.25 * np.exp(0.05 * rng.standard_normal(len(t)))) / RATE
    heart_rate = 1 + 0.05 * np.sin(phase + np.radians(lead))
    beats = np.interp(np.arange(1, 1700), np.cumsum(heart_rate) / RATE, t)
    found, coherence = sinus_arrhythmia(np.sin(phase), RATE, beats)
    assert found == pytest.approx(lead, abs=5) and coherence > 0.9
    belt = rng.standard_normal(len(t))
    assert sinus_arrhythmia(belt, RATE, beats)[1] < 0.3


def test_effort_in_an_apnea() -> None:
    t = np.arange(0, 200, 1 / RATE)
    inside = (t > 100) & (t < 120)
    wave = np.sin(2 * np.pi * 0.25 * t)
    signals = {"thorax": np.where(inside, -0.5, 1) * wave, "abdomen": wave, "airflow": np.where(inside, 0, 1) * wave}
    found = effort_in_apneas(signals, RATE, np.array([[100.0, 20.0]]))
    assert found["thorax"] == pytest.approx(0.5, abs=0.1) and found["abdomen"] == pytest.approx(1, abs=0.05)
    assert found["airflow"] < 0.15 and found["correlation"] < -0.9


def test_dips_of_oxygen_saturation() -> None:
    spo2 = np.full(600, 96.0)
    spo2[130:141] = 90  # lowest in the middle, 15 s after the end of the apnea at 120
    spo2[300] = 0
    depth, lag = dips(spo2, np.array([100.0, 280.0, 400.0]), np.full(3, 20.0))
    assert (depth[0], lag[0]) == (6, 15) and np.isnan(depth[1]) and depth[2] == 0


def test_pulses_against_beats() -> None:
    rng = np.random.default_rng(0)
    beats = np.cumsum(rng.uniform(0.7, 1.1, 1000))
    clean = np.ones(1000, dtype=bool)
    late = rng.uniform(-0.01, 0.01, 1000)
    delay, within, f1 = pulse_agreement(beats + 0.3 + late, beats, clean)
    assert delay == pytest.approx(0.3, abs=0.002) and (within, f1) == (1.0, 1.0)
    late[::4] = 0.06  # the mean delay is 15 ms later, which takes a quarter of the others out of the 20 ms
    _, within, f1 = pulse_agreement(beats + 0.3 + late, beats, clean)
    assert within == pytest.approx(0.75 * 0.75, abs=0.03) and f1 == 1.0
    pulses = np.delete(beats + 0.3, np.arange(50, 900, 10))  # 85 missed
    assert pulse_agreement(pulses, beats, clean)[2] == pytest.approx(2 * 915 / (2 * 915 + 85), abs=0.002)
    extra = np.sort(np.concatenate([beats + 0.3, beats[50:900:10] + 0.65]))
    assert pulse_agreement(extra, beats, clean)[2] == pytest.approx(2000 / 2085, abs=0.004)
    noisy = clean.copy()
    noisy[50:900:10] = False
    assert pulse_agreement(pulses, beats, noisy)[2] == pytest.approx(1.0, abs=0.002)


def test_counts_by_stage_and_of_sleep_accel(tmp_path: Path) -> None:
    path = tmp_path / "1_activity.csv"
    path.write_text("onset_s,count\n0,5\n30,0\n60,1\n90,3\n")
    found = counts_by_stage(path, 20.0, np.array([0, 2, 2]))  # labels from 20, 50 and 80 s: the middle 15 s has none
    assert found["W"].tolist() == [0] and found["N2"].tolist() == [1, 3] and len(found["R"]) == 0
    (tmp_path / "labels").mkdir()
    (tmp_path / "activity").mkdir()
    path.rename(tmp_path / "activity" / path.name)
    (tmp_path / "labels" / "1_labeled_sleep.txt").write_text("0 0\n30 -1\n60 3\n90 4\n")
    real = real_counts(tmp_path)
    assert real["W"].tolist() == [5] and real["N3"].tolist() == [1, 3] and not len(real["N1"])
    assert describe_counts(np.array([0.0, 0, 1, 2, 3])) == "0.40; 0.00 / 1.00 / 2.00 / 2.60"


def test_measures_of_a_recording_with_apneas(tmp_path: Path) -> None:
    pytest.importorskip("neurokit2")
    apneic = Population(apnea_share=1, fibrillation_share=0)
    options = {"channels": "needed", "rate": 128, "population": apneic, "sensors": SENSOR_KINDS}
    (psg,) = write_cohort(tmp_path / "raw", nights=1, hours=0.5, seed=14, **options)
    found = measure(psg)
    apneas = np.load(tmp_path / "raw" / "truth" / "01-01-0001.npz")["apneas"]
    assert not found.healthy and len(found.dips[0]) == len(apneas) > 5
    assert found.arrhythmia is not None and abs(found.arrhythmia[0]) < 30
    delay, within, f1 = found.pulse
    assert 0.2 < delay < 0.5 and within > 0.9 and f1 > 0.98
    assert found.obstructive["airflow"] < 0.15 and found.obstructive["correlation"] < -0.5
