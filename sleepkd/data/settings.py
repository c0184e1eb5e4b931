"""What training is told about its data: which nights, which classes, how a night is cut, how signals are scaled."""

import math
from dataclasses import dataclass
from typing import Literal

from sleepkd.config import require

Normalisation = Literal["robust_night", "robust_scored", "minmax_window"]
Polarity = Literal["corrected", "as_recorded", "inverted"]
Alignment = Literal["exact", "truncated"]
View = Literal["epochs", "night"]


@dataclass(frozen=True)
class Source:
    """One entry of `data.nights`: a store, the name of a split or its folder, and the weight of its nights."""

    store: str
    split: str = "default"
    weight: float = 1.0


@dataclass(frozen=True)
class DataConfig:
    """Which nights a network sees and how. `classes` 3: W NREM REM; 4: W light deep REM; 5: W N1 N2 N3 REM.

    nights: several stores; without any, `store` and `split` name the one. mix: 0 draws from each store by its size, 1
    from all alike, times their weights. view "epochs": 30-s cuts, `window` of them a row; "night": the signal as it
    runs, `crop_minutes` of it a row, 0 the whole night. normalisation, clip, ecg_polarity, alignment: what
    `stage.inputs` does not say for a signal. workers: reading processes per training process, -1: four on CUDA, none on
    CPU; prefetch: batches each reads ahead.
    """

    store: str = "store"
    split: str = "default"
    nights: tuple[Source, ...] = ()
    mix: float = 0.0
    classes: Literal[3, 4, 5] = 4
    view: View = "epochs"
    window: int = 1
    crop_minutes: float = 0.0
    normalisation: Normalisation = "robust_night"
    clip: float = 20.0
    ecg_polarity: Polarity = "corrected"
    alignment: Alignment = "exact"
    workers: int = -1
    prefetch: int = 4
    pin_memory: Literal["auto", "yes", "no"] = "auto"

    @property
    def sources(self) -> tuple[Source, ...]:
        """The stores to read, at least one."""
        return self.nights or (Source(self.store, self.split),)

    def check(self) -> None:
        """Refuse impossible values by key."""
        default = DataConfig()
        require(self.window >= 1, "data.window", f"must be at least 1, is {self.window}")
        require(self.prefetch >= 1, "data.prefetch", f"must be at least 1, is {self.prefetch}")
        require(self.workers >= -1, "data.workers", f"must be -1 (by device) or more, is {self.workers}")
        require(0 < self.clip < math.inf, "data.clip", f"must be positive, is {self.clip}")
        require(0 <= self.mix <= 1, "data.mix", f"must lie between 0 (by size) and 1 (alike), is {self.mix}")
        require(0 <= self.crop_minutes < math.inf, "data.crop_minutes", f"must be 0 or more, is {self.crop_minutes}")
        both = bool(self.nights) and (self.store, self.split) != (default.store, default.split)
        require(not both, "data.nights", "is given beside data.store or data.split; give one of the two")
        for i, source in enumerate(self.nights):
            where = f"data.nights[{i}].weight"
            require(0 < source.weight < math.inf, where, f"must be positive, is {source.weight}")
        if self.view == "night":
            require(self.window == 1, "data.window", "goes with data.view: epochs; for a night, data.crop_minutes")
            require(self.alignment == "exact", "data.alignment", "truncated goes with data.view: epochs")
        else:
            require(not self.crop_minutes, "data.crop_minutes", "goes with data.view: night")
