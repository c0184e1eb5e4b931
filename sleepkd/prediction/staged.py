"""A night staged by a trained network, and what of it is left unscored."""

from dataclasses import dataclass, replace

import numpy as np

from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.data.beats import beat_quality
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.segments import Segments
from sleepkd.data.store import Night
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation.inference import predict
from sleepkd.evaluation.scores.calibration import with_temperature_applied
from sleepkd.evaluation.scores.night import NightPredictions
from sleepkd.prediction.heart import USABLE

LEAST_STAGED = 0.2
"""Of the sleep epochs of a night; fewer with a usable heart, and there is no night to speak of."""


@dataclass(frozen=True)
class Staged:
    """predicted: probabilities (N, K) of every sleep epoch. quality: (N,) share between plausible beats, NaN where the
    network sees no heart. stages: (N,) int8, class index or -1 where it is left unscored, because the heart is not
    usable there or the network is less sure than asked for."""

    predicted: NightPredictions
    quality: np.ndarray
    stages: np.ndarray
    class_names: tuple[str, ...]

    def as_scored(self) -> NightPredictions:
        """The night with its stages where labels are: for what describes scored nights."""
        return replace(self.predicted, labels=self.stages)


def stage_night(trained: TrainedNetwork, night: Night, temperature: float = 1.0, abstain_below: float = 0.0) -> Staged:
    """Stage a night with what it has of the network's inputs.

    Raises UserError: nothing the network sees, too little of the night usable.
    """
    held = {*night.info.signals, *(["beats"] if night.info.beats else [])}
    seen = [name for name in trained.inputs if name in held]
    if not seen:
        raise UserError(f"{night.folder}: holds none of what the network sees: {', '.join(trained.inputs)}")
    network = trained.with_inputs(seen) if len(seen) < len(trained.inputs) else trained
    segments = Segments([night], network.readers, trained.config.data.whole_nights(), scored_only=False, unlabelled=True)
    (predicted,) = predict(network, segments, Processes("cpu"), 1)
    if temperature != 1.0:
        predicted = with_temperature_applied(predicted, temperature)
    if night.info.beats:
        # A causal network's answers are final: so is what is said of the beats they rest on.
        causal = bool(getattr(trained.config.model, "causal", False))
        quality = beat_quality(night.beats(), predicted.onset_s, predicted.duration_s, causal)
    else:
        quality = np.full(len(predicted), np.nan, dtype=np.float32)
    usable = ~(quality < USABLE)
    if usable.mean() < LEAST_STAGED:
        raise UserError(
            f"{night.folder}: only {usable.sum()} of {len(usable)} sleep epochs have a usable heart; a loose electrode?"
        )
    sure = predicted.probabilities.max(axis=1) >= abstain_below
    stages = np.where(usable & sure, predicted.predictions, UNSCORED).astype(np.int8)
    return Staged(predicted, quality, stages, CLASS_NAMES[trained.config.data.classes])
