"""From a trained network and the windows of some nights to predictions per sleep epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sleepkd.data.batches import load
from sleepkd.data.windows import Windows
from sleepkd.distributed import Processes
from sleepkd.evaluation.predictions import NightPredictions
from sleepkd.models.build import TrainedNetwork

_AT_A_TIME = 64


@dataclass(frozen=True)
class Evaluated:
    """A network, the windows it was shown, and what it made of their nights (complete on the first process only)."""

    trained: TrainedNetwork
    windows: Windows
    nights: list[NightPredictions]


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


@torch.inference_mode()
def look_inside(
    model: Evaluated, sleep_epochs: Sequence[tuple[str, int]], module: str, reduce: Callable[[Tensor], Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """What a network sees in some sleep epochs, and what one of its modules makes of it.

    sleep_epochs: M times (recording, index into that night's predictions). Returns the signals as the network saw them
    (M, samples), and `reduce` of the module's output, cut to the sleep epoch: (B, C, L) → (B, …), together (M, …).
    """
    network, signal = model.trained.network, model.trained.config.stage.signal
    device = next(network.parameters()).device
    places = _places(model.windows, sleep_epochs)
    outputs: list[Tensor] = []
    hook = network.get_submodule(module).register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
    signals, features = [], []
    try:
        for some in np.array_split(places, np.arange(_AT_A_TIME, len(places), _AT_A_TIME)):
            window, position = some.T
            x_BNS = model.windows[window].signals[signal]
            network(x_BNS.to(device))
            row = torch.arange(len(some))
            signals.append(x_BNS[row, position].numpy())
            of_sleep_epochs = outputs.pop().float().cpu().unflatten(-1, (x_BNS.shape[1], -1))  # (B, C, n, L)
            features.append(reduce(of_sleep_epochs[row, :, position]).numpy())
    finally:
        hook.remove()
    return np.concatenate(signals), np.concatenate(features)


def _places(windows: Windows, sleep_epochs: Sequence[tuple[str, int]]) -> np.ndarray:
    """(M, 2): the window and the position within it of each (recording, index)."""
    index_of = {night.info.recording: i for i, night in enumerate(windows.nights)}
    table = windows.table
    of_night = {
        recording: np.argwhere((table.recording == index_of[recording])[:, None] & table.present)
        for recording in {recording for recording, _ in sleep_epochs}
    }
    return np.array([of_night[recording][i] for recording, i in sleep_epochs])
