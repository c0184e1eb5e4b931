"""Sinus arrhythmia on the heartbeats of an averaged heart rate: size, spectrum, what stays, and where it applies."""

import numpy as np
import pytest
from scipy.signal import welch

from sleepkd.data.augment import Augment
from sleepkd.data.averaged_rate import beats_of_rate
from sleepkd.data.data_settings import AugmentConfig
from sleepkd.data.heart_rate_input import beats_cadence
from sleepkd.data.sinus_arrhythmia import RR_SD_S, with_sinus_arrhythmia

TIMES = np.arange(0.0, 3600, 5)
BEATS = beats_of_rate(TIMES, np.round(60 + 5 * np.sin(2 * np.pi * TIMES / 900)))


def moved(seed: int) -> np.ndarray:
    return with_sinus_arrhythmia(BEATS, np.random.default_rng(seed))


def test_rr_intervals_vary_as_those_of_heartbeats() -> None:
    spreads = []
    for seed in range(60):
        change = np.diff(moved(seed)) - np.diff(BEATS)
        spreads.append(change.std())
        assert abs(change.mean()) < 1e-3
    # Two independent parts, each with a log-normal standard deviation of median RR_SD_S.
    rng = np.random.default_rng(0)
    expected = np.median(np.hypot(*np.exp(np.log(RR_SD_S) + 0.6 * rng.standard_normal((2, 100_000)))))
    assert np.median(spreads) == pytest.approx(expected, rel=0.2)


def test_they_no_longer_look_averaged() -> None:
    assert beats_cadence(BEATS) == pytest.approx(5, abs=1)
    assert all(beats_cadence(moved(seed)) == 0 for seed in range(20))


def test_the_variation_is_at_the_breathing_rate_and_around_a_tenth_of_a_hertz() -> None:
    power = 0.0
    for seed in range(40):
        beats = moved(seed)
        change = np.interp(np.arange(0, 3500, 0.25), beats[1:], np.diff(beats) - np.diff(BEATS))
        frequency, spectrum = welch(change, 4.0, nperseg=1024)
        power = power + spectrum / spectrum.sum()
    share = {
        band: power[(frequency >= band[0]) & (frequency < band[1])].sum() / 40 for band in ((0, 0.05), (0.05, 0.4))
    }
    assert share[0, 0.05] < 0.02 and share[0.05, 0.4] > 0.95
    assert power[(frequency > 0.17) & (frequency < 0.35)].sum() / 40 > 0.3


def test_the_heart_rate_of_half_minutes_stays() -> None:
    edges = np.arange(60, 3500, 30)
    for seed in range(10):
        rates = [np.diff(np.interp(edges, beats, np.arange(len(beats)))) / 30 for beats in (BEATS, moved(seed))]
        np.testing.assert_allclose(*rates, atol=0.04)  # beats per second
        assert (np.diff(moved(seed)) >= 0).all()


def test_only_averaged_heart_rates_are_augmented() -> None:
    def beats(averaged: bool, share: float = 1.0, seed: int = 0) -> np.ndarray:
        settings = AugmentConfig(sinus_arrhythmia=share)
        return Augment(settings, np.random.default_rng(seed)).beats(BEATS, 600, 1200, averaged=averaged)

    near = BEATS[(BEATS >= 540) & (BEATS < 1860)]
    np.testing.assert_array_equal(beats(averaged=False), near)
    np.testing.assert_array_equal(beats(averaged=True, share=0.0), near)
    assert not np.allclose(beats(averaged=True), near) and len(beats(averaged=True)) == len(near)
    changed = [not np.array_equal(beats(averaged=True, share=0.3, seed=seed), near) for seed in range(200)]
    assert 0.2 < np.mean(changed) < 0.4


def test_few_beats() -> None:
    for few in (np.zeros(0), np.array([3.0])):
        np.testing.assert_array_equal(with_sinus_arrhythmia(few, np.random.default_rng(0)), few)
