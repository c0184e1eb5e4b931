"""Eyes and chin: the electro-oculograms, the chin electromyogram, and what the eyes leave in the EEG."""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation import spectra
from sleepkd.simulation.eeg import Brain, add_waves, simulate_eeg
from sleepkd.simulation.hypnogram import REM, STATE_SECONDS
from sleepkd.simulation.night import Night, covered, poisson_onsets
from sleepkd.simulation.noise import band_noise, smooth, upsample

SLOW_RATE = 16.0  # Hz, the grid of slow eye movements
# Slow rolling eye movements in microvolt by state (AASM Manual 2.6: at rest in wake and in N1).
SLOW_EYE = np.array([12.0, 28.0, 3.0, 1.0, 1.0, 5.0])
# Chin muscle tone in microvolt by state W, N1, N2, S3, S4, REM (AASM Manual 2.6: lowest in REM sleep).
TONE = np.array([9.0, 5.0, 4.0, 3.5, 3.3, 1.6])
BLINKS, WAKING_SACCADES = 900.0, 720.0  # per hour with open eyes (Bentivoglio et al. 1997, Mov Disord 12:1028)
EYE_IN_EEG = {"F": 0.25, "C": 0.06, "O": 0.02, "A": 0.04}  # of a blink


@dataclass(frozen=True)
class Eyes:
    """Eye movements (samples,) in microvolt: `horizontal` with opposite signs at the two eyes, `blinks` with one."""

    horizontal: np.ndarray
    blinks: np.ndarray


def simulate_eyes(night: Night, rate: int) -> Eyes:
    """Slow and rapid eye movements and blinks of one night."""
    samples = round(night.duration * rate)
    rng = night.generator("eyes")
    grid = round(night.duration * SLOW_RATE)
    level = smooth(SLOW_EYE[night.states[night.step_at(np.arange(grid) / SLOW_RATE)]], SLOW_RATE, 3)
    slow = level * band_noise(rng, grid, SLOW_RATE, 0.15, 0.5)
    horizontal = upsample(slow, SLOW_RATE, samples, rate)
    awake = poisson_onsets(rng, WAKING_SACCADES * night.active)
    saccades = np.sort(np.concatenate([_rem_bursts(night, rng), awake]))
    add_waves(horizontal, saccades, [_saccade(rng, rate) for _ in saccades], rate)
    blinks = np.zeros(samples, dtype=np.float32)
    onsets = poisson_onsets(rng, BLINKS * night.active)
    t = np.arange(0, 0.5, 1 / rate)
    blink = np.exp(-0.5 * ((t - 0.2) / 0.06) ** 2)
    add_waves(blinks, onsets, [rng.uniform(60, 160) * blink for _ in onsets], rate)
    return Eyes(horizontal, blinks)


def simulate_eog(night: Night, brain: Brain, eyes: Eyes, side: str, rate: int) -> np.ndarray:
    """The left or right horizontal EOG in microvolt (samples,), float32: eyes, and half the frontal EEG."""
    sign = 1 if side == "Left" else -1
    return 0.5 * simulate_eeg(night, brain, f"F {side}", rate) + sign * eyes.horizontal + np.float32(0.5) * eyes.blinks


def eyes_in_eeg(eyes: Eyes, electrode: str) -> np.ndarray:
    """What eye movements and blinks leave at an electrode (samples,), microvolt."""
    gain = np.float32(EYE_IN_EEG[electrode[0]])
    sign = np.float32(1 if electrode[-1] in "13" else -1)
    return gain * (eyes.blinks + np.float32(0.5) * sign * eyes.horizontal)


def simulate_emg(night: Night, channel: str, rate: int) -> np.ndarray:
    """A chin EMG in microvolt (samples,), float32: tone by state, bursts with arousals and movements, REM twitches."""
    samples = round(night.duration * rate)
    frames = spectra.frame_count(samples, rate)
    rng = night.generator(f"emg {channel}")
    times = spectra.frame_times(frames)
    step = night.step_at(times)
    tone = TONE[night.states[step]] * np.where(night.active[step], 2.0, 1.0)
    tone = np.where(covered(night.arousals, times), np.maximum(3 * tone, 8), tone)
    tone = np.where(covered(night.movements, times), np.maximum(5 * tone, 25), tone)
    twitches = (night.states[step] == REM) & (rng.random(frames) < 0.06)
    tone = np.where(twitches, rng.uniform(4, 15, frames), tone)
    drift = smooth(rng.standard_normal(frames), 1 / spectra.HOP_SECONDS, 60)
    tone *= night.subject.emg_gain * np.exp(0.2 * drift / drift.std())
    f = spectra.frequencies(min(100.0, 0.45 * rate))
    shape = (1 / (1 + (15 / np.maximum(f, 0.25)) ** 4)) * np.exp(-f / 60)
    power = (tone**2)[:, None] * (shape / shape.sum())
    return spectra.synthesise(spectra.white(rng, frames, len(f)), power.astype(np.float32), samples, rate)


def _rem_bursts(night: Night, rng: np.random.Generator) -> np.ndarray:
    """Onsets in seconds of the rapid eye movements of REM sleep: bursts of about six, in half of the steps."""
    steps = np.flatnonzero((night.states == REM) & (rng.random(len(night.states)) < 0.5))
    counts = rng.poisson(6, len(steps))
    return STATE_SECONDS * (np.repeat(steps, counts) + rng.beta(2, 2, counts.sum()))


def _saccade(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A rapid eye movement: it rises in 60 ms, then the electrode's coupling lets it decay."""
    t = np.arange(0, 1.2, 1 / rate)
    size = rng.choice([-1, 1]) * rng.uniform(20, 110)
    return size * (1 - np.exp(-t / 0.04)) * np.exp(-t / rng.uniform(0.2, 0.5))
