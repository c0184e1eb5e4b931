"""What a network sees in single sleep epochs, and what goes on within it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sleepkd.data.windows import Batch, Windows
from sleepkd.distillation.trained import NETWORK, TrainedNetwork
from sleepkd.evaluation.scores.night import NightPredictions

_AT_A_TIME = 64


@dataclass(frozen=True)
class Evaluated:
    """A network, the windows it was shown, and what it made of their nights (complete on the first process only)."""

    trained: TrainedNetwork
    windows: Windows
    nights: list[NightPredictions]


@torch.inference_mode()
def look_inside(
    model: Evaluated, sleep_epochs: Sequence[tuple[str, int]], reduce: Callable[[Tensor], Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """What a network sees in some sleep epochs, and what its bottleneck makes of it.

    sleep_epochs: M times (night, index into that night's predictions). Returns the network's first input as it saw it
    (M, samples), of beats the first channel; and `reduce` of the bottleneck's features, cut to the sleep epoch:
    (B, C, L) → (B, …), together (M, …). On the grid of a night all are cut to the shortest sleep epoch.
    """
    network, signal = model.trained.network, next(iter(model.trained.inputs))
    device = next(network.parameters()).device
    rows, positions = _rows_of(model.windows, sleep_epochs).T
    places = model.windows.places.take(rows)
    shortest = places.cells[np.arange(len(rows)), positions, 1].min() if places.mask.shape[1] else 0
    outputs: list[Tensor] = []
    bottleneck = network.get_submodule(network.bottleneck)
    hook = bottleneck.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
    signals, features = [], []
    try:
        for start in range(0, len(rows), _AT_A_TIME):
            batch = model.windows[rows[start : start + _AT_A_TIME]]
            position = torch.from_numpy(positions[start : start + _AT_A_TIME].astype(np.int64))
            inputs = batch.inputs[NETWORK]
            network({name: x.to(device) for name, x in inputs.items()})
            seen = inputs[signal] if inputs[signal].ndim == 3 else inputs[signal][:, :, 0]
            of_stretch = outputs.pop().float().cpu().unflatten(0, (len(batch.labels), -1))  # (B, n, C, L)
            signals.append(_cut(seen[:, :, None], batch, position, shortest)[:, 0].numpy())
            features.append(reduce(_cut(of_stretch, batch, position, shortest)).numpy())
    finally:
        hook.remove()
    return np.concatenate(signals), np.concatenate(features)


def _cut(x_BNCL: Tensor, batch: Batch, position_B: Tensor, cells: int) -> Tensor:
    """(B, C, length): of each row, what belongs to one of its sleep epochs."""
    row = torch.arange(len(x_BNCL))
    if not batch.mask.shape[1]:
        return x_BNCL[row, position_B]
    per_cell = x_BNCL.shape[-1] / batch.mask.shape[1]
    first = (batch.cells[row, position_B, 0] * per_cell).round().long()
    index = first[:, None] + torch.arange(max(1, round(cells * per_cell)))
    index = index.clamp_max(x_BNCL.shape[-1] - 1)
    return x_BNCL[:, 0].gather(-1, index[:, None].expand(-1, x_BNCL.shape[2], -1))


def _rows_of(windows: Windows, sleep_epochs: Sequence[tuple[str, int]]) -> np.ndarray:
    """(M, 2): the row and the position within it of each (night, index)."""
    index_of = {name: i for i, name in enumerate(windows.names)}
    places = windows.places
    of_night = {
        name: np.argwhere((places.night == index_of[name])[:, None] & places.present)
        for name in {name for name, _ in sleep_epochs}
    }
    return np.array([of_night[name][i] for name, i in sleep_epochs])
