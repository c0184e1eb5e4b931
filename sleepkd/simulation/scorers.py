"""Scorers: what several people write down of one night, who agree with one another as people do.

A scorer sees what a sleep epoch looks like, not the state that made it: how much of it each state fills, with a little
of its neighbours; which stages look alike; what makes this stretch of this night look like another stage to everyone;
the scorer's own leanings, the same in all nights; and the moment's judgement. The largest of the sums is written down.
Agreement aimed at: of two scorers, kappa .76 (AASM) and .72 (R&K); of the sleep epochs that one scores W, N1, N2, N3,
REM, the other has the same in .84, .63, .85, .67, .90 (Rosenberg & Van Hout 2013, J Clin Sleep Med 9:81; Danker-Hopfe
et al. 2009, J Sleep Res 18:74). `benchmarks/simulation.py` measures it.
"""

import numpy as np

from sleepkd.simulation.hypnogram import LABELS, S3, S4, SLEEP_EPOCH_SECONDS, STATE_SECONDS, STATES
from sleepkd.simulation.noise import generator, slow_noise

NEIGHBOURS = 0.25
"""What of the epochs before and after enters."""
# How likely an epoch that a state fills looks like another, rows by state W, N1, N2, S3, S4, REM.
LIKENESS = np.array([
    [0.920, 0.065, 0.008, 0.000, 0.000, 0.007],
    [0.100, 0.690, 0.160, 0.000, 0.000, 0.050],
    [0.008, 0.045, 0.890, 0.045, 0.002, 0.010],
    [0.002, 0.001, 0.220, 0.650, 0.125, 0.002],
    [0.001, 0.001, 0.020, 0.200, 0.777, 0.001],
    [0.008, 0.035, 0.020, 0.000, 0.000, 0.937],
])  # fmt: skip
SHARED = 0.9
MOMENT = np.array([0.65, 0.7, 0.65, 0.8, 0.8, 0.65])
LEANING, DEEP_LEANING = 0.25, 1.4
"""In log odds: spread of what makes a stretch ambiguous to all, of a moment's judgement and of a scorer's leanings; how
far to either side of the middle a scorer's deep sleep begins."""
SHARED_EPOCHS, MOMENT_EPOCHS = 3.0, 1.5
"""How many sleep epochs each lasts."""
CLARITY_SPREAD = 0.25
"""Some nights are harder than others: the spread of the logarithm of all three."""


def looks(states: np.ndarray, standard: str, first_onset: float, count: int) -> np.ndarray:
    """(count, 6) log-likelihoods: what each sleep epoch looks like, to everyone, before anything is drawn."""
    length = SLEEP_EPOCH_SECONDS[standard]
    seconds = first_onset + np.arange(count * length) + 0.5
    at_second = states[np.minimum((seconds / STATE_SECONDS).astype(int), len(states) - 1)].reshape(count, length)
    share = np.stack([(at_second == state).mean(axis=1) for state in range(len(STATES))], axis=1)
    padded = np.pad(share, ((1, 1), (0, 0)), mode="edge")
    seen = share + NEIGHBOURS * (padded[:-2] + padded[2:])
    return np.log(seen / seen.sum(axis=1, keepdims=True) @ LIKENESS + 1e-4)


def scorings(
    states: np.ndarray, standard: str, first_onset: float, count: int, seed: int, night: int, scorers: int
) -> list[list[str]]:
    """What each of so many scorers writes for `count` sleep epochs from `first_onset` seconds on."""
    seen = looks(states, standard, first_onset, count)
    rng = generator(seed, night, "ambiguity")
    unclear = float(np.exp(CLARITY_SPREAD * rng.standard_normal()))
    seen = seen + unclear * SHARED * _wander(rng, seen.shape, SHARED_EPOCHS)
    found = []
    for scorer in range(scorers):
        leaning = LEANING * generator(seed, 0, f"scorer {scorer}").standard_normal(len(STATES))
        # Where deep sleep begins: one scorer's is late, the next one's early.
        leaning[[S3, S4]] = (-1) ** (scorer + 1) * DEEP_LEANING * (1 + 0.3 * leaning[S3])
        moment = MOMENT * _wander(generator(seed, night, f"judgement {scorer}"), seen.shape, MOMENT_EPOCHS)
        said = seen + unclear * (leaning + moment)
        if standard == "aasm":  # one stage 3
            said[:, S3] = np.logaddexp(said[:, S3], said[:, S4])
            said[:, S4] = -np.inf
        found.append([LABELS[standard][state] for state in said.argmax(axis=1)])
    return found


def _wander(rng: np.random.Generator, shape: tuple[int, int], epochs: float) -> np.ndarray:
    """Noise of unit variance by stage (count, 6), that forgets itself in so many sleep epochs."""
    return np.stack([slow_noise(rng, shape[0], 1.0, epochs) for _ in range(shape[1])], axis=1)
