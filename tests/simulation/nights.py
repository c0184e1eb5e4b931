"""Nights for the tests of this folder: the simulator's stages up to the one under test."""

from functools import cache

import numpy as np

from sleepkd.simulation.heart import Heart, simulate_heart
from sleepkd.simulation.hypnogram import STATE_SECONDS
from sleepkd.simulation.night import Night, simulate_night

SUBSETS = ("SS1", "SS2", "SS3", "SS4", "SS5")


@cache
def night(number: int, hours: float = 8.0, seed: int = 5) -> Night:
    return simulate_night(seed, number, SUBSETS[number % 5], hours)


@cache
def heart(number: int, hours: float = 8.0) -> Heart:
    return simulate_heart(night(number, hours))


def staged(signal: np.ndarray, night: Night, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """State steps whose neighbours are in the same state, cut from `signal`: their states and signals (k, samples)."""
    length = STATE_SECONDS * rate
    steps = signal[: len(signal) // length * length].reshape(-1, length)
    states = night.states[: len(steps)]
    steady = np.flatnonzero((states[1:-1] == states[:-2]) & (states[1:-1] == states[2:])) + 1
    return states[steady], steps[steady]


def band_power(steps: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    """Variance of each row between `low` and `high` Hz."""
    power = np.abs(np.fft.rfft(steps * np.hanning(steps.shape[1]), axis=1)) ** 2
    f = np.fft.rfftfreq(steps.shape[1], 1 / rate)
    window = (np.hanning(steps.shape[1]) ** 2).sum() * steps.shape[1] / 2
    return power[:, (f >= low) & (f < high)].sum(axis=1) / window
