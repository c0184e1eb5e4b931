from itertools import pairwise

import numpy as np
import pytest

from simulation.simulated_nights import band_power, night, steady_steps
from sleepkd.simulation.eeg import simulate_eeg, simulate_eeg_sources
from sleepkd.simulation.sleep_architecture import N1, N2, REM, S3, S4, STATE_SECONDS, W

RATE = 128
NUMBERS = range(6)
HOURS = 2.0
ELECTRODES = ("F3", "C3", "C4", "O1", "A2")


@pytest.fixture(scope="module")
def signals():
    simulated = {}
    for k in NUMBERS:
        sources = simulate_eeg_sources(night(k, HOURS), RATE)
        simulated[k] = {name: simulate_eeg(night(k, HOURS), sources, name, RATE) for name in ELECTRODES}
    return simulated


@pytest.fixture(scope="module")
def steps(signals):
    """States (k,) and 10-s steps (k, samples) of C3 in all nights."""
    pairs = [steady_steps(signals[k]["C3"], night(k, HOURS), RATE) for k in NUMBERS]
    return tuple(np.concatenate(parts) for parts in zip(*pairs, strict=True))


def median_power(steps, low, high):
    states, x = steps
    power = band_power(x, RATE, low, high)
    return np.array([np.median(power[states == state]) for state in range(6)])


def slow_wave_share(x):
    """Fraction of each step (k,) with slow waves by AASM: 0.5 to 2 Hz, above 75 microvolts peak to peak."""
    f = np.fft.rfftfreq(x.shape[1], 1 / RATE)
    slow = np.fft.irfft(np.fft.rfft(x, axis=1) * ((f >= 0.4) & (f <= 2.5)), n=x.shape[1], axis=1)
    shares = []
    for row in slow:
        crossings = np.flatnonzero((row[1:] > 0) & (row[:-1] <= 0))
        waves = [(b - a, np.ptp(row[a:b])) for a, b in pairwise(crossings)]
        shares.append(sum(n for n, height in waves if height > 75 and 0.5 <= n / RATE <= 2) / len(row))
    return np.array(shares)


def test_deep_sleep_has_slow_waves_above_75_microvolts(steps):
    states, x = steps
    share = slow_wave_share(x)
    assert np.median(share[states == S3]) > 0.2 and np.median(share[states == S4]) > 0.45
    assert np.mean(share[states == N2] > 0.2) < 0.2
    for state in (W, N1, REM):
        assert np.mean(share[states == state] > 0.2) < 0.05


def test_amplitude_is_low_in_rem_sleep_and_high_in_deep_sleep(steps):
    states, x = steps
    amplitude = np.array([np.median(x[states == state].std(axis=1)) for state in range(6)])
    assert 6 < amplitude[REM] < 16 and amplitude[REM] < 0.75 * amplitude[N2] < 0.5 * amplitude[S4]


def test_alpha_is_occipital_in_quiet_wake_and_blocked_in_active_wake(signals):
    quiet, active, occipital = [], [], []
    for k in NUMBERS:
        one = night(k, HOURS)
        length = STATE_SECONDS * RATE
        power = {name: band_power(signals[k][name].reshape(-1, length), RATE, 8, 12) for name in ("C3", "O1")}
        quiet_wake = (one.states == W) & ~one.active
        quiet.append(np.median(power["C3"][quiet_wake]))
        active.append(np.median(power["C3"][one.active]))
        occipital.append(np.median(power["O1"][quiet_wake]))
    assert np.median(quiet) > 3 * np.median(active)
    assert np.median(occipital) > 2 * np.median(quiet)


def test_spindles_raise_sigma_power_in_n2(steps):
    sigma = median_power(steps, 12, 15)
    assert sigma[N2] > 2 * sigma[REM] and sigma[N2] > 2 * sigma[N1]


def test_yasa_detects_spindles_at_the_rate_and_frequency_of_the_subject(signals):
    from yasa import spindles_detect

    for k in (1, 2):
        one = night(k, HOURS)
        hypnogram = np.repeat(np.isin(one.states, [N2]), STATE_SECONDS * RATE).astype(int)
        found = spindles_detect(signals[k]["C3"].astype(float), RATE, hypno=hypnogram, include=(1,)).summary()
        minutes = hypnogram.sum() / RATE / 60
        assert 0.3 * one.subject.spindle_rate < len(found) / minutes < 2 * one.subject.spindle_rate
        assert abs(found["Frequency"].median() - one.subject.spindle_frequency) < 0.5


def test_theta_is_relatively_stronger_in_n1_and_rem_than_in_wake(steps):
    share = median_power(steps, 4, 8) / median_power(steps, 8, 30)
    assert share[N1] > 1.5 * share[W] and share[REM] > 1.5 * share[W]


def test_background_spectrum_is_steeper_in_deep_sleep(steps):
    slope = np.log(median_power(steps, 2.5, 4.5) / median_power(steps, 26, 28))
    assert slope[S4] > slope[N2] > slope[W]


def test_neighbouring_electrodes_correlate_and_the_earlobe_is_weak(signals):
    for k in NUMBERS:
        x = signals[k]
        assert 0.5 < np.corrcoef(x["C3"], x["C4"])[0, 1] < 0.95
        assert x["A2"].std() < 0.5 * x["C3"].std()


def test_delta_power_of_the_earlobe_derivation_separates_deep_from_rem_sleep(signals):
    x = signals[1]["C3"] - signals[1]["A2"]
    states, steps = steady_steps(x, night(1, HOURS), RATE)
    delta = band_power(steps, RATE, 0.5, 4)
    assert np.median(delta[np.isin(states, [S3, S4])]) > 6 * np.median(delta[states == REM])


def test_an_electrode_does_not_depend_on_which_others_are_simulated(signals):
    sources = simulate_eeg_sources(night(0, HOURS), RATE)
    assert np.array_equal(simulate_eeg(night(0, HOURS), sources, "C4", RATE), signals[0]["C4"])


def test_arousals_raise_beta_power(signals):
    ratios = []
    for k in NUMBERS:
        one, x = night(k, HOURS), signals[k]["C3"]
        for onset, duration in one.arousals:
            start = int(onset * RATE)
            if one.states[one.step_at(np.array([onset]))[0]] != W and duration > 6 and start > 10 * RATE:
                inside, before = (x[start + a * RATE : start + (a + 5) * RATE][None] for a in (1, -9))
                ratios.append(band_power(inside, RATE, 16, 30) / band_power(before, RATE, 16, 30))
    assert np.median(ratios) > 1.5
