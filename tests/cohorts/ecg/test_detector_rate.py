"""A detector sees means of several samples; its beats lie on the recorded ones."""

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from sleepkd.cohorts.ecg.detect import detect_beats
from sleepkd.cohorts.ecg.detector_rate import means_of, on_recorded_samples, samples_per_mean
from tests.cohorts.raw import heartbeats

SECONDS = 120


def noisy(rate_hz: int) -> np.ndarray:
    return heartbeats(SECONDS, rate_hz, 0) + 0.05 * np.random.default_rng(1).standard_normal(SECONDS * rate_hz)


def test_samples_per_mean() -> None:
    assert [samples_per_mean(rate) for rate in (50, 128, 200, 256, 500, 512, 1000)] == [1, 1, 1, 2, 4, 4, 8]


def test_means() -> None:
    np.testing.assert_allclose(means_of(np.array([1.0, 2, 3, 5, 8, 13, 21]), 3), [2, 26 / 3])
    ecg = np.arange(4.0)
    assert means_of(ecg, 1) is ecg


@pytest.mark.parametrize("rate_hz", [250, 256, 500, 1000])
def test_beats_are_the_highest_samples_of_the_band_of_the_detector(rate_hz: int) -> None:
    ecg = noisy(rate_hz)
    band = sosfiltfilt(butter(2, (5, 30), btype="bandpass", output="sos", fs=rate_hz), ecg)
    beats = detect_beats(ecg, rate_hz, 1) * rate_hz
    peaks = np.rint(beats).astype(int)
    np.testing.assert_allclose(beats, peaks, atol=1e-6)
    assert len(peaks) > 100 and peaks[0] < 3 * rate_hz < len(ecg) - peaks[-1] + 2 * rate_hz
    reach = rate_hz // 20
    highest = np.array([peak - reach + band[peak - reach : peak + reach].argmax() for peak in peaks[1:-1].tolist()])
    assert (np.abs(highest - peaks[1:-1]) <= 1).all()
    assert np.mean(highest == peaks[1:-1]) > 0.95


def test_beats_at_the_ends_stay_inside_and_slow_ecgs_keep_theirs() -> None:
    ecg = noisy(256)
    times = np.array([0.0, SECONDS - 1 / 256])
    placed = on_recorded_samples(times, 2, ecg, 256)
    assert (placed >= 0).all() and (placed * 256 <= len(ecg) - 1).all() and (np.abs(placed - times) <= 3 / 256).all()
    assert on_recorded_samples(times, 1, ecg, 256) is times
    assert len(on_recorded_samples(np.zeros(0), 2, ecg, 256)) == 0
