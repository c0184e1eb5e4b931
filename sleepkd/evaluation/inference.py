"""From a trained network and the rows of some nights to predictions per sleep epoch."""

import numpy as np
import torch
from torch import Tensor, nn

from sleepkd.checkpoints.trained import NETWORK, TrainedNetwork
from sleepkd.data.batches import each_once
from sleepkd.data.hypnogram import merge_labels
from sleepkd.data.segments import Batch, Segments
from sleepkd.data.store import Night
from sleepkd.distributed import Processes
from sleepkd.evaluation.scores.night_predictions import NightPredictions


@torch.inference_mode()
def predict(trained: TrainedNetwork, segments: Segments, processes: Processes, batch_size: int) -> list[NightPredictions]:
    """Predict every sleep epoch of the segments' nights; processes share out the rows, none is padded.

    Returns the nights, complete, on the first process, and an empty list on the others. Sleep epochs that lie in no
    row (cut off by the end of the signal, say) are left out. Nights are called by their recording, or by
    cohort/recording where two of several cohorts have the same name.
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
    return [_night(segments, index, name, probabilities) for index, name in enumerate(segments.names)]


def probabilities_of(network: nn.Module, batch: Batch) -> Tensor:
    """(B, n, K) float32: what a network says of the sleep epochs of a batch that lies on its device."""
    logits = batch.per_sleep_epoch(network(batch.inputs[NETWORK]))
    return torch.softmax(logits.float(), dim=-1)


def _night(segments: Segments, index: int, name: str, probabilities_WNK: np.ndarray) -> NightPredictions:
    night, table = segments.nights[index], segments.table
    chosen = (table.night == index)[:, None] & table.present
    return predictions_of(night, name, table.sleep_epoch[chosen], probabilities_WNK[chosen], segments.data.classes)


def predictions_of(
    night: Night, name: str, sleep_epochs: np.ndarray, probabilities_NK: np.ndarray, classes: int
) -> NightPredictions:
    """What was said of some sleep epochs of a night, by their lines in its hypnogram, beside what was scored."""
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
    )
