"""Cached simulated nights and signal measures for the tests of the simulator."""

from functools import cache

import numpy as np

from sleepkd.simulation.cardiac import CardiacRhythm, simulate_cardiac_rhythm
from sleepkd.simulation.population import Population
from sleepkd.simulation.simulated_night import SimulatedNight, simulate_night
from sleepkd.simulation.sleep_architecture import LABELS_BY_STATE, S3, S4, STATE_SECONDS, state_shares

SUBSETS = ("SS1", "SS2", "SS3", "SS4", "SS5")


@cache
def night(number: int, hours: float = 8.0, seed: int = 5, apnea_share: float = 0.0) -> SimulatedNight:
    return simulate_night(seed, number, SUBSETS[number % 5], hours, Population(apnea_share=apnea_share))


@cache
def rhythm(number: int, hours: float = 8.0) -> CardiacRhythm:
    return simulate_cardiac_rhythm(night(number, hours))


def majority_labels(states: np.ndarray, standard: str, first_onset: float, count: int) -> list[str]:
    """True label of each sleep epoch: the sleep stage that fills most of it."""
    shares = state_shares(states, standard, first_onset, count)
    if standard == "aasm":
        shares[:, S3] += shares[:, S4]
        shares[:, S4] = 0
    return [LABELS_BY_STATE[standard][state] for state in shares.argmax(axis=1)]


def steady_steps(signal: np.ndarray, night: SimulatedNight, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """States (k,) and signals (k, samples) of the state steps whose neighbours are in the same state."""
    length = STATE_SECONDS * rate
    steps = signal[: len(signal) // length * length].reshape(-1, length)
    states = night.states[: len(steps)]
    steady = np.flatnonzero((states[1:-1] == states[:-2]) & (states[1:-1] == states[2:])) + 1
    return states[steady], steps[steady]


def band_power(steps: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    """Variance of each step (k,) between `low` and `high` Hz."""
    power = np.abs(np.fft.rfft(steps * np.hanning(steps.shape[1]), axis=1)) ** 2
    f = np.fft.rfftfreq(steps.shape[1], 1 / rate)
    window = (np.hanning(steps.shape[1]) ** 2).sum() * steps.shape[1] / 2
    return power[:, (f >= low) & (f < high)].sum(axis=1) / window
