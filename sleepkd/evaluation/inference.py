"""From a trained network and the windows of some nights to predictions per sleep epoch."""

import numpy as np
import torch

from sleepkd.data.batches import load
from sleepkd.data.windows import Windows
from sleepkd.distributed import Processes
from sleepkd.evaluation.scores.night import NightPredictions
from sleepkd.models.build import TrainedNetwork


@torch.inference_mode()
def predict(trained: TrainedNetwork, windows: Windows, processes: Processes, batch_size: int) -> list[NightPredictions]:
    """Predict every sleep epoch of the windows' nights; each process takes every world-th window, none is padded.

    Returns the nights, complete, on the first process, and an empty list on the others. Sleep epochs that lie in no
    window (cut off by the end of the signal, say) are left out.
    """
    network = trained.network.to(processes.device)
    signal = trained.config.stage.signal
    mine = np.arange(processes.rank, len(windows), processes.world)
    batches = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]
    parts = []
    for batch in load(windows, batches, windows.config, processes.device):
        logits = network(batch.signals[signal].to(processes.device))
        parts.append(torch.softmax(logits.float(), dim=-1).cpu().numpy())
    shape = (0, windows.table.labels.shape[1], trained.config.data.classes)
    gathered = processes.gather((mine, np.concatenate(parts) if parts else np.zeros(shape, dtype=np.float32)))
    if not processes.is_first:
        return []
    probabilities = np.empty((len(windows), *shape[1:]), dtype=np.float32)
    for chosen, part in gathered:
        probabilities[chosen] = part
    return [_night(windows, index, probabilities) for index in range(len(windows.nights))]


def _night(windows: Windows, index: int, probabilities_WNK: np.ndarray) -> NightPredictions:
    night, table = windows.nights[index], windows.table
    chosen = (table.recording == index)[:, None] & table.present
    sleep_epochs = table.sleep_epoch[chosen]
    return NightPredictions(
        recording=night.info.recording,
        subject=night.info.subject,
        subset=night.info.subset,
        standard=night.info.standard,
        cohort=night.cohort,
        onset_s=night.hypnogram.onset_s[sleep_epochs],
        duration_s=night.hypnogram.duration_s[sleep_epochs],
        labels=table.labels[chosen],
        probabilities=probabilities_WNK[chosen],
    )
