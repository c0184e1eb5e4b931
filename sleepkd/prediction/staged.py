"""Stage a night with a trained network; sleep epochs without usable heartbeats stay unscored."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.data.beats import beat_quality
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED, UNSCORED_NAME, Hypnogram
from sleepkd.data.segments import Segments
from sleepkd.data.store import Night
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation.inference import predict_nights
from sleepkd.evaluation.scores.calibration import temperature_scaled_night
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.sleep_medicine import REM_LATENCY, hypnograms
from sleepkd.prediction.ecg_check import USABLE

MIN_USABLE_SHARE = 0.2
"""A night with a smaller share of sleep epochs with usable heartbeats is not staged."""


class StageTable(NamedTuple):
    """All sleep epochs of a recording, those in its gaps too, with predicted stages by name.

    onset_s, duration_s: (N,) s. stages: N names, "unscored" in gaps. probabilities: (N, K) float32, NaN in gaps.
    quality: (N,), as in `StagedNight`, NaN in gaps. class_names: K names.
    """

    onset_s: np.ndarray
    duration_s: np.ndarray
    stages: list[str]
    probabilities: np.ndarray
    quality: np.ndarray
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class StagedNight:
    """The predicted stages of a night.

    predicted: probabilities (N, K) of every sleep epoch.
    quality: (N,) share of each sleep epoch between plausible heartbeats, NaN without heartbeats.
    stages: (N,) int8, class index, or -1 for a sleep epoch left unscored: no usable heartbeats, or low confidence.
    """

    predicted: NightPredictions
    quality: np.ndarray
    stages: np.ndarray
    class_names: tuple[str, ...]

    def as_scored(self) -> NightPredictions:
        """The night with its predicted stages as labels, for functions that describe scored nights."""
        return replace(self.predicted, labels=self.stages)

    def stage_shares(self) -> dict[str, float]:
        """The share of each class in the staged sleep epochs, 0 to 1; {} if none was staged."""
        staged = self.stages[self.stages != UNSCORED]
        return {name: float((staged == k).mean()) for k, name in enumerate(self.class_names)} if len(staged) else {}

    def statistics(self) -> dict[str, float]:
        """YASA's sleep statistics, from the first sleep epoch that is not in a gap to the last, and "REM latency".

        That is the time from sleep onset to the first REM, min. NaN where undefined, as REM latency without REM.
        %REM and others are shares of the total sleep time. Raises UserError if YASA is not installed.
        """
        _, predicted = hypnograms(self.as_scored(), self.class_names)
        found = {name: float(value) for name, value in predicted.sleep_statistics().items()}
        return found | {REM_LATENCY: found["Lat_REM"] - found["SOL"]}

    def table(self, epochs: Hypnogram) -> StageTable:
        """The stages of all sleep epochs of the recording; those in gaps were not predicted."""
        names = [*self.class_names, UNSCORED_NAME]
        rows = np.searchsorted(epochs.onset_s, self.predicted.onset_s)
        stages = [UNSCORED_NAME] * len(epochs)
        probabilities = np.full((len(epochs), len(self.class_names)), np.nan, dtype=np.float32)
        quality = np.full(len(epochs), np.nan, dtype=np.float32)
        probabilities[rows], quality[rows] = self.predicted.probabilities, self.quality
        for row, stage in zip(rows, self.stages, strict=True):
            stages[row] = names[stage]
        return StageTable(epochs.onset_s, epochs.duration_s, stages, probabilities, quality, self.class_names)


def stage_night(
    trained: TrainedNetwork, night: Night, temperature: float = 1.0, abstain_below: float = 0.0
) -> StagedNight:
    """Stage a night with those of the network's inputs that it holds.

    temperature: divides the logits. abstain_below: confidence, 0 to 1, below which a sleep epoch stays unscored.
    Raises UserError: none of the network's inputs, or usable heartbeats in less than a fifth of the sleep epochs.
    """
    seen = [name for name in trained.inputs if name in night.info.kinds]
    if not seen:
        raise UserError(f"{night.folder}: holds none of the network's inputs: {', '.join(trained.inputs)}")
    network = trained.with_inputs(seen) if len(seen) < len(trained.inputs) else trained
    segments = Segments(
        [night],
        network.readers,
        trained.config.data.whole_nights(),
        scored_only=False,
        unlabelled=True,
        absent=network.absent,
    )
    (predicted,) = predict_nights(network, segments, Processes("cpu"), 1)
    if temperature != 1.0:
        predicted = temperature_scaled_night(predicted, temperature)
    if night.info.beats:
        # The stages of a causal network are final, so their quality may not depend on later beats either.
        causal = bool(getattr(trained.config.model, "causal", False))
        quality = beat_quality(night.beats(), predicted.onset_s, predicted.duration_s, causal)
    else:
        quality = np.full(len(predicted), np.nan, dtype=np.float32)
    usable = ~(quality < USABLE)
    if usable.mean() < MIN_USABLE_SHARE:
        raise UserError(
            f"{night.folder}: only {usable.sum()} of {len(usable)} sleep epochs have usable heartbeats; "
            "was an electrode loose?"
        )
    confident = predicted.probabilities.max(axis=1) >= abstain_below
    stages = np.where(usable & confident, predicted.predictions, UNSCORED).astype(np.int8)
    return StagedNight(predicted, quality, stages, CLASS_NAMES[trained.config.data.classes])
