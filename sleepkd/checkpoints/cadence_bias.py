"""Class bias by the cadence of an averaged heart rate, since slow averages shift what a network predicts.

Beside its weights a checkpoint may hold `cadence_bias`: {cadence in s: bias of each class's logit in nats}. Fitted on
held-out nights of each cadence, see `calibrated.fit_calibration`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import softmax

SMALLEST = 1e-12
"""Probabilities are at least so large before their logarithm is taken."""


def bias_at(cadence_bias: Mapping[str, Sequence[float]], cadence_s: float) -> np.ndarray:
    """The bias (K,) of an averaged heart rate of a cadence, linear in the logarithm of the cadence between given ones.

    Below the shortest and above the longest given cadence it is constant.
    """
    given = sorted((float(cadence), bias) for cadence, bias in cadence_bias.items())
    known_C = np.log([cadence for cadence, _ in given])
    bias_CK = np.array([bias for _, bias in given], dtype=np.float64)
    return np.array([np.interp(np.log(cadence_s), known_C, column) for column in bias_CK.T])


def corrected(
    probabilities_NK: np.ndarray, cadence_bias: Mapping[str, Sequence[float]], cadence_s: float
) -> np.ndarray:
    """Probabilities (N, K) float32 with the bias of their input's cadence; unchanged for heartbeats (cadence 0)."""
    if not cadence_bias or not cadence_s:
        return probabilities_NK
    logits_NK = np.log(np.maximum(probabilities_NK.astype(np.float64), SMALLEST))
    return np.asarray(softmax(logits_NK + bias_at(cadence_bias, cadence_s), axis=1), dtype=np.float32)
