"""The heart's rhythm: breathing and beat times, driven by the autonomic side of each sleep stage."""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation.hypnogram import STATE_SECONDS
from sleepkd.simulation.night import Night, covered
from sleepkd.simulation.noise import band_noise, slow_noise, smooth

RATE = 4.0  # Hz, the grid of breathing and of the autonomic state
NORMAL, ATRIAL, VENTRICULAR = 0, 1, 2

# By state W, N1, N2, S3, S4, REM. Heart rate over the night's median, and the standard deviations in ms of the high
# (breathing), low (0.04-0.15 Hz) and very low (0.007-0.04 Hz) frequency parts of the RR interval. They are set so that
# the simulated medians of RMSSD, LF/HF and VLF/(LF+HF) meet those of `../shared/data/autonomic_by_stage.json`
# (MIT-BIH Polysomnographic Database, ODC-BY 1.0); `benchmarks/simulation.py` measures them.
HEART_RATE = np.array([1.01, 0.985, 0.965, 0.965, 0.965, 1.006])
HF_MS = np.array([18.0, 26.5, 27.0, 22.5, 21.5, 19.5])
LF_MS = np.array([19.0, 29.0, 26.5, 21.5, 18.5, 17.0])
VLF_MS = np.array([21.0, 33.0, 26.0, 14.0, 12.0, 21.0])

# Breaths per minute over the subject's own rate, and the spread of the breath-to-breath rate: slow and regular in deep
# sleep, irregular in REM sleep and wake (Douglas et al. 1982, Thorax 37:840; Cabiddu et al. 2012, Front Physiol 3:45).
BREATH_RATE = np.array([1.06, 1.0, 0.98, 0.99, 1.0, 1.05])
BREATH_SPREAD = np.array([0.15, 0.10, 0.06, 0.04, 0.03, 0.13])
BREATH_DEPTH = np.array([1.0, 0.9, 0.9, 0.95, 0.95, 0.75])

# Over the night the heart slows by about 6 % to a low two thirds through, then rises (Burgess et al. 1997, Am J Physiol
# 273:H1761).
NIGHT_FALL = 0.06
# Autonomic state follows the cortical one within a minute, on average a little ahead of it (Jurysta et al. 2003, Clin
# Neurophysiol 114:2146; de Zambotti et al. 2018, Neurosci Biobehav Rev 90:84).
LAG_MEAN, LAG_SPREAD, LAG_LIMIT = -5.0, 22.0, 60.0
# An arousal quickens the heart by some 12 % within 5 s and lets it rebound below the baseline (Sforza et al. 2000, Clin
# Neurophysiol 111:1611).
AROUSAL_GAIN = 0.12


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
    beats, kinds = _ectopic(rng, beats, night.subject.ectopic_rate)
    return Heart(beats, kinds, breathing)


def _autonomic_states(night: Night, samples: int) -> np.ndarray:
    """The states on the grid (samples,), each change moved by its own lag or lead."""
    rng = night.generator("lag")
    changes = np.flatnonzero(np.diff(night.states)) + 1
    lags = np.clip(rng.normal(LAG_MEAN, LAG_SPREAD, len(changes)), -LAG_LIMIT, LAG_LIMIT)
    # Moved changes stay in order: one that would overtake the next happens together with it.
    moved = np.minimum.accumulate((changes * STATE_SECONDS + lags)[::-1])[::-1]
    order = np.searchsorted(moved, np.arange(samples) / RATE, side="right")
    return night.states[np.concatenate([[0], changes])][order]


def _breathing(night: Night, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The breathing signal and how far apneas suspend it (0 to 1), both (samples,)."""
    rng = night.generator("breathing")
    wander = slow_noise(rng, len(states), RATE, 4.0) * smooth(BREATH_SPREAD[states], RATE, 8)
    drift = 0.04 * slow_noise(rng, len(states), RATE, 600)
    rate = night.subject.respiratory_rate / 60 * smooth(BREATH_RATE[states], RATE, 10) * np.exp(wander + drift)
    depth = smooth(BREATH_DEPTH[states], RATE, 10) * np.exp(wander + 0.15 * slow_noise(rng, len(states), RATE, 20))
    suspended = smooth(covered(night.apneas, np.arange(len(states)) / RATE).astype(float), RATE, 1.5)
    phase = 2 * np.pi * np.cumsum(rate) / RATE
    return depth * (1 - 0.95 * suspended) * np.sin(phase), suspended


def _intervals(night: Night, states: np.ndarray, breathing: np.ndarray, suspended: np.ndarray) -> np.ndarray:
    """RR interval in seconds on the grid (samples,)."""
    rng = night.generator("intervals")
    samples, subject = len(states), night.subject

    def deviation(by_state: np.ndarray, minutes: float, spread: float) -> np.ndarray:
        wander = np.exp(spread * slow_noise(rng, samples, RATE, 60 * minutes))
        return smooth(by_state[states], RATE, 10) * wander * subject.hrv_gain / 1000

    elapsed = np.linspace(0, 1, samples)
    trend = NIGHT_FALL * ((elapsed / 0.66 - 1) ** 2 - 0.4)
    drift = 0.03 * slow_noise(rng, samples, RATE, 420) + 0.02 * slow_noise(rng, samples, RATE, 3600)
    heart_rate = subject.resting_heart_rate * smooth(HEART_RATE[states], RATE, 12) * np.exp(trend + drift)
    # Apnea: the heart slows while breathing stops and quickens when it returns (Guilleminault et al. 1984, Lancet
    # 1:126).
    heart_rate *= 1 + _arousal_response(night, samples) - 0.07 * smooth(suspended, RATE, 3)
    variation = (
        deviation(HF_MS, 2, 0.35) * np.sqrt(2) * breathing
        + deviation(LF_MS, 2, 0.45) * band_noise(rng, samples, RATE, 0.06, 0.13)
        + deviation(VLF_MS, 5, 0.6) * band_noise(rng, samples, RATE, 0.008, 0.04)
    )
    # A faster heart varies less (Monfredi et al. 2014, Hypertension 64:1334).
    return np.clip(60 / heart_rate + variation * (60 / heart_rate) ** 1.5, 0.35, 2.2)


def _arousal_response(night: Night, samples: int) -> np.ndarray:
    """Relative change of heart rate (samples,) that arousals and movements bring."""
    rng = night.generator("arousal response")
    seconds = np.arange(0, 60, 1 / RATE)
    kernel = (seconds / 5) ** 2 * np.exp(2 * (1 - seconds / 5)) - 0.25 * np.exp(-(((seconds - 24) / 8) ** 2))
    events = np.concatenate([night.arousals, night.movements])
    impulses = np.zeros(samples)
    onsets = np.clip((events[:, 0] * RATE).astype(int), 0, samples - 1)
    np.add.at(impulses, onsets, AROUSAL_GAIN * rng.gamma(3, 1 / 3, len(onsets)))
    return np.clip(np.convolve(impulses, kernel)[:samples], -0.1, 0.35)


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
