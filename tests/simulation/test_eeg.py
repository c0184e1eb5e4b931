from itertools import pairwise

import numpy as np
import pytest

from simulation.nights import band_power, night, staged
from sleepkd.simulation.eeg import simulate_brain, simulate_eeg
from sleepkd.simulation.hypnogram import N1, N2, REM, S3, S4, STATE_SECONDS, W

RATE = 128
NUMBERS = range(6)
HOURS = 2.0
ELECTRODES = ("F3", "C3", "C4", "O1", "A2")


@pytest.fixture(scope="module")
def signals():
    made = {}
    for k in NUMBERS:
        brain = simulate_brain(night(k, HOURS), RATE)
        made[k] = {name: simulate_eeg(night(k, HOURS), brain, name, RATE) for name in ELECTRODES}
    return made


@pytest.fixture(scope="module")
def steps(signals):
    """States (k,) and steps (k, samples) of C3 in all nights."""
    pairs = [staged(signals[k]["C3"], night(k, HOURS), RATE) for k in NUMBERS]
    return tuple(np.concatenate(parts) for parts in zip(*pairs, strict=True))


def median_power(steps, low, high):
    states, x = steps
    power = band_power(x, RATE, low, high)
    return np.array([np.median(power[states == state]) for state in range(6)])


def slow_wave_share(x):
    """Share of each row's time taken by AASM's slow waves: 0.5 to 2 Hz, above 75 microvolt from peak to peak."""
    f = np.fft.rfftfreq(x.shape[1], 1 / RATE)
    slow = np.fft.irfft(np.fft.rfft(x, axis=1) * ((f >= 0.4) & (f <= 2.5)), n=x.shape[1], axis=1)
    shares = []
    for row in slow:
        crossings = np.flatnonzero((row[1:] > 0) & (row[:-1] <= 0))
        waves = [(b - a, np.ptp(row[a:b])) for a, b in pairwise(crossings)]
        shares.append(sum(n for n, height in waves if height > 75 and 0.5 <= n / RATE <= 2) / len(row))
    return np.array(shares)


def test_deep_sleep_is_slow_waves_above_75_microvolt(steps):
    states, x = steps
    share = slow_wave_share(x)
    assert np.median(share[states == S3]) > 0.2 and np.median(share[states == S4]) > 0.45
    assert np.mean(share[states == N2] > 0.2) < 0.2
    for state in (W, N1, REM):
        assert np.mean(share[states == state] > 0.2) < 0.05


def test_rem_sleep_has_low_amplitude_and_deep_sleep_a_high_one(steps):
    states, x = steps
    amplitude = np.array([np.median(x[states == state].std(axis=1)) for state in range(6)])
    assert 6 < amplitude[REM] < 16 and amplitude[REM] < 0.75 * amplitude[N2] < 0.5 * amplitude[S4]


def test_alpha_fills_relaxed_wake_most_at_the_back_and_open_eyes_block_it(signals):
    relaxed, active, back = [], [], []
    for k in NUMBERS:
        one = night(k, HOURS)
        length = STATE_SECONDS * RATE
        power = {name: band_power(signals[k][name].reshape(-1, length), RATE, 8, 12) for name in ("C3", "O1")}
        rest = (one.states == W) & ~one.active
        relaxed.append(np.median(power["C3"][rest]))
        active.append(np.median(power["C3"][one.active]))
        back.append(np.median(power["O1"][rest]))
    assert np.median(relaxed) > 3 * np.median(active)
    assert np.median(back) > 2 * np.median(relaxed)


def test_spindles_raise_sigma_power_in_n2(steps):
    sigma = median_power(steps, 12, 15)
    assert sigma[N2] > 2 * sigma[REM] and sigma[N2] > 2 * sigma[N1]


def test_yasa_finds_spindles_of_the_subject_in_n2(signals):
    from yasa import spindles_detect

    for k in (1, 2):
        one = night(k, HOURS)
        hypnogram = np.repeat(np.isin(one.states, [N2]), STATE_SECONDS * RATE).astype(int)
        found = spindles_detect(signals[k]["C3"].astype(float), RATE, hypno=hypnogram, include=(1,)).summary()
        minutes = hypnogram.sum() / RATE / 60
        assert 0.3 * one.subject.spindle_rate < len(found) / minutes < 2 * one.subject.spindle_rate
        assert abs(found["Frequency"].median() - one.subject.spindle_frequency) < 0.5


def test_theta_marks_n1_and_rem_against_wake(steps):
    share = median_power(steps, 4, 8) / median_power(steps, 8, 30)
    assert share[N1] > 1.5 * share[W] and share[REM] > 1.5 * share[W]


def test_the_floor_is_steeper_in_deep_sleep(steps):
    slope = np.log(median_power(steps, 2.5, 4.5) / median_power(steps, 26, 28))
    assert slope[S4] > slope[N2] > slope[W]


def test_neighbours_share_most_of_their_signal_and_the_ear_little(signals):
    for k in NUMBERS:
        x = signals[k]
        assert 0.5 < np.corrcoef(x["C3"], x["C4"])[0, 1] < 0.95
        assert x["A2"].std() < 0.5 * x["C3"].std()


def test_the_difference_to_the_ear_still_carries_the_stage(signals):
    x = signals[1]["C3"] - signals[1]["A2"]
    states, steps = staged(x, night(1, HOURS), RATE)
    delta = band_power(steps, RATE, 0.5, 4)
    assert np.median(delta[np.isin(states, [S3, S4])]) > 6 * np.median(delta[states == REM])


def test_an_electrode_is_the_same_whichever_others_are_made(signals):
    brain = simulate_brain(night(0, HOURS), RATE)
    assert np.array_equal(simulate_eeg(night(0, HOURS), brain, "C4", RATE), signals[0]["C4"])


def test_arousals_bring_fast_activity(signals):
    ratios = []
    for k in NUMBERS:
        one, x = night(k, HOURS), signals[k]["C3"]
        for onset, duration in one.arousals:
            start = int(onset * RATE)
            if one.states[one.step_at(np.array([onset]))[0]] != W and duration > 6 and start > 10 * RATE:
                inside, before = (x[start + a * RATE : start + (a + 5) * RATE][None] for a in (1, -9))
                ratios.append(band_power(inside, RATE, 16, 30) / band_power(before, RATE, 16, 30))
    assert np.median(ratios) > 1.5
