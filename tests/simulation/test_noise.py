import numpy as np
import pytest

from sleepkd.simulation.noise import band_noise, generator, mains, slow_noise, smooth, upsample


def test_generator_depends_on_seed_night_and_purpose_alone():
    def draw(*key):
        return generator(*key).random(4).tolist()

    assert draw(1, 2, "ecg") == draw(1, 2, "ecg")
    assert len({tuple(draw(*key)) for key in [(1, 2, "ecg"), (2, 1, "ecg"), (1, 3, "ecg"), (1, 2, "eeg")]}) == 4


def test_band_noise_has_unit_variance_and_no_power_outside_its_band():
    x = band_noise(generator(0, 0, "test"), 40_000, 4.0, 0.04, 0.15)
    power, f = np.abs(np.fft.rfft(x)) ** 2, np.fft.rfftfreq(len(x), 0.25)
    inside = (f >= 0.04) & (f <= 0.15)
    assert abs(x.var() - 1) < 0.06
    assert power[~inside].sum() < 1e-12 * power.sum()


def test_band_noise_too_short_for_its_band_is_finite():
    assert np.isfinite(band_noise(generator(0, 0, "test"), 20, 4.0, 0.008, 0.04)).all()


def test_autocorrelation_of_slow_noise_decays_in_its_time_constant():
    x = slow_noise(generator(0, 0, "test"), 400_000, 4.0, 30.0)
    assert abs(x.var() - 1) < 0.1
    assert abs(np.mean(x[120:] * x[:-120]) - np.exp(-1)) < 0.1


def test_smooth_turns_a_step_into_a_gaussian_edge():
    step = np.repeat([0.0, 1.0], 400)
    y = smooth(step, 4.0, 10.0)
    assert y[0] == pytest.approx(0) and y[-1] == pytest.approx(1)
    assert abs(y[400 + 40] - 0.841) < 0.02  # one standard deviation past the step


def test_upsample_interpolates_linearly_and_holds_the_last_value():
    y = upsample(np.array([0.0, 4.0, 2.0]), 2.0, 8, 4)
    assert y.tolist() == [0, 2, 4, 3, 2, 2, 2, 2]


def test_mains_stay_at_60_hz_after_eight_hours():
    x = mains(256 * 3600 * 8, 256, phase=1.0)[-256 * 100 :]
    power = np.abs(np.fft.rfft(x)) ** 2
    assert power[6000] > 0.999 * power.sum() and np.abs(x).max() == pytest.approx(1, abs=0.01)
