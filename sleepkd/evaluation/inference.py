"""Predict sleep stages of stored nights with a trained network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from sleepkd.checkpoints.cadence_bias import corrected
from sleepkd.checkpoints.trained import NETWORK, TrainedNetwork
from sleepkd.data.batches import each_once
from sleepkd.data.hypnogram import merge_labels
from sleepkd.data.segments import Batch, Segments
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.store import Night
from sleepkd.distributed import Processes
from sleepkd.evaluation.held_out import EvaluationNights, HeldOut
from sleepkd.evaluation.scores.groups import CADENCES
from sleepkd.evaluation.scores.night_predictions import NightPredictions

SEGMENTS_AT_A_TIME = {"epochs": 256, "night": 4}
"""Segments per batch, by `data.view`."""


@dataclass(frozen=True)
class EvaluatedNetwork:
    """A network, the segments it was evaluated on, and its predictions (complete on the first process only).

    held_out: which of the nights it was trained on. subsets: predictions by subset of its inputs, of
    `input_subsets.with_subsets`.
    """

    trained: TrainedNetwork
    segments: Segments
    nights: Sequence[NightPredictions]
    held_out: HeldOut = field(default_factory=HeldOut)
    subsets: Mapping[tuple[str, ...], Sequence[NightPredictions]] = field(default_factory=dict)


def evaluate_network(
    trained: TrainedNetwork, nights: EvaluationNights, processes: Processes, batch_size: int | None = None
) -> EvaluatedNetwork:
    """Predict the nights of an evaluation. batch_size: segments at a time, None for `SEGMENTS_AT_A_TIME`."""
    at_a_time = batch_size or SEGMENTS_AT_A_TIME[trained.config.data.view]
    predicted = predict_nights(trained, nights.segments, processes, at_a_time)
    return EvaluatedNetwork(trained, nights.segments, predicted, nights.held_out)


@torch.inference_mode()
def predict_nights(
    trained: TrainedNetwork, segments: Segments, processes: Processes, batch_size: int
) -> list[NightPredictions]:
    """Predict every sleep epoch of the segments' nights. Processes share out the segments, none is padded.

    Returns the nights, complete, on the first process, and an empty list on the others. Sleep epochs that lie in no
    segment (cut off by the end of the signal, for example) are left out. An averaged heart rate is corrected by the
    class bias of its cadence, if the checkpoint has one. Nights are named by their recording, or by
    cohort/recording where several cohorts have a recording of the same name.
    """
    network = trained.network.to(processes.device)
    numbers, parts = [np.zeros(0, dtype=np.int64)], []
    for chosen, batch in each_once(segments, processes, batch_size):
        numbers.append(chosen)
        parts.append(probabilities_of(network, batch.to(processes.device, torch.float32)).cpu().numpy())
    shape = (0, segments.table.labels.shape[1], trained.config.data.classes)
    mine = np.concatenate(numbers), np.concatenate([np.zeros(shape, dtype=np.float32), *parts])
    gathered = processes.gather(mine)
    if not processes.is_first:
        return []
    probabilities = np.empty((len(segments), *shape[1:]), dtype=np.float32)
    for chosen, part in gathered:
        probabilities[chosen] = part
    cadence_bias = trained.checkpoint.cadence_bias
    return [_night(segments, index, name, probabilities, cadence_bias) for index, name in enumerate(segments.names)]


def probabilities_of(network: nn.Module, batch: Batch) -> Tensor:
    """Class probabilities (B, n, K) float32 of the sleep epochs of a batch. The batch lies on the network's device."""
    logits = batch.per_sleep_epoch(network(batch.inputs[NETWORK]))
    return torch.softmax(logits.float(), dim=-1)


def _night(
    segments: Segments,
    index: int,
    name: str,
    probabilities_WNK: np.ndarray,
    cadence_bias: Mapping[str, Sequence[float]],
) -> NightPredictions:
    night, table = segments.nights[index], segments.table
    chosen = (table.night == index)[:, None] & table.present
    inputs = segments.readers[NETWORK]
    probabilities_NK = probabilities_WNK[chosen]
    if cadence_bias and "beats" in inputs and night.info.beats:
        probabilities_NK = corrected(probabilities_NK, cadence_bias, night.cadence_s())
    return predictions_of(night, name, table.sleep_epoch[chosen], probabilities_NK, segments.data.classes, inputs)


def predictions_of(
    night: Night,
    name: str,
    sleep_epochs: np.ndarray,
    probabilities_NK: np.ndarray,
    classes: int,
    inputs: Iterable[str] = (),
) -> NightPredictions:
    """Probabilities of some sleep epochs of a night, beside their labels.

    sleep_epochs: (N,) indices into its hypnogram. classes: labels are merged into so many. inputs: what was read of it.
    """
    return NightPredictions(
        recording=name,
        subject=night.info.subject,
        subset=night.info.subset,
        standard=night.info.standard,
        cohort=night.cohort,
        onset_s=night.hypnogram.onset_s[sleep_epochs],
        duration_s=night.hypnogram.duration_s[sleep_epochs],
        labels=merge_labels(night.hypnogram.labels[sleep_epochs], classes),
        probabilities=probabilities_NK,
        others=merge_labels(night.other_scorings()[:, sleep_epochs], classes),
        input=input_of(night, inputs),
        age=night.info.age,
        sex=night.info.sex,
    )


def input_of(night: Night, names: Iterable[str]) -> str:
    """What a network read of a night, in words: "ECG + heartbeats", or "averaged heart rate, 3 to 8 s" (its cadence).

    names: of its inputs; those that the night lacks are left out.
    """
    labels = {name: SIGNAL_KINDS[name].label for name in names if name in night.info.kinds}
    if "beats" in labels and night.info.beats:
        cadence_s = night.cadence_s()
        labels["beats"] = CADENCES.of(str(cadence_s)) if cadence_s else labels["beats"]
    return " + ".join(labels.values())
