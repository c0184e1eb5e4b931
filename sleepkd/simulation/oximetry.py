"""Simulated oxygen saturation of a finger pulse oximeter (SpO2): desaturation after apneas, and a loose sensor."""

import numpy as np
from scipy.signal import lfilter

from sleepkd.simulation.noise import slow_noise
from sleepkd.simulation.simulated_night import SimulatedNight, inside_events
from sleepkd.simulation.sleep_architecture import REM

SATURATION, SATURATION_SPREAD = 96.5, 0.8  # percent, of sleepers at rest
SATURATION_PER_DECADE = -0.3  # of age
FALL, FALL_SPREAD = 0.68, 0.3
"""Fall of the saturation in percent per second of apnea, and the standard deviation of its logarithm between sleepers:
tuned until apneas of 10 to 24 s cost 3 to 8 percent in most sleepers (desaturation of 3 percent or more: AASM Manual
2.6)."""
FALL_IN_REM = 1.4
"""Of the fall in REM sleep, relative to NREM sleep, where desaturation is deeper (Findley et al. 1985)."""
RECOVERY_S = 12.0
"""Time constant of the recovery after an apnea: within 30 s. A choice."""
DELAY_S = (14.0, 26.0)
"""Range of the delay between the lung and the display, by sleeper: circulation to the finger and averaging."""
AVERAGING_S = 3
"""Averaging time of the oximeter, the most frequent one in sleep medicine (Vagedes et al. 2024, Nat Sci Sleep 16:1131).
"""
LOOSE_SHARE, LOOSE_S = 1 / 15, (5.0, 60.0)
"""Share of the movements that loosen the sensor, and for how long. The oximeter then shows 0."""
SPO2_RATE = 1
"""Samples per second."""


def simulate_spo2(night: SimulatedNight) -> np.ndarray:
    """Simulate SpO2 at `SPO2_RATE` Hz: whole percent (samples,), float32; 0 where the sensor is loose."""
    rng, subject = night.generator("spo2"), night.subject
    seconds = np.arange(round(night.duration)) / SPO2_RATE
    rest = SATURATION + SATURATION_SPREAD * rng.standard_normal() + SATURATION_PER_DECADE * (subject.age - 40) / 10
    fall = FALL * np.exp(FALL_SPREAD * rng.standard_normal())
    apnea = inside_events(night.apneas, seconds - rng.uniform(*DELAY_S))
    in_rem = night.states[night.step_at(seconds)] == REM
    deficit = lfilter([1.0], [1.0, -np.exp(-1 / RECOVERY_S)], fall * np.where(in_rem, FALL_IN_REM, 1.0) * apnea)
    drift = 0.5 * slow_noise(rng, len(seconds), SPO2_RATE, 600) + 0.25 * slow_noise(rng, len(seconds), SPO2_RATE, 15)
    shown = lfilter(np.full(AVERAGING_S, 1 / AVERAGING_S), [1.0], rest + drift - deficit)
    shown[:AVERAGING_S] = rest
    shown = np.clip(shown.round(), 50, 100)
    chosen = night.movements[rng.random(len(night.movements)) < LOOSE_SHARE]
    loose = np.stack([chosen[:, 0], rng.uniform(*LOOSE_S, len(chosen))], axis=1)
    shown[inside_events(loose, seconds)] = 0
    return shown.astype(np.float32)
