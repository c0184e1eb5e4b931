"""SpO2: desaturation after apneas, recovery, and a loose sensor."""

from dataclasses import replace

import numpy as np

from simulation.simulated_nights import night
from sleepkd.simulation.oximetry import simulate_spo2

NO_EVENTS = np.zeros((0, 2))


def test_quiet_night_stays_near_its_level_in_whole_percent() -> None:
    for k in range(5):
        spo2 = simulate_spo2(replace(night(k, 1.0), apneas=NO_EVENTS, movements=NO_EVENTS))
        assert len(spo2) == 3600 and (spo2 == spo2.round()).all()
        assert spo2.min() >= 90 and spo2.max() <= 100 and np.ptp(spo2) <= 5


def test_saturation_falls_after_an_apnea_with_a_lag_and_recovers() -> None:
    onsets = np.arange(400.0, 3400, 200)
    apneas = np.stack([onsets, np.full(len(onsets), 20.0)], axis=1)
    for k in range(5):
        spo2 = simulate_spo2(replace(night(k, 1.0), apneas=apneas, movements=NO_EVENTS))
        around = spo2[onsets.astype(int)[:, None] + np.arange(-20, 160)].mean(axis=0)
        before, lowest = around[:20].mean(), around.argmin() - 20
        assert 20 + 5 < lowest < 20 + 32  # after the end of the apnea
        assert before - around.min() > 2
        assert around[20:30].mean() > before - 0.5  # not yet in the apnea's first ten seconds
        assert abs(around[130:].mean() - before) < 1.0


def test_longer_apneas_cost_more() -> None:
    falls = []
    for seconds in (10.0, 24.0):
        spo2 = simulate_spo2(replace(night(0, 1.0), apneas=np.array([[1500.0, seconds]]), movements=NO_EVENTS))
        falls.append(spo2[1450:1500].mean() - spo2[1500:1560].min())
    assert falls[1] > falls[0] > 1


def test_a_loose_sensor_shows_zero_after_movements_only() -> None:
    movements = np.stack([np.arange(60.0, 3500, 30), np.full(115, 3.0)], axis=1)
    spo2 = simulate_spo2(replace(night(0, 1.0), apneas=NO_EVENTS, movements=movements))
    begins = np.flatnonzero((spo2[1:] == 0) & (spo2[:-1] > 0)) + 1
    assert 2 <= len(begins) <= 25 and np.isin(begins, movements[:, 0].astype(int)).all()
