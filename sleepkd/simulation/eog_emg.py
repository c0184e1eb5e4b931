"""Simulated EOG and chin EMG, and the ocular artifacts in the EEG."""

from dataclasses import dataclass

import numpy as np

from sleepkd.simulation import spectra
from sleepkd.simulation.eeg import EegSources, add_waves, simulate_eeg
from sleepkd.simulation.noise import band_noise, smooth, upsample
from sleepkd.simulation.simulated_night import SimulatedNight, inside_events, poisson_onsets
from sleepkd.simulation.sleep_architecture import REM, STATE_SECONDS

SLOW_RATE = 16.0  # Hz, the grid of slow eye movements
# Slow eye movements in microvolts by state W, N1, N2, S3, S4, REM (AASM Manual 2.6: in quiet wake and in N1).
SLOW_EYE_MOVEMENTS = np.array([12.0, 28.0, 3.0, 1.0, 1.0, 5.0])
# Chin muscle tone in microvolts by state (AASM Manual 2.6: lowest in REM sleep).
MUSCLE_TONE = np.array([9.0, 5.0, 4.0, 3.5, 3.3, 1.6])
BLINKS, WAKE_SACCADES = 900.0, 720.0  # per hour of active wake (Bentivoglio et al. 1997, Mov Disord 12:1028)
OCULAR_GAIN = {"F": 0.25, "C": 0.06, "O": 0.02, "A": 0.04}  # fraction of a blink at each site of the EEG


@dataclass(frozen=True)
class EyeMovements:
    """Eye movements and blinks in microvolts (samples,) each.

    `horizontal` has opposite signs at the two eyes, `blinks` the same sign.
    """

    horizontal: np.ndarray
    blinks: np.ndarray


def simulate_eye_movements(night: SimulatedNight, rate: int) -> EyeMovements:
    """Simulate slow and rapid eye movements and blinks of one night at `rate` Hz."""
    samples = round(night.duration * rate)
    rng = night.generator("eyes")
    grid = round(night.duration * SLOW_RATE)
    level = smooth(SLOW_EYE_MOVEMENTS[night.states[night.step_at(np.arange(grid) / SLOW_RATE)]], SLOW_RATE, 3)
    slow = level * band_noise(rng, grid, SLOW_RATE, 0.15, 0.5)
    horizontal = upsample(slow, SLOW_RATE, samples, rate)
    wake_saccades = poisson_onsets(rng, WAKE_SACCADES * night.active)
    saccades = np.sort(np.concatenate([_rem_saccades(night, rng), wake_saccades]))
    add_waves(horizontal, saccades, [_saccade(rng, rate) for _ in saccades], rate)
    blinks = np.zeros(samples, dtype=np.float32)
    onsets = poisson_onsets(rng, BLINKS * night.active)
    t = np.arange(0, 0.5, 1 / rate)
    blink = np.exp(-0.5 * ((t - 0.2) / 0.06) ** 2)
    add_waves(blinks, onsets, [rng.uniform(60, 160) * blink for _ in onsets], rate)
    return EyeMovements(horizontal, blinks)


def simulate_eog(
    night: SimulatedNight, sources: EegSources, eye_movements: EyeMovements, side: str, rate: int
) -> np.ndarray:
    """Simulate the horizontal EOG of one side ("Left" or "Right") at `rate` Hz: microvolts (samples,), float32.

    It picks up half the frontal EEG.
    """
    sign = 1 if side == "Left" else -1
    frontal = simulate_eeg(night, sources, f"F {side}", rate)
    return 0.5 * frontal + sign * eye_movements.horizontal + np.float32(0.5) * eye_movements.blinks


def ocular_artifact(eye_movements: EyeMovements, electrode: str) -> np.ndarray:
    """Eye movements and blinks that an EEG electrode picks up: microvolts (samples,)."""
    gain = np.float32(OCULAR_GAIN[electrode[0]])
    sign = np.float32(1 if electrode[-1] in "13" else -1)
    return gain * (eye_movements.blinks + np.float32(0.5) * sign * eye_movements.horizontal)


def simulate_emg(night: SimulatedNight, channel: str, rate: int) -> np.ndarray:
    """Simulate one chin EMG channel at `rate` Hz: microvolts (samples,), float32.

    Tone follows the sleep stage; arousals, movements and twitches in REM sleep raise it.
    """
    samples = round(night.duration * rate)
    frames = spectra.frame_count(samples, rate)
    rng = night.generator(f"emg {channel}")
    times = spectra.frame_times(frames)
    step = night.step_at(times)
    tone = MUSCLE_TONE[night.states[step]] * np.where(night.active[step], 2.0, 1.0)
    tone = np.where(inside_events(night.arousals, times), np.maximum(3 * tone, 8), tone)
    tone = np.where(inside_events(night.movements, times), np.maximum(5 * tone, 25), tone)
    twitches = (night.states[step] == REM) & (rng.random(frames) < 0.06)
    tone = np.where(twitches, rng.uniform(4, 15, frames), tone)
    drift = smooth(rng.standard_normal(frames), 1 / spectra.HOP_SECONDS, 60)
    tone *= night.subject.emg_gain * np.exp(0.2 * drift / drift.std())
    f = spectra.frequencies(min(100.0, 0.45 * rate))
    shape = (1 / (1 + (15 / np.maximum(f, 0.25)) ** 4)) * np.exp(-f / 60)
    power = (tone**2)[:, None] * (shape / shape.sum())
    return spectra.synthesise(spectra.white(rng, frames, len(f)), power.astype(np.float32), samples, rate)


def _rem_saccades(night: SimulatedNight, rng: np.random.Generator) -> np.ndarray:
    """Onsets in seconds (k,) of rapid eye movements in REM sleep: bursts of about six, in half of the state steps."""
    steps = np.flatnonzero((night.states == REM) & (rng.random(len(night.states)) < 0.5))
    counts = rng.poisson(6, len(steps))
    return STATE_SECONDS * (np.repeat(steps, counts) + rng.beta(2, 2, counts.sum()))


def _saccade(rng: np.random.Generator, rate: int) -> np.ndarray:
    """The EOG of one saccade, microvolts: a rise within 60 ms, then the decay of an AC-coupled amplifier."""
    t = np.arange(0, 1.2, 1 / rate)
    size = rng.choice([-1, 1]) * rng.uniform(20, 110)
    return size * (1 - np.exp(-t / 0.04)) * np.exp(-t / rng.uniform(0.2, 0.5))
