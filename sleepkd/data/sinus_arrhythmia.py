"""Respiratory sinus arrhythmia and 0.1-Hz fluctuations for heartbeats that were made of an averaged heart rate.

A watch averages both out. Without them a network tells by the heartbeats alone which cohort a night is of.
"""

import numpy as np

from sleepkd.data.beats import MAX_RR_S

BREATHS_PER_MINUTE = 15.0, 2.5
"""Mean and standard deviation over sleepers (Douglas et al. 1982, Thorax 37:840)."""
BREATH_SPREAD = 0.08
"""Standard deviation of the breathing rate within a segment, relative to its mean: our choice."""
RR_SD_S, RR_SD_SPREAD = 0.025, 0.6
"""Standard deviation of the RR interval by breathing: its median over segments, and that of its logarithm. The same for
the fluctuations around 0.1 Hz. Of the order of the RMSSD of slpdb and of the simulated sleepers; our choice."""
SLOW_HZ = 0.06, 0.13
"""Band of the low-frequency fluctuations of heart rate."""
SINUSOIDS = 8
"""Of each of the two; their sum is irregular."""


def with_sinus_arrhythmia(beats: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The heartbeats (beats,), s, each moved so that RR intervals vary with breathing and around 0.1 Hz.

    The heart rate averaged over tens of seconds stays. Breathing rate and both amplitudes are drawn; amplitudes are
    constant, whatever the sleep stage.
    """
    intervals = np.diff(beats)
    known = intervals[(intervals > 0) & (intervals <= MAX_RR_S)]
    breaths = max(rng.normal(*BREATHS_PER_MINUTE), 6.0) / 60
    by_breathing = breaths * np.maximum(1 + BREATH_SPREAD * rng.standard_normal(SINUSOIDS), 0.5)
    slow = rng.uniform(*SLOW_HZ, SINUSOIDS)
    sd_s = RR_SD_S * np.exp(RR_SD_SPREAD * rng.standard_normal(2))
    phases = rng.uniform(0, 2 * np.pi, 2 * SINUSOIDS)
    if not len(known):
        return beats
    omega = 2 * np.pi * np.concatenate([by_breathing, slow])
    # The derivative of the shift times the RR interval is the change of the RR interval.
    amplitude = np.repeat(sd_s, SINUSOIDS) * np.sqrt(2 / SINUSOIDS) / (omega * np.median(known))
    moved = beats + (amplitude * np.sin(np.outer(beats, omega) + phases)).sum(axis=1)
    return np.maximum.accumulate(moved)
