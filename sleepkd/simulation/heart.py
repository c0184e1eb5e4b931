"""The heart's rhythm: breathing and beat times, driven by the autonomic side of each sleep stage."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from sleepkd.simulation.hypnogram import REM, STATE_SECONDS
from sleepkd.simulation.night import Night, covered, poisson_onsets, turns
from sleepkd.simulation.noise import band_noise, slow_noise, smooth

RATE = 4.0  # Hz, the grid of breathing and of the autonomic state
NORMAL, ATRIAL, VENTRICULAR = 0, 1, 2

# Breaths per minute over the subject's own rate, and their depth (Douglas et al. 1982, Thorax 37:840).
BREATH_RATE = np.array([1.06, 1.0, 0.98, 0.99, 1.0, 1.05])
BREATH_DEPTH = np.array([1.0, 0.9, 0.9, 0.95, 0.95, 0.75])

# Over the night the heart slows by about 6 % to a low two thirds through, then rises (Burgess et al. 1997, Am J Physiol
# 273:H1761).
NIGHT_FALL = 0.06
# Autonomic state follows the cortical one within a minute, on average a little ahead of it (Jurysta et al. 2003, Clin
# Neurophysiol 114:2146; de Zambotti et al. 2018, Neurosci Biobehav Rev 90:84).
LAG_MEAN, LAG_LIMIT = -5.0, 120.0
# A periodic limb movement quickens the heart by half of what an arousal does (Sforza et al. 1999, Neurology 52:786).
LIMB_MOVEMENT = 0.5
FIBRILLATION = 0.22
"""Of an interval, the spread from beat to beat in atrial fibrillation (Hayano et al. 1997, Am J Physiol 273:H2811)."""


@dataclass(frozen=True)
class Heart:
    """Beats of one night: times in seconds (n,), kinds (n,), and breathing (-1 to 1, at `RATE`)."""

    beats: np.ndarray
    kinds: np.ndarray
    breathing: np.ndarray


def simulate_heart(night: Night) -> Heart:
    """Breathing and beats of a night; a beat falls wherever the integral of the heart rate passes an integer."""
    samples = round(night.duration * RATE)
    states = _autonomic_states(night, samples)
    breathing, suspended = _breathing(night, states)
    interval = _intervals(night, states, breathing, suspended)
    phase = np.concatenate([[0.0], np.cumsum(1 / (interval * RATE))])
    rng = night.generator("beats")
    beats = np.interp(np.arange(rng.random(), phase[-1], 1.0), phase, np.arange(samples + 1) / RATE)
    if night.subject.autonomic.fibrillates:
        irregular = np.clip(1 + FIBRILLATION * rng.standard_normal(len(beats) - 1), 0.5, 1.8)
        beats = beats[0] + np.concatenate([[0.0], np.cumsum(np.diff(beats) * irregular)])
        beats = beats[beats < night.duration]
    beats, kinds = _ectopic(rng, beats, night.subject.ectopic_rate)
    return Heart(beats, kinds, breathing)


def _autonomic_states(night: Night, samples: int) -> np.ndarray:
    """The states on the grid (samples,), each change moved by its own lag or lead."""
    rng = night.generator("lag")
    changes = np.flatnonzero(np.diff(night.states)) + 1
    lags = np.clip(rng.normal(LAG_MEAN, night.population.lag_seconds, len(changes)), -LAG_LIMIT, LAG_LIMIT)
    # Moved changes stay in order: one that would overtake the next happens together with it.
    moved = np.minimum.accumulate((changes * STATE_SECONDS + lags)[::-1])[::-1]
    order = np.searchsorted(moved, np.arange(samples) / RATE, side="right")
    return night.states[np.concatenate([[0], changes])][order]


def _breathing(night: Night, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The breathing signal and how far apneas suspend it (0 to 1), both (samples,)."""
    rng = night.generator("breathing")
    wander = slow_noise(rng, len(states), RATE, 4.0) * smooth(
        np.array(night.subject.autonomic.breath_spread)[states], RATE, 8
    )
    drift = 0.04 * slow_noise(rng, len(states), RATE, 600)
    rate = night.subject.respiratory_rate / 60 * smooth(BREATH_RATE[states], RATE, 10) * np.exp(wander + drift)
    depth = smooth(BREATH_DEPTH[states], RATE, 10) * np.exp(wander + 0.15 * slow_noise(rng, len(states), RATE, 20))
    suspended = smooth(covered(night.apneas, np.arange(len(states)) / RATE).astype(float), RATE, 1.5)
    phase = 2 * np.pi * np.cumsum(rate) / RATE
    return depth * (1 - 0.95 * suspended) * np.sin(phase), suspended


def _intervals(night: Night, states: np.ndarray, breathing: np.ndarray, suspended: np.ndarray) -> np.ndarray:
    """RR interval in seconds on the grid (samples,)."""
    rng = night.generator("intervals")
    samples, subject, population = len(states), night.subject, night.population
    autonomic = subject.autonomic

    def deviation(by_state: tuple[float, ...], minutes: float) -> np.ndarray:
        quick, slow = (slow_noise(rng, samples, RATE, 60 * of) for of in (minutes, 15 * minutes))
        wander = np.exp(population.variability_drift * (0.8 * quick + 0.6 * slow))
        return smooth(np.array(by_state)[states], RATE, 10) * wander * subject.hrv_gain / 1000

    elapsed = np.linspace(0, 1, samples)
    trend = NIGHT_FALL * ((elapsed / 0.66 - 1) ** 2 - 0.4)
    drift = 0.8 * slow_noise(rng, samples, RATE, 420) + 0.6 * slow_noise(rng, samples, RATE, 3600)
    drift = population.heart_rate_drift * drift + smooth(_position(night, samples), RATE, 15)
    heart_rate = (
        subject.resting_heart_rate * smooth(np.array(autonomic.heart_rate)[states], RATE, 12) * np.exp(trend + drift)
    )
    # Apnea: the heart slows while breathing stops and quickens when it returns (Guilleminault et al. 1984, Lancet
    # 1:126).
    heart_rate *= 1 + _arousal_response(night, samples) - 0.07 * smooth(suspended, RATE, 3)
    variation = (
        deviation(autonomic.hf_ms, 2) * np.sqrt(2) * breathing
        + deviation(autonomic.lf_ms, 2) * band_noise(rng, samples, RATE, 0.06, 0.13)
        + deviation(autonomic.vlf_ms, 5) * band_noise(rng, samples, RATE, 0.008, 0.04)
    )
    # A faster heart varies less (Monfredi et al. 2014, Hypertension 64:1334).
    return np.clip(60 / heart_rate + variation * (60 / heart_rate) ** 1.5, 0.35, 2.2)


def _position(night: Night, samples: int) -> np.ndarray:
    """The logarithm of heart rate (samples,) that comes with how the sleeper lies."""
    at = turns(night)
    levels = night.population.position * night.generator("position").standard_normal(len(at) + 1)
    return levels[np.searchsorted(at, np.arange(samples) / RATE)]


def _arousal_response(night: Night, samples: int) -> np.ndarray:
    """Relative change of heart rate (samples,) that arousals, movements, kicks, and REM sleep's own events bring."""
    rng = night.generator("arousal response")
    seconds = np.arange(0, 60, 1 / RATE)
    kernel = (seconds / 5) ** 2 * np.exp(2 * (1 - seconds / 5)) - 0.25 * np.exp(-(((seconds - 24) / 8) ** 2))
    autonomic, in_rem = night.subject.autonomic, (night.states == REM).astype(float)
    events = (
        (np.concatenate([night.arousals, night.movements])[:, 0], 1.0),
        (night.limb_movements[:, 0], LIMB_MOVEMENT),
        (poisson_onsets(rng, autonomic.surges * in_rem), 1.0),
        (poisson_onsets(rng, autonomic.pauses * in_rem), -0.7),
    )
    impulses = np.zeros(samples)
    for seconds, gain in events:
        onsets = np.clip((seconds * RATE).astype(int), 0, samples - 1)
        np.add.at(impulses, onsets, gain * autonomic.arousal_gain * rng.gamma(3, 1 / 3, len(onsets)))
    return np.clip(fftconvolve(impulses, kernel)[:samples], -0.2, 0.35)


def _ectopic(rng: np.random.Generator, beats: np.ndarray, rate_per_hour: float) -> tuple[np.ndarray, np.ndarray]:
    """Some beats come a third of an interval early; the next keeps its time, which is the compensatory pause."""
    intervals = np.diff(beats, prepend=beats[0] - 1.0)
    kinds = np.zeros(len(beats), dtype=np.int8)
    chosen = np.flatnonzero(rng.random(len(beats)) < rate_per_hour * intervals / 3600)
    chosen = chosen[np.diff(chosen, prepend=-9) > 2]
    kinds[chosen] = np.where(rng.random(len(chosen)) < 0.5, ATRIAL, VENTRICULAR)
    early = beats.copy()
    early[chosen] -= rng.uniform(0.25, 0.4, len(chosen)) * intervals[chosen]
    return early, kinds
