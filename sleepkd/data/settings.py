"""What training is told about its data: which nights, which classes, how a night is cut, how signals are scaled."""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal

from sleepkd.config import require

Normalisation = Literal["robust_night", "robust_scored", "minmax_window", "physical"]
Polarity = Literal["corrected", "as_recorded", "inverted"]
Alignment = Literal["exact", "truncated"]
View = Literal["epochs", "night"]


@dataclass(frozen=True)
class Source:
    """One entry of `data.nights`: a store, the name of a split or its folder, and the weight of its nights.

    labels: false takes them as if nobody had scored them.
    """

    store: str
    split: str = "default"
    weight: float = 1.0
    labels: bool = True


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to the rows that a student trains on (view `night`); all off by default. See `augment.Augment`.

    Of each signal: polarity, the chance of turning a row upside down; gain, sd of the logarithm of a factor of the row;
    noise, sd of white noise, in units of the normalised signal; lead_off, the chance of a stretch without signal, of up
    to a quarter of the row. Of beats: dropped_beats, added_beats, as shares of all; stretch, sd of the logarithm of a
    factor of the row's RR intervals. drop_input: the chance that one of a row's inputs, drawn, is left out.
    """

    polarity: float = 0.0
    gain: float = 0.0
    noise: float = 0.0
    lead_off: float = 0.0
    dropped_beats: float = 0.0
    added_beats: float = 0.0
    stretch: float = 0.0
    drop_input: float = 0.0

    @property
    def is_on(self) -> bool:
        """Whether anything is done."""
        return any(getattr(self, field.name) for field in fields(self))

    def check(self) -> None:
        """Refuse impossible values by key."""
        chances = ("polarity", "lead_off", "dropped_beats", "drop_input")
        for item in fields(self):
            value, most = getattr(self, item.name), 1 if item.name in chances else math.inf
            said = "from 0 to 1" if item.name in chances else "0 or more"
            require(0 <= value <= most and value < math.inf, f"data.augment.{item.name}", f"must be {said}, is {value}")


@dataclass(frozen=True)
class DataConfig:
    """Which nights a network sees and how. `classes` 3: W NREM REM; 4: W light deep REM; 5: W N1 N2 N3 REM.

    nights: several stores; without any, `store` and `split` name the one. mix: 0 draws from each store by its size, 1
    from all alike, times their weights. view "epochs": 30-s cuts, `window` of them a row; "night": the signal as it
    runs, in training `crop_minutes` of it a row, 0 the whole night; after training the whole night. context_minutes:
    the most of a night that is ever shown at once, in training and after. normalisation, clip, ecg_polarity, alignment:
    what `stage.inputs` does not say for a signal. augment: see `AugmentConfig`. workers: reading processes per training
    process, -1: four on CUDA, none on CPU; prefetch: batches each reads ahead.
    """

    store: str = "store"
    split: str = "default"
    nights: tuple[Source, ...] = ()
    mix: float = 0.0
    classes: Literal[3, 4, 5] = 4
    view: View = "epochs"
    window: int = 1
    crop_minutes: float = 0.0
    context_minutes: float = 0.0
    normalisation: Normalisation = "robust_night"
    clip: float = 20.0
    ecg_polarity: Polarity = "corrected"
    alignment: Alignment = "exact"
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    workers: int = -1
    prefetch: int = 4
    pin_memory: Literal["auto", "yes", "no"] = "auto"

    @property
    def sources(self) -> tuple[Source, ...]:
        """The stores to read, at least one."""
        return self.nights or (Source(self.store, self.split),)

    @property
    def row_minutes(self) -> float:
        """How much of a night a row of view `night` holds; 0 all of it."""
        return self.context_minutes or self.crop_minutes

    def whole_nights(self) -> "DataConfig":
        """As a trained network is shown nights: uncropped, and as they are."""
        return replace(self, crop_minutes=0.0, augment=AugmentConfig())

    def check(self) -> None:
        """Refuse impossible values by key."""
        default = DataConfig()
        require(self.window >= 1, "data.window", f"must be at least 1, is {self.window}")
        require(self.prefetch >= 1, "data.prefetch", f"must be at least 1, is {self.prefetch}")
        require(self.workers >= -1, "data.workers", f"must be -1 (by device) or more, is {self.workers}")
        require(0 < self.clip < math.inf, "data.clip", f"must be positive, is {self.clip}")
        require(0 <= self.mix <= 1, "data.mix", f"must lie between 0 (by size) and 1 (alike), is {self.mix}")
        for key in ("crop_minutes", "context_minutes"):
            value = getattr(self, key)
            require(0 <= value < math.inf, f"data.{key}", f"must be 0 or more, is {value}")
        self.augment.check()
        both = bool(self.nights) and (self.store, self.split) != (default.store, default.split)
        require(not both, "data.nights", "is given beside data.store or data.split; give one of the two")
        for i, source in enumerate(self.nights):
            where = f"data.nights[{i}].weight"
            require(0 < source.weight < math.inf, where, f"must be positive, is {source.weight}")
        if self.view == "night":
            require(self.window == 1, "data.window", "goes with data.view: epochs; for a night, data.crop_minutes")
            require(self.alignment == "exact", "data.alignment", "truncated goes with data.view: epochs")
        else:
            for key in ("crop_minutes", "context_minutes"):
                require(not getattr(self, key), f"data.{key}", "goes with data.view: night")
            require(not self.augment.is_on, "data.augment", "goes with data.view: night")
