"""PPG: pulse waves after R peaks, vasoconstriction at arousals, motion artifacts."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import find_peaks

from simulation.simulated_nights import night, rhythm
from sleepkd.simulation.cardiac import CardiacRhythm
from sleepkd.simulation.ecg import artifact_free
from sleepkd.simulation.ppg import simulate_ppg

RATE = 64
HOURS = 1.0


def regular_rhythm(seconds: float = 600.0) -> CardiacRhythm:
    beats = np.arange(1.0, seconds - 1)
    return CardiacRhythm(beats, np.zeros(len(beats), dtype=np.int8), np.zeros(round(4 * seconds)))


def test_systolic_peak_follows_every_r_peak_by_a_steady_delay() -> None:
    delays = []
    for k in range(5):
        one, cardiac = night(k, HOURS), rhythm(k, HOURS)
        signal = simulate_ppg(one, cardiac, RATE)
        peaks = find_peaks(signal, distance=int(0.35 * RATE), prominence=0.3 * signal.std())[0] / RATE
        usable = artifact_free(one, cardiac.beats) & (cardiac.kinds == 0) & (cardiac.beats < 3595)
        after = peaks[np.searchsorted(peaks, cardiac.beats[usable] + 0.1).clip(0, len(peaks) - 1)]
        delay = after - cardiac.beats[usable]
        assert (np.abs(delay - np.median(delay)) < 0.02 + 1 / RATE).mean() > 0.9
        delays.append(np.median(delay))
    assert min(delays) > 0.2 and max(delays) < 0.45 and np.ptp(delays) > 0.01


def test_pulses_are_lower_after_an_arousal_and_recover() -> None:
    quiet = replace(night(0, 1 / 6), movements=np.zeros((0, 2)), arousals=np.array([[300.0, 8.0]]))
    still = replace(quiet, arousals=np.zeros((0, 2)))
    pulse = {}
    for name, one in (("arousal", quiet), ("still", still)):
        signal = simulate_ppg(one, regular_rhythm(), RATE)
        second = signal[: 599 * RATE].reshape(-1, RATE)
        pulse[name] = second.max(axis=1) - second.min(axis=1)
    ratio = pulse["arousal"] / pulse["still"]
    assert ratio[250:299] == pytest.approx(1, abs=0.05)
    assert ratio[304:309].mean() == pytest.approx(0.56, abs=0.08) and ratio[380:500].mean() == pytest.approx(
        1, abs=0.03
    )


def test_a_premature_beat_has_a_weak_pulse() -> None:
    cardiac = regular_rhythm()
    beats = cardiac.beats.copy()
    beats[100:500:20] -= 0.35
    one = replace(night(0, 1 / 6), movements=np.zeros((0, 2)), arousals=np.zeros((0, 2)))
    signal = simulate_ppg(one, replace(cardiac, beats=beats), RATE)
    height = [signal[(t := int(b * RATE)) + 10 : t + 32].max() - signal[t + 3 : t + 12].min() for b in beats]
    assert np.mean(height[100:500:20]) < 0.8 * np.mean(height[105:500:20])


def test_movements_disturb_the_pulse() -> None:
    movements = np.stack([np.arange(50.0, 550, 50), np.full(10, 10.0)], axis=1)
    one = replace(night(0, 1 / 6), movements=movements, arousals=np.zeros((0, 2)))
    still = replace(one, movements=np.zeros((0, 2)))
    change = np.abs(simulate_ppg(one, regular_rhythm(), RATE) - simulate_ppg(still, regular_rhythm(), RATE))
    seconds = np.arange(len(change)) / RATE
    inside = ((seconds % 50) < 10) & (seconds > 49) & (seconds < 511)
    assert change[inside].mean() > 0.3 and change[~inside].max() < 1e-6
