"""What the loop is told."""

import math
from dataclasses import dataclass
from typing import Literal

from sleepkd.config import require


@dataclass(frozen=True)
class TrainConfig:
    """The loop. `batch_size` is global: processes and micro-batches (`accumulate`) share it out.

    schedule, stop_patience, ema_decay and clip_norm are off by default, as published. Patience is counted in
    validations. ema_decay: what is validated and kept as best.pt is a moving average of the student's weights.
    precision: auto is bf16 on a CUDA device that computes in it, else fp32; losses are in float32 at least.
    timeout_minutes: how long processes wait for one another before they fail, for torchrun to restart them.
    """

    epochs: int = 150
    batch_size: int = 256
    accumulate: int = 1
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    warmup_updates: int = 0
    plateau_patience: int = 5
    plateau_factor: float = 0.1
    stop_patience: int = 0
    ema_decay: float = 0.0
    clip_norm: float = 0.0
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp64"] = "auto"
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    validate_every: int = 2
    monitor: Literal["weighted_f1", "loss"] = "weighted_f1"
    log_every: int = 10
    timeout_minutes: float = 10.0

    def check(self) -> None:
        """Refuse impossible values by key."""
        for key in ("epochs", "batch_size", "accumulate", "log_every", "plateau_patience"):
            value = getattr(self, key)
            require(value >= 1, f"train.{key}", f"must be at least 1, is {value}")
        for key in ("warmup_updates", "stop_patience", "ema_decay", "validate_every", "clip_norm", "seed"):
            value = getattr(self, key)
            require(0 <= value < math.inf, f"train.{key}", f"must be 0 or more, is {value}")
        for key in ("learning_rate", "timeout_minutes"):
            value = getattr(self, key)
            require(0 < value < math.inf, f"train.{key}", f"must be positive, is {value}")
        require(self.ema_decay < 1, "train.ema_decay", f"must be below 1, is {self.ema_decay}")
        between = 0 < self.plateau_factor < 1
        require(between, "train.plateau_factor", f"must lie between 0 and 1, is {self.plateau_factor}")
