"""What a network sees in single sleep epochs, and what goes on within it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sleepkd.checkpoints.trained import NETWORK, TrainedNetwork
from sleepkd.data.segments import Batch, Segments
from sleepkd.evaluation.scores.night_predictions import NightPredictions

_SECONDS_AT_A_TIME = 3600.0  # of signal


@dataclass(frozen=True)
class Evaluated:
    """A network, the segments it was shown, and what it made of their nights (complete on the first process only)."""

    trained: TrainedNetwork
    segments: Segments
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
    rows, positions = _rows_of(model.segments, sleep_epochs).T
    table = model.segments.table.take(rows)
    shortest = table.token_spans[np.arange(len(rows)), positions, 1].min() if table.mask.shape[1] else 0
    outputs: list[Tensor] = []
    bottleneck = network.get_submodule(network.bottleneck)
    hook = bottleneck.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
    order, signals, features = [], [], []
    try:
        each, number_of = np.unique(rows, return_inverse=True)  # a night is shown once for all its sleep epochs
        at_a_time = max(1, int(_SECONDS_AT_A_TIME // model.segments.seconds))
        for start in range(0, len(each), at_a_time):
            batch = model.segments[each[start : start + at_a_time]]
            inputs = batch.inputs[NETWORK]
            network({name: x.to(device) for name, x in inputs.items()})
            seen = inputs[signal] if inputs[signal].ndim == 3 else inputs[signal][:, :, 0]
            of_stretch = outputs.pop().float().cpu().unflatten(0, (len(batch.labels), -1))  # (B, n, C, L)
            asked = np.flatnonzero((number_of >= start) & (number_of < start + at_a_time))
            at = torch.from_numpy(number_of[asked] - start), torch.from_numpy(positions[asked].astype(np.int64))
            order.append(asked)
            signals.append(_cut(seen[:, :, None], batch, *at, shortest)[:, 0].numpy())
            features.append(reduce(_cut(of_stretch, batch, *at, shortest)).numpy())
    finally:
        hook.remove()
    back = np.argsort(np.concatenate(order))
    return np.concatenate(signals)[back], np.concatenate(features)[back]


def _cut(x_BNCL: Tensor, batch: Batch, row: Tensor, position: Tensor, token_spans: int) -> Tensor:
    """(M, C, length): what belongs to sleep epochs, given by row of the batch (M,) and position within it (M,)."""
    if not batch.mask.shape[1]:
        return x_BNCL[row, position]
    per_cell = x_BNCL.shape[-1] / batch.mask.shape[1]
    first = (batch.token_spans[row, position, 0] * per_cell).round().long()
    index = first[:, None] + torch.arange(max(1, round(token_spans * per_cell)))
    index = index.clamp_max(x_BNCL.shape[-1] - 1)
    return x_BNCL[row[:, None], 0, :, index].transpose(1, 2)


def _rows_of(segments: Segments, sleep_epochs: Sequence[tuple[str, int]]) -> np.ndarray:
    """(M, 2): the row and the position within it of each (night, index)."""
    index_of = {name: i for i, name in enumerate(segments.names)}
    table = segments.table
    of_night = {
        name: np.argwhere((table.night == index_of[name])[:, None] & table.present)
        for name in {name for name, _ in sleep_epochs}
    }
    return np.array([of_night[name][i] for name, i in sleep_epochs])
