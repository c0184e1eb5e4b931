"""Inter-rater disagreement: the labels that several simulated scorers assign to one night.

A scorer does not see the true state. The log-likelihood of each label is the sum of: the fractions of the sleep epoch
and of its neighbours that each state fills, confused with similar sleep stages; ambiguity that all scorers share;
the scorer's bias, the same in all nights; and random judgement. The scorer assigns the label with the largest sum.

Target agreement of two scorers: kappa .76 (AASM) and .72 (R&K). Of the sleep epochs that one scorer labels W, N1, N2,
N3, REM, the other agrees on .84, .63, .85, .67, .90 (Rosenberg & Van Hout 2013, J Clin Sleep Med 9:81; Danker-Hopfe et
al. 2009, J Sleep Res 18:74). `benchmarks/simulation.py` measures it.
"""

import numpy as np

from sleepkd.simulation.noise import generator, slow_noise
from sleepkd.simulation.sleep_architecture import LABELS_BY_STATE, S3, S4, STATES, state_shares

NEIGHBOUR_WEIGHT = 0.25
"""Weight of the previous and of the next sleep epoch, relative to the sleep epoch itself."""
# How likely a sleep epoch filled by one state resembles each other state, rows by true state W, N1, N2, S3, S4, REM.
CONFUSION = np.array([
    [0.920, 0.065, 0.008, 0.000, 0.000, 0.007],
    [0.100, 0.690, 0.160, 0.000, 0.000, 0.050],
    [0.008, 0.045, 0.890, 0.045, 0.002, 0.010],
    [0.002, 0.001, 0.220, 0.650, 0.125, 0.002],
    [0.001, 0.001, 0.020, 0.200, 0.777, 0.001],
    [0.008, 0.035, 0.020, 0.000, 0.000, 0.937],
])  # fmt: skip
SHARED_AMBIGUITY = 0.4
"""Standard deviation, in log odds, of the ambiguity that all scorers share."""
JUDGEMENT_NOISE = np.array([1.05, 0.45, 0.9, 1.0, 1.0, 1.1])
"""Standard deviation, in log odds, of one scorer's random judgement, by state."""
BIAS = 0.15
"""Standard deviation, in log odds, of a scorer's bias towards each sleep stage."""
DEEP_SLEEP_BIAS = 1.1
"""Bias towards deep sleep in log odds: negative and positive for alternate scorers."""
AMBIGUITY_EPOCHS = np.array([4.0, 3.0, 20.0, 40.0, 40.0, 20.0])
"""Correlation time of shared ambiguity, in sleep epochs, by state: scored bouts last as long as those of `sleep_accel`
(ODC-By 1.0)."""
JUDGEMENT_EPOCHS = AMBIGUITY_EPOCHS / 2
"""Correlation time of one scorer's random judgement."""
NIGHT_SPREAD = 0.25
"""Standard deviation, between nights, of the logarithm of a factor on ambiguity, bias and judgement."""


def stage_log_likelihoods(states: np.ndarray, standard: str, first_onset: float, count: int) -> np.ndarray:
    """Log-likelihood of each state in each sleep epoch (count, 6), before ambiguity, bias and random judgement."""
    shares = state_shares(states, standard, first_onset, count)
    padded = np.pad(shares, ((1, 1), (0, 0)), mode="edge")
    blurred = shares + NEIGHBOUR_WEIGHT * (padded[:-2] + padded[2:])
    return np.log(blurred / blurred.sum(axis=1, keepdims=True) @ CONFUSION + 1e-4)


def scorer_labels(
    states: np.ndarray, standard: str, first_onset: float, count: int, seed: int, night: int, scorers: int
) -> list[list[str]]:
    """The labels of each scorer (scorers lists of `count`), for sleep epochs from `first_onset` seconds on.

    standard: "aasm" (30-s sleep epochs, one stage 3) or "rk" (20-s sleep epochs, stages 3 and 4).
    Scorer k depends on (seed, night, k) alone, whatever the number of scorers.
    """
    likelihoods = stage_log_likelihoods(states, standard, first_onset, count)
    rng = generator(seed, night, "ambiguity")
    night_factor = float(np.exp(NIGHT_SPREAD * rng.standard_normal()))
    likelihoods = likelihoods + night_factor * SHARED_AMBIGUITY * _stage_noise(rng, len(likelihoods), AMBIGUITY_EPOCHS)
    labels = []
    for scorer in range(scorers):
        bias = BIAS * generator(seed, 0, f"scorer {scorer}").standard_normal(len(STATES))
        bias[[S3, S4]] = (-1) ** (scorer + 1) * DEEP_SLEEP_BIAS * (1 + 0.3 * bias[S3])
        noise = _stage_noise(generator(seed, night, f"judgement {scorer}"), len(likelihoods), JUDGEMENT_EPOCHS)
        scores = likelihoods + night_factor * (bias + JUDGEMENT_NOISE * noise)
        if standard == "aasm":  # one stage 3
            scores[:, S3] = np.logaddexp(scores[:, S3], scores[:, S4])
            scores[:, S4] = -np.inf
        labels.append([LABELS_BY_STATE[standard][state] for state in scores.argmax(axis=1)])
    return labels


def _stage_noise(rng: np.random.Generator, count: int, epochs: np.ndarray) -> np.ndarray:
    """Independent noise of unit variance for each state (count, 6), correlated over `epochs` (6,) sleep epochs."""
    return np.stack([slow_noise(rng, count, 1.0, length) for length in epochs], axis=1)
