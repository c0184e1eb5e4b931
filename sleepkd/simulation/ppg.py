"""Simulated PPG (photoplethysmogram): pulse waves of a finger after every beat, by the pulse arrival time."""

import numpy as np
from scipy.signal import oaconvolve

from sleepkd.simulation.cardiac import GRID_RATE, CardiacRhythm
from sleepkd.simulation.movement import add_motion_artifacts
from sleepkd.simulation.noise import slow_noise, upsample
from sleepkd.simulation.simulated_night import SimulatedNight

ARRIVAL_S, ARRIVAL_SPREAD_S, ARRIVAL_PER_DECADE_S = 0.30, 0.02, -0.008
"""Time from the R peak to the systolic peak of the pulse in the finger at 40 years, its spread over sleepers, and its
change by age, as arteries stiffen (Allen and Murray 2002, J Hum Hypertens 16:711). The numbers are a choice."""
ARRIVAL_BREATHING_S, ARRIVAL_DRIFT_S = 0.004, 0.006
"""Changes of the arrival time within a night: with breathing, and over minutes. A choice."""
AROUSAL_ARRIVAL_S = -0.008
"""The same at the peak of an arousal, whose rise of blood pressure lets the pulse arrive earlier (Pitson and Stradling
1998, J Sleep Res 7:53). The number is a choice."""
# The pulse wave is the sum of a systolic and a reflected wave: centre and width in seconds at 60 beats per minute after
# the systolic peak, and height. The shape is a choice.
CENTRE, WIDTH, HEIGHT = np.array([0.0, 0.25]), np.array([0.085, 0.11]), np.array([1.0, 0.35])
BREATHING_GAIN, BREATHING_BASELINE = 0.10, 0.25
"""Of a pulse wave: respiratory modulation of its height and of the baseline."""
AROUSAL_FALL, AROUSAL_SECONDS = 0.45, 6.0
"""Fall of the height at an arousal by vasoconstriction (Delessert et al. 2010, Sleep 33:1687), and the seconds from its
onset to the lowest point; both are a choice."""
AMPLITUDE_MV = 1.0
NOISE = 0.015


def simulate_ppg(night: SimulatedNight, rhythm: CardiacRhythm, rate: int) -> np.ndarray:
    """Simulate the PPG of a finger at `rate` Hz: millivolts (samples,), float32; a pulse wave is upwards."""
    samples, rng = round(night.duration * rate), night.generator("ppg")
    constriction = _constriction(night, len(rhythm.breathing))
    arrival = pulse_arrival(night, rhythm, constriction)
    height = AMPLITUDE_MV * np.exp(0.25 * rng.standard_normal() + 0.2 * _slow(rng, rhythm, 300))
    height *= (1 - AROUSAL_FALL * constriction) * (1 - BREATHING_GAIN * rhythm.breathing)
    signal = _pulse_waves(rhythm, arrival, height, samples, rate)
    baseline = -BREATHING_BASELINE * rhythm.breathing + 0.5 * _slow(rng, rhythm, 20)
    signal += upsample(height * baseline, GRID_RATE, samples, rate)
    signal += np.float32(NOISE * AMPLITUDE_MV) * rng.standard_normal(samples, dtype=np.float32)
    add_motion_artifacts(night, rng, signal, rate, seconds=0.3, size=2 * AMPLITUDE_MV)
    return signal


def pulse_arrival(night: SimulatedNight, rhythm: CardiacRhythm, constriction: np.ndarray) -> np.ndarray:
    """Time in seconds from each R peak (beats,) to the systolic peak of its pulse wave."""
    rng = night.generator("pulse arrival")
    mean = ARRIVAL_S + ARRIVAL_SPREAD_S * rng.standard_normal() + ARRIVAL_PER_DECADE_S * (night.subject.age - 40) / 10
    changes = ARRIVAL_BREATHING_S * rhythm.breathing + ARRIVAL_DRIFT_S * _slow(rng, rhythm, 300)
    changes += AROUSAL_ARRIVAL_S * constriction
    return np.asarray(mean + np.interp(rhythm.beats, np.arange(len(changes)) / GRID_RATE, changes))


def _slow(rng: np.random.Generator, rhythm: CardiacRhythm, seconds: float) -> np.ndarray:
    """`slow_noise` on the grid of breathing (samples,)."""
    return slow_noise(rng, len(rhythm.breathing), GRID_RATE, seconds)


def _constriction(night: SimulatedNight, samples: int) -> np.ndarray:
    """Vasoconstriction after arousals: 0 to 1 (samples,) on the grid of breathing."""
    onsets = np.zeros(samples)
    onsets[(night.arousals[:, 0] * GRID_RATE).astype(int).clip(0, samples - 1)] = 1
    delay = np.arange(0, 8 * AROUSAL_SECONDS, 1 / GRID_RATE) / AROUSAL_SECONDS
    return np.clip(oaconvolve(onsets, delay * np.exp(1 - delay))[:samples], 0, 1)


def _pulse_waves(rhythm: CardiacRhythm, arrival: np.ndarray, height: np.ndarray, samples: int, rate: int) -> np.ndarray:
    """The pulse waves of all beats (samples,), float32: weaker after a short filling of the heart."""
    intervals = np.diff(rhythm.beats, prepend=rhythm.beats[0] - 1.0)
    stretch = np.sqrt(np.diff(rhythm.beats, append=rhythm.beats[-1] + 1.0).clip(0.35, 1.5))
    filling = (intervals / np.convolve(np.pad(intervals, 4, mode="edge"), np.full(9, 1 / 9), mode="valid")).clip(0, 1.3)
    gain = np.interp(rhythm.beats, np.arange(len(height)) / GRID_RATE, height) * filling**1.5
    peak = (rhythm.beats + arrival) * rate
    signal = np.zeros(samples)
    for centre, width, part in zip(CENTRE, WIDTH, HEIGHT, strict=True):
        middle = peak + centre * stretch * rate
        reach = int(3.5 * width * 1.2 * rate) + 1
        index = np.rint(middle).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
        distance = ((index - middle[:, None]) / (width * stretch[:, None] * rate)).astype(np.float32)
        values = (part * gain)[:, None].astype(np.float32) * np.exp(-0.5 * distance**2)
        inside = (index >= 0) & (index < samples)
        signal += np.bincount(index[inside], weights=values[inside], minlength=samples)
    return signal.astype(np.float32)
