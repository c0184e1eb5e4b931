from fractions import Fraction

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

from sleepkd.cohorts import condition
from sleepkd.cohorts.condition import detect_polarity, night_statistics, resample_night
from tests.cohorts.raw import heartbeats

RATE = 256
SECONDS = 20


def wave(frequency_hz: float, amplitude: float = 100.0, rate_hz: float = RATE) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(int(SECONDS * rate_hz)) / rate_hz)


A = wave(3)


def amplitude_db(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 8 : -len(samples) // 8]
    return 20 * np.log10(np.sqrt(2) * middle.std())


@pytest.mark.parametrize("rate_hz", [256, 512, 255.5])
def test_resampling_removes_what_would_alias_and_keeps_the_rest(rate_hz):
    for frequency in (101, 105, 110, 120):
        assert amplitude_db(resample_night(wave(frequency, 1, rate_hz), rate_hz, 200.0)) < -60
    for frequency in (0.5, 10, 40, 80, 90):
        assert abs(amplitude_db(resample_night(wave(frequency, 1, rate_hz), rate_hz, 200.0))) < 0.02


@pytest.mark.parametrize(
    ("rate_hz", "target_hz"), [(256, 200), (512, 200), (255.5, 200), (256.013, 200), (100, 200), (256, 64), (200, 100)]
)
def test_resampling_has_no_delay_and_no_drift(rate_hz, target_hz):
    """A chirp, which is known at every instant, stays the same chirp, of the right length."""
    seconds = 600

    def chirp(t):
        return np.cos(2 * np.pi * (0.5 * t + 0.5 * 8 * t**2 / seconds))  # 0.5 to 8.5 Hz

    n = int(seconds * rate_hz)
    resampled = resample_night(chirp(np.arange(n) / rate_hz), rate_hz, target_hz)
    assert abs(len(resampled) - n / rate_hz * target_hz) <= 1
    inner = slice(target_hz, -target_hz)
    t = np.arange(len(resampled)) / target_hz
    # A tenth of a sample at 8.5 Hz.
    np.testing.assert_allclose(resampled[inner], chirp(t)[inner], rtol=0, atol=0.1 * 2 * np.pi * 8.5 / target_hz)


def test_resampling_to_the_same_rate_returns_the_signal():
    assert resample_night(A, 200.0, 200.0) is A


def test_resampling_keeps_a_constant():
    np.testing.assert_allclose(resample_night(np.full(5120, 1000.0), 256, 200.0), 1000.0, rtol=1e-12)


def test_resampling_does_not_ring_at_the_ends():
    """Not even one that ends far from its median."""
    high_at_the_end = np.where(np.arange(5120) < 3000, 0.0, 1000.0)
    resampled = resample_night(high_at_the_end, 256, 200.0)
    np.testing.assert_allclose(resampled[:1000], 0, atol=1)
    np.testing.assert_allclose(resampled[-1000:], 1000, rtol=1e-3)


# --- polarity ---


@pytest.mark.parametrize("wander", [0.0, 3.0])
@pytest.mark.parametrize("rate_hz", [64, 200, 256])
@pytest.mark.parametrize("sign", [1, -1])
def test_polarity_of_an_ecg_with_noise_and_baseline_wander(sign, rate_hz, wander):
    ecg = heartbeats(seconds=120, rate_hz=rate_hz, seed=0)
    t = np.arange(len(ecg)) / rate_hz
    ecg = ecg + np.random.default_rng(1).normal(scale=0.05, size=len(t)) + wander * np.sin(2 * np.pi * 0.2 * t)
    assert detect_polarity(sign * ecg, rate_hz) == sign


def test_polarity_is_robust_to_an_artefact():
    """Half a minute of electrode artefact, ten times as high, does not invert the night."""
    ecg = heartbeats(seconds=120, rate_hz=200, seed=0)
    ecg[: 30 * 200] *= -10
    assert detect_polarity(ecg, 200) == 1


# --- statistics without labels ---

HOURS = 1


def eeg_like(rate_hz: int, seed: int = 0) -> np.ndarray:
    """Noise with the slow fall of an EEG's spectrum, about 30 wide."""
    white = np.random.default_rng(seed).normal(size=HOURS * 3600 * rate_hz)
    n = round(0.2 * rate_hz)
    return 30 * np.convolve(white, np.exp(-np.arange(n) / (0.05 * rate_hz)), "same") / np.sqrt(n)


def ecg_like(rate_hz: int) -> np.ndarray:
    noise = np.random.default_rng(1).normal(scale=0.03, size=HOURS * 3600 * rate_hz)
    return heartbeats(HOURS * 3600, rate_hz, 0) + noise


def off(kind: str, iqr: float, t: np.ndarray) -> np.ndarray:
    hum = np.sin(2 * np.pi * 50.02 * t + 0.3)
    return {
        "zero": np.zeros_like(t),
        "rail": np.full_like(t, 60 * iqr),
        "hum": 300 * iqr * hum,
        "hum of another continent": 300 * iqr * np.sin(2 * np.pi * 60.02 * t + 0.3),
        "hum that clips": np.clip(300 * iqr * hum, -20 * iqr, 20 * iqr),
        "hum hardly louder than the signal": 3 * iqr * hum,
        "a whisper": iqr / 50 * np.random.default_rng(2).normal(size=len(t)),
        "from rail to rail": 20 * iqr * np.sign(np.sin(2 * np.pi * 0.3 * t)),
    }[kind]


@pytest.mark.parametrize("rate_hz", [200, 256])
@pytest.mark.parametrize("make", [eeg_like, ecg_like])
def test_lost_electrodes_for_most_of_the_night_hardly_change_the_statistics(make, rate_hz):
    clean = make(rate_hz)
    median, iqr = night_statistics(clean, rate_hz)
    low, middle, high = np.percentile(clean, (25, 50, 75))
    assert (median, iqr) == pytest.approx((middle, high - low), rel=1e-6)  # of a clean night no piece is left out
    t = np.arange(len(clean)) / rate_hz
    n = round(0.6 * len(clean))
    for kind in (
        "zero", "rail", "hum", "hum of another continent", "hum that clips", "hum hardly louder than the signal",
        "a whisper", "from rail to rail",
    ):  # fmt: skip
        for where in (slice(0, n), slice(len(t) - n, None)):
            night = clean.copy()
            night[where] = off(kind, iqr, t[where])
            found = night_statistics(night, rate_hz)
            assert abs(found[0] - median) < 0.02 * iqr, kind
            assert abs(found[1] - iqr) < 0.02 * iqr, kind


def test_statistics_of_hum_of_a_constant_and_of_a_short_signal():
    t = np.arange(120 * 200) / 200
    hum = np.sin(2 * np.pi * 50 * t + 0.3)
    low, high = np.percentile(hum, (25, 75))
    assert night_statistics(hum, 200) == pytest.approx((np.median(hum), high - low))
    assert night_statistics(np.full(len(t), 3.0), 200) == (3.0, 0.0)
    short = eeg_like(200)[: 200 * 7]
    low, middle, high = np.percentile(short, (25, 50, 75))
    assert night_statistics(short, 200) == pytest.approx((middle, high - low))
    assert night_statistics(np.array([4.0]), 200) == (4.0, 0.0)


def test_statistics_do_not_change_the_signal():
    night = eeg_like(200)
    night[: len(night) // 2] = 0
    before = night.copy()
    night_statistics(night, 200)
    np.testing.assert_array_equal(night, before)


def test_statistics_at_a_rate_below_the_mains():
    x = eeg_like(200)[::10] * np.tile([1, -1], HOURS * 3600 * 10)  # 20 Hz, and neighbours opposed
    assert night_statistics(x, 20)[1] == pytest.approx(np.subtract(*np.percentile(x, (75, 25))), rel=1e-6)


@pytest.mark.parametrize(("rate", "target"), [(256, 200), (128, 200), (500, 200), (1024, 64), (100, 200), (199, 200)])
@pytest.mark.parametrize("count", [1, 31, 5000, 300_000])
def test_the_matrix_product_is_the_polyphase_filter_of_scipy(rate: int, target: int, count: int) -> None:
    rng = np.random.default_rng(count)
    samples, ratio = np.cumsum(rng.standard_normal(count)), Fraction(target, rate)
    lowpass = firwin(20 * max(ratio.numerator, ratio.denominator) + 1, 0.95 / max(ratio.numerator, ratio.denominator))
    expected = 0.5 + resample_poly(samples - 0.5, ratio.numerator, ratio.denominator, window=lowpass, padtype="edge")
    np.testing.assert_allclose(condition._filtered(samples, 0.5, ratio, lowpass), expected, atol=1e-10, rtol=0)
