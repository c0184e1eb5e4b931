import numpy as np
import pytest

from sleepkd.simulation import spectra
from sleepkd.simulation.noise import generator


def noise(power_of_frame, samples=256 * 600, rate=256):
    frames = spectra.frame_count(samples, rate)
    f = spectra.frequencies(60)
    power = np.stack([power_of_frame(t, f) for t in spectra.frame_times(frames)]).astype(np.float32)
    white = spectra.white(generator(0, 0, "test"), frames, len(f))
    return spectra.synthesise(white, power, samples, rate)


@pytest.mark.parametrize(("samples", "rate"), [(256 * 600, 256), (200 * 601 + 77, 200), (512 * 61, 512)])
def test_variance_is_the_sum_of_the_power_at_any_rate_and_length(samples, rate):
    x = noise(lambda t, f: ((f > 5) & (f < 25)) * 0.5, samples, rate)
    assert x.shape == (samples,) and x.dtype == np.float32
    assert x.var() == pytest.approx(0.5 * 79, rel=0.06)


def test_power_has_the_given_spectrum():
    x = noise(lambda t, f: np.exp(-0.5 * (f - 10) ** 2))
    power, f = np.abs(np.fft.rfft(x)) ** 2, np.fft.rfftfreq(len(x), 1 / 256)
    assert power[(f > 6) & (f < 14)].sum() > 0.99 * power.sum()


def test_spectrum_changes_over_time_with_the_resolution_of_a_frame():
    x = noise(lambda t, f: (f > 5) * (t >= 300))
    assert x[: 256 * 297].std() < 1e-3
    assert x[256 * 302 :].std() > 10
