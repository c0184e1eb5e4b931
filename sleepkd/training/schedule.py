"""The learning-rate schedule and early stopping, as functions of the position in a run."""

import math

from sleepkd.checkpoints.checkpoint import Position
from sleepkd.settings import TrainConfig


def learning_rate(train: TrainConfig, update: int, total: int, reductions: int) -> float:
    """The learning rate of update number `update` (from 0) of `total`.

    Linear warm-up over `warmup_updates`, times: 1; half a cosine from 1 to 0 (Loshchilov & Hutter, arXiv 1608.03983,
    eq. 5, one period); or `plateau_factor` to the power of the reductions so far.
    """
    warm = min(1.0, (update + 1) / train.warmup_updates) if train.warmup_updates else 1.0
    decay = {
        "constant": 1.0,
        "cosine": 0.5 * (1 + math.cos(math.pi * update / total)),
        "plateau": train.plateau_factor**reductions,
    }[train.schedule]
    return train.learning_rate * warm * decay


def record_validation(train: TrainConfig, position: Position, score: float) -> bool:
    """Record a validation score (higher is better) in the position; returns whether it is the best so far.

    Every `plateau_patience` validations without a better score count as a reduction of the learning rate.
    """
    if position.best_score is None or score > position.best_score:
        position.best_score, position.best_epoch, position.stale = score, position.epoch, 0
        return True
    position.stale += 1
    if position.stale % train.plateau_patience == 0:
        position.reductions += 1
    return False


def is_finished(train: TrainConfig, position: Position) -> bool:
    """Whether all training epochs are done, or `stop_patience` validations passed without a better score."""
    stale = bool(train.stop_patience) and position.stale >= train.stop_patience
    return stale or position.epoch >= train.epochs
