import numpy as np
import pytest

from simulation.simulated_nights import band_power, night, steady_steps
from sleepkd.simulation.eeg import simulate_eeg_sources
from sleepkd.simulation.eog_emg import ocular_artifact, simulate_emg, simulate_eog, simulate_eye_movements
from sleepkd.simulation.sleep_architecture import N1, N2, REM, S4, STATE_SECONDS, W

RATE = 128
NUMBERS = (1, 2, 4)
HOURS = 2.0


@pytest.fixture(scope="module")
def eogs():
    simulated = {}
    for k in NUMBERS:
        one = night(k, HOURS)
        sources, eye_movements = simulate_eeg_sources(one, RATE), simulate_eye_movements(one, RATE)
        simulated[k] = [simulate_eog(one, sources, eye_movements, side, RATE) for side in ("Left", "Right")]
    return simulated


def test_left_and_right_eog_are_anticorrelated_in_rem_sleep_and_correlated_in_deep_sleep(eogs):
    for k, (left, right) in eogs.items():
        states, pairs = steady_steps(np.stack([left, right], axis=1).reshape(-1), night(k, HOURS), 2 * RATE)
        correlation = np.array([np.corrcoef(x[::2], x[1::2])[0, 1] for x in pairs])
        assert np.median(correlation[states == REM]) < 0
        assert np.median(correlation[states == S4]) > 0.3


def test_rapid_eye_movements_are_large_and_occur_in_bursts(eogs):
    for k, (left, right) in eogs.items():
        states, steps = steady_steps(left - right, night(k, HOURS), RATE)
        largest = np.abs(np.diff(steps[:, :: RATE // 8], axis=1)).max(axis=1)  # over an eighth of a second
        between, during = np.percentile(largest[states == REM], [20, 75])
        in_n2 = np.median(largest[states == N2])
        assert during > 2.5 * in_n2 and between < 1.6 * in_n2


def test_slow_eye_movements_are_strongest_in_n1(eogs):
    for k, (left, right) in eogs.items():
        states, steps = steady_steps(left - right, night(k, HOURS), RATE)
        slow = band_power(steps, RATE, 0.1, 0.6)
        assert np.median(slow[states == N1]) > 4 * np.median(slow[states == N2])


def test_blinks_occur_in_active_wake_and_reach_frontal_electrodes():
    eye_movements, one = simulate_eye_movements(night(1, HOURS), RATE), night(1, HOURS)
    active = np.repeat(one.active, STATE_SECONDS * RATE)
    near = np.convolve(active, np.ones(RATE), "same") > 0
    assert eye_movements.blinks[active].max() > 60 and np.abs(eye_movements.blinks[~near]).max() < 1
    assert ocular_artifact(eye_movements, "F3").max() > 3 * ocular_artifact(eye_movements, "O1").max()


def test_chin_tone_is_highest_in_wake_and_lowest_in_rem_sleep():
    tones = []
    for k in NUMBERS:
        states, steps = steady_steps(simulate_emg(night(k, HOURS), "Chin1", RATE), night(k, HOURS), RATE)
        tones.append([np.median(steps[states == state].std(axis=1)) for state in range(6)])
    tone = np.median(tones, axis=0)
    assert tone.argmin() == REM and tone.argmax() == W
    assert tone[W] > 1.5 * tone[N2] > 2 * tone[REM]


def test_two_chin_channels_share_the_tone_but_not_the_noise():
    first, second = (simulate_emg(night(1, HOURS), name, RATE) for name in ("Chin1", "Chin2"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    level = [np.log(x[: len(x) // 1280 * 1280].reshape(-1, 1280).std(axis=1)) for x in (first, second)]
    assert np.corrcoef(*level)[0, 1] > 0.8
