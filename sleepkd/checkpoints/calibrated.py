"""Calibration of a trained network: a temperature and a bias per class, fitted on held-out nights, within its weights.

logits' = logits / temperature + bias. The temperature corrects the confidence, the bias the prior: a network that
predicts one class too often has its share corrected. A night network's logits are means over tokens of its last
convolution, so both fold into that convolution, and the calibrated network is an ordinary one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.errors import UserError

LAST_CONVOLUTION = "classify.2"
"""Path of the last convolution of `NightNetwork`; an ensemble has one in each member."""
TEMPERATURES = (0.1, 10.0)
LARGEST_BIAS = 5.0
"""Bound of a class's bias, in nats: the likelihood of nights without a class has no finite maximum."""


@dataclass(frozen=True)
class Calibration:
    """logits' = logits / temperature + bias.

    bias: (K,), nats, sum 0. nll: mean negative log-likelihood of a sleep epoch of the nights that it was fitted on,
    before and after, each night weighted equally.
    """

    temperature: float
    bias: np.ndarray
    nll: tuple[float, float]


def fit_calibration(logits: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> Calibration:
    """Fit temperature and class bias by maximum likelihood on held-out nights, each night weighted equally.

    logits: (N, K) of each night, or the logarithm of its probabilities. labels: (N,) of each night, -1 unscored.
    The likelihood is concave in 1 / temperature and bias, so there is one maximum within `TEMPERATURES` and
    `LARGEST_BIAS`. Raises UserError where no sleep epoch is scored.
    """
    pairs = [(z[y != UNSCORED].astype(np.float64), y[y != UNSCORED]) for z, y in zip(logits, labels, strict=True)]
    pairs = [(z, y) for z, y in pairs if len(y)]
    if not pairs:
        raise UserError("no calibration can be fitted: none of these nights has a scored sleep epoch")
    logits_NK = np.concatenate([log_softmax(z, axis=1) for z, _ in pairs])
    labels_N = np.concatenate([y for _, y in pairs]).astype(np.int64)
    weights_N = np.concatenate([np.full(len(y), 1 / (len(y) * len(pairs))) for _, y in pairs])
    classes = logits_NK.shape[1]
    one_hot_NK = np.eye(classes)[labels_N]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Weighted negative log-likelihood and its gradient. parameters: 1 / temperature, then the biases."""
        log_p_NK = log_softmax(parameters[0] * logits_NK + parameters[1:], axis=1)
        error_NK = weights_N[:, None] * (np.exp(log_p_NK) - one_hot_NK)
        gradient = np.concatenate([[(error_NK * logits_NK).sum()], error_NK.sum(axis=0)])
        return -float(weights_N @ log_p_NK[np.arange(len(labels_N)), labels_N]), gradient

    coldest, hottest = TEMPERATURES
    bounds = [(1 / hottest, 1 / coldest), *[(-LARGEST_BIAS, LARGEST_BIAS)] * classes]
    start = np.array([1.0, *[0.0] * classes])
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-8})
    bias = found.x[1:] - found.x[1:].mean()  # a constant added to all logits changes no probability
    return Calibration(1 / float(found.x[0]), bias, (loss(start)[0], float(found.fun)))


def calibrated_weights(weights: Mapping[str, Tensor], calibration: Calibration) -> dict[str, Tensor]:
    """A copy of the weights (`Checkpoint.model`) of a night network or an ensemble, with a calibration folded in.

    Raises UserError for the weights of another network, or another number of classes.
    """
    last = [name.removesuffix(".bias") for name in weights if f".{name}".endswith(f".{LAST_CONVOLUTION}.bias")]
    if not last:
        raise UserError(f"a calibration folds into a night network only: these weights have no {LAST_CONVOLUTION}")
    calibrated = {name: value.clone() for name, value in weights.items()}
    for module in last:
        weight, bias = weights[f"{module}.weight"], weights[f"{module}.bias"]
        if len(bias) != len(calibration.bias):
            raise UserError(f"a calibration of {len(calibration.bias)} classes for a network of {len(bias)}")
        scaled = bias.double() / calibration.temperature + torch.as_tensor(calibration.bias)
        calibrated[f"{module}.weight"] = (weight.double() / calibration.temperature).to(weight.dtype)
        calibrated[f"{module}.bias"] = scaled.to(bias.dtype)
    return calibrated
