"""Settings of the data: nights, classes, views and segments, normalisation, augmentation, loader."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from sleepkd.config import require
from sleepkd.errors import UserError

Normalisation = Literal["robust_night", "robust_scored", "minmax_window", "physical"]
Polarity = Literal["corrected", "as_recorded", "inverted"]
Alignment = Literal["exact", "truncated"]
View = Literal["epochs", "night"]


@dataclass(frozen=True)
class Source:
    """One entry of `data.nights`.

    store: folder of the store.
    split: name of a split of the store, or a folder.
    weight: of the store when several stores are mixed, see `data.mix`.
    labels: false reads its recordings as unlabelled ones.
    """

    store: str
    split: str = "default"
    weight: float = 1.0
    labels: bool = True


def chance_or_chances(value: Any, key: str) -> float | dict[str, float]:
    """A probability, or one by name of an input. Raises UserError where `value` is neither."""
    try:
        if isinstance(value, Mapping):
            return {str(name): float(chance) for name, chance in value.items()}
        return float(value)  # YAML 1.1 reads 1e-3 as text
    except (TypeError, ValueError):
        raise UserError(f"{key}: expected a probability, or one for each input by name, got {value!r}") from None


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of the student's training segments in view `night`; all off by default. See `augment.Augment`.

    inversion: probability that a signal is inverted.
    gain: standard deviation of the logarithm of a random factor on a signal.
    noise: standard deviation of additive white noise, in units of the normalised signal.
    electrode_dropout: probability that a signal is 0 for a random time, up to a quarter of the segment.
    dropped_beats: share of the heartbeats that are dropped.
    added_beats: heartbeats added at random times, as a share of all.
    rr_scale: standard deviation of the logarithm of a random factor on the RR intervals.
    drop_input: probability that some of the inputs of a segment are left out, never all, every such choice of inputs
    being equally likely; or {input: probability} for each, drawn independently and again if none would be left.
    averaged: probability that the heartbeats are read as an averaged heart rate of a random device, see
    `averaged_rate.draw_device`; beats are dropped and added first.
    sinus_arrhythmia: probability that heartbeats made of an averaged heart rate vary from beat to beat as measured ones
    do, see `sinus_arrhythmia.py`; not where `averaged` averages them again.
    """

    inversion: float = 0.0
    gain: float = 0.0
    noise: float = 0.0
    electrode_dropout: float = 0.0
    dropped_beats: float = 0.0
    added_beats: float = 0.0
    rr_scale: float = 0.0
    drop_input: Annotated[float | dict[str, float], chance_or_chances] = 0.0
    averaged: float = 0.0
    sinus_arrhythmia: float = 0.0

    @property
    def drops_inputs(self) -> bool:
        """Whether any input of a segment may be left out."""
        return any(self.drop_input.values()) if isinstance(self.drop_input, dict) else self.drop_input > 0

    @property
    def is_on(self) -> bool:
        """Whether any augmentation is on."""
        return self.drops_inputs or any(getattr(self, item.name) for item in fields(self) if item.name != "drop_input")

    def check(self) -> None:
        """Raise UserError naming the key of an impossible value."""
        chances = ("inversion", "electrode_dropout", "dropped_beats", "drop_input", "averaged", "sinus_arrhythmia")
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        if isinstance(self.drop_input, dict):
            del values["drop_input"]
            for name, chance in self.drop_input.items():
                key = f"data.augment.drop_input.{name}"
                require(0 <= chance < 1, key, f"must be at least 0 and below 1, is {chance:g}")
        for name, value in values.items():
            upper, allowed = (1, "from 0 to 1") if name in chances else (math.inf, "0 or more")
            require(0 <= value <= upper and value < math.inf, f"data.augment.{name}", f"must be {allowed}, is {value}")


@dataclass(frozen=True)
class DataConfig:
    """The data of a run: stores, classes, view, segments, normalisation, augmentation, loader.

    store: folder of the only store.
    split: name of its split, or a folder.
    nights: several stores, in place of `store` and `split`.
    mix: 0 samples stores in proportion to their size, 1 uniformly; either is multiplied by the weights of the stores.
    classes: 3 for W, NREM, REM; 4 for W, light, deep, REM; 5 for W, N1, N2, N3, REM.
    view: "epochs" reads a segment as `sleep_epochs` independent 30-s inputs; "night" reads the continuous signal.
    sleep_epochs: sleep epochs per segment in view "epochs".
    segment_minutes: length of a training segment in view "night"; 0 is the whole night. Evaluation reads whole nights.
    context_minutes: longest segment that the network ever reads, in training and evaluation; 0 is no limit.
    normalisation, clip, alignment: defaults of `stage.inputs`.
    ecg_polarity: default of `stage.inputs.<signal>.polarity` for signals whose polarity is detected, such as the ECG.
    workers: loader processes per training process; -1 is four on CUDA and none on CPU.
    prefetch: batches that each loader process reads ahead.
    pin_memory: whether batches are loaded into page-locked memory; auto does on CUDA.
    """

    store: str = "store"
    split: str = "default"
    nights: tuple[Source, ...] = ()
    mix: float = 0.0
    classes: Literal[3, 4, 5] = 4
    view: View = "epochs"
    sleep_epochs: int = 1
    segment_minutes: float = 0.0
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
    def shown_minutes(self) -> float:
        """Length of a segment in view `night`, minutes; 0 is the whole night."""
        return self.context_minutes or self.segment_minutes

    def whole_nights(self) -> "DataConfig":
        """The same settings for evaluation: whole nights, without augmentation."""
        return replace(self, segment_minutes=0.0, augment=AugmentConfig())

    def check(self) -> None:
        """Raise UserError naming the key of an impossible value."""
        default = DataConfig()
        require(self.sleep_epochs >= 1, "data.sleep_epochs", f"must be at least 1, is {self.sleep_epochs}")
        require(self.prefetch >= 1, "data.prefetch", f"must be at least 1, is {self.prefetch}")
        require(self.workers >= -1, "data.workers", f"must be -1 (by device) or more, is {self.workers}")
        require(0 < self.clip < math.inf, "data.clip", f"must be positive, is {self.clip}")
        require(0 <= self.mix <= 1, "data.mix", f"must lie between 0 (by size) and 1 (uniform), is {self.mix}")
        for key in ("segment_minutes", "context_minutes"):
            value = getattr(self, key)
            require(0 <= value < math.inf, f"data.{key}", f"must be 0 or more, is {value}")
        self.augment.check()
        both = bool(self.nights) and (self.store, self.split) != (default.store, default.split)
        require(not both, "data.nights", "is given beside data.store or data.split; give one of the two")
        for i, source in enumerate(self.nights):
            where = f"data.nights[{i}].weight"
            require(0 < source.weight < math.inf, where, f"must be positive, is {source.weight}")
        if self.view == "night":
            require(
                self.sleep_epochs == 1,
                "data.sleep_epochs",
                "goes with data.view: epochs; view night has data.segment_minutes",
            )
            require(self.alignment == "exact", "data.alignment", "truncated goes with data.view: epochs")
        else:
            for key in ("segment_minutes", "context_minutes"):
                require(not getattr(self, key), f"data.{key}", "goes with data.view: night")
            require(not self.augment.is_on, "data.augment", "goes with data.view: night")
