import numpy as np
import pytest

from simulation.nights import band_power, night, staged
from sleepkd.simulation.eeg import simulate_brain
from sleepkd.simulation.face import eyes_in_eeg, simulate_emg, simulate_eog, simulate_eyes
from sleepkd.simulation.hypnogram import N1, N2, REM, S4, STATE_SECONDS, W

RATE = 128
NUMBERS = (1, 2, 4)
HOURS = 2.0


@pytest.fixture(scope="module")
def eogs():
    made = {}
    for k in NUMBERS:
        one = night(k, HOURS)
        brain, eyes = simulate_brain(one, RATE), simulate_eyes(one, RATE)
        made[k] = [simulate_eog(one, brain, eyes, side, RATE) for side in ("Left", "Right")]
    return made


def test_eyes_move_together_so_their_electrodes_disagree_in_rem_sleep_and_agree_in_deep_sleep(eogs):
    for k, (left, right) in eogs.items():
        states, pairs = staged(np.stack([left, right], axis=1).reshape(-1), night(k, HOURS), 2 * RATE)
        correlation = np.array([np.corrcoef(x[::2], x[1::2])[0, 1] for x in pairs])
        assert np.median(correlation[states == REM]) < 0
        assert np.median(correlation[states == S4]) > 0.3


def test_rapid_eye_movements_are_large_and_come_in_bursts(eogs):
    for k, (left, right) in eogs.items():
        states, steps = staged(left - right, night(k, HOURS), RATE)
        largest = np.abs(np.diff(steps[:, :: RATE // 8], axis=1)).max(axis=1)  # over an eighth of a second
        quiet, busy = np.percentile(largest[states == REM], [20, 75])
        without = np.median(largest[states == N2])
        assert busy > 2.5 * without and quiet < 1.6 * without


def test_slow_rolling_eyes_mark_n1(eogs):
    for k, (left, right) in eogs.items():
        states, steps = staged(left - right, night(k, HOURS), RATE)
        slow = band_power(steps, RATE, 0.1, 0.6)
        assert np.median(slow[states == N1]) > 4 * np.median(slow[states == N2])


def test_blinks_come_with_open_eyes_alike_at_both_electrodes_and_reach_the_front():
    eyes, one = simulate_eyes(night(1, HOURS), RATE), night(1, HOURS)
    active = np.repeat(one.active, STATE_SECONDS * RATE)
    near = np.convolve(active, np.ones(RATE), "same") > 0
    assert eyes.blinks[active].max() > 60 and np.abs(eyes.blinks[~near]).max() < 1
    assert eyes_in_eeg(eyes, "F3").max() > 3 * eyes_in_eeg(eyes, "O1").max()


def test_chin_tone_is_highest_in_wake_and_lowest_in_rem_sleep():
    tones = []
    for k in NUMBERS:
        states, steps = staged(simulate_emg(night(k, HOURS), "Chin1", RATE), night(k, HOURS), RATE)
        tones.append([np.median(steps[states == state].std(axis=1)) for state in range(6)])
    tone = np.median(tones, axis=0)
    assert tone.argmin() == REM and tone.argmax() == W
    assert tone[W] > 1.5 * tone[N2] > 2 * tone[REM]


def test_two_chin_channels_share_the_tone_and_not_the_noise():
    first, second = (simulate_emg(night(1, HOURS), name, RATE) for name in ("Chin1", "Chin2"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    level = [np.log(x[: len(x) // 1280 * 1280].reshape(-1, 1280).std(axis=1)) for x in (first, second)]
    assert np.corrcoef(*level)[0, 1] > 0.8
