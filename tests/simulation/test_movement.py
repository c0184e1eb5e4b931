"""Activity counts of the wrist, and motion artifacts."""

from dataclasses import replace

import numpy as np
import pytest

from simulation.simulated_nights import night
from sleepkd.simulation import movement
from sleepkd.simulation.movement import add_motion_artifacts, simulate_activity
from sleepkd.simulation.sleep_architecture import N2, W

LABEL_OF_STATE = np.array([0, 1, 2, 3, 3, 4])


def test_counts_of_one_movement_are_a_gaussian_of_the_width_of_sleep_accel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movement, "WRIST_SHARE", np.ones(6))
    one = night(0, 1.0)
    one = replace(one, movements=np.array([[1802.0, 6.0]]), arousals=np.zeros((0, 2)))
    counts = simulate_activity(one)
    assert len(counts) == 120 and counts.argmax() == 60 and (counts[:50] == 0).all() and (counts[70:] == 0).all()
    # Times 1785, 1815 and 1845 s from a movement at 1805 s: 20, 10 and 40 s away.
    assert counts[59] / counts[60] == pytest.approx(np.exp(-0.5 * (20**2 - 10**2) / 50**2), abs=2e-3)
    assert counts[61] / counts[60] == pytest.approx(np.exp(-0.5 * (40**2 - 10**2) / 50**2), abs=2e-3)
    assert (counts == counts.round(4)).all()


def test_no_movement_counts_zero_and_a_limb_movement_moves_no_wrist() -> None:
    still = replace(night(0, 1.0), movements=np.zeros((0, 2)), arousals=np.zeros((0, 2)))
    limbs = replace(still, limb_movements=np.array([[900.0, 3.0], [930.0, 3.0]]))
    assert (simulate_activity(still) == 0).all() and (simulate_activity(limbs) == 0).all()


def test_wake_moves_more_than_sleep_and_most_of_deep_sleep_is_still() -> None:
    by_stage: dict[int, list[float]] = {k: [] for k in range(5)}
    for k in range(25):
        counts = simulate_activity(night(k))
        stage = LABEL_OF_STATE[night(k).states[1::3]][: len(counts)]
        for s in by_stage:
            by_stage[s].extend(counts[: len(stage)][stage == s])
    mean = {s: np.mean(values) for s, values in by_stage.items()}
    still = {s: np.mean(np.array(values) == 0) for s, values in by_stage.items()}
    assert mean[W] > 2 * mean[N2] and min(mean.values()) > 0.3
    assert still[W] < still[4] < still[N2]
    assert 0.15 < still[W] < 0.5 and 0.5 < still[N2] < 0.8 and 0.5 < still[3] < 0.85


def test_motion_artifacts_fill_the_movements_alone() -> None:
    one, rate = night(1, 0.5), 32
    signal = np.zeros(round(one.duration * rate), dtype=np.float32)
    add_motion_artifacts(one, one.generator("test"), signal, rate, seconds=1.0, size=2.0)
    inside = np.zeros(len(signal), dtype=bool)
    for onset, duration in one.movements:
        inside[round(onset * rate) : round((onset + duration) * rate)] = True
    assert inside.any() and not signal[~inside].any() and 0.3 < signal[inside].std() < 5
