"""The input and the bottleneck features of a network in single sleep epochs."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from sleepkd.checkpoints.trained import NETWORK
from sleepkd.data.segments import Batch, Segments
from sleepkd.evaluation.inference import EvaluatedNetwork

_SECONDS_AT_A_TIME = 3600.0  # of signal


@torch.inference_mode()
def bottleneck_features(
    model: EvaluatedNetwork, sleep_epochs: Sequence[tuple[str, int]], reduce: Callable[[Tensor], Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """The network's input in some sleep epochs, and its bottleneck features there.

    sleep_epochs: M times (recording, index into its predictions). reduce: (B, C, L) → (B, …), applied to the features
    of a sleep epoch. Returns the network's first input (M, samples), of heartbeats the first channel, and the reduced
    features (M, …). In view `night` all are cut to the length of the shortest sleep epoch.
    """
    network, signal = model.trained.network, next(iter(model.trained.inputs))
    device = next(network.parameters()).device
    rows, positions = _rows_of(model.segments, sleep_epochs).T
    table = model.segments.table.take(rows)
    shortest = table.token_spans[np.arange(len(rows)), positions, 1].min() if table.mask.shape[1] else 0
    outputs: list[Tensor] = []
    bottleneck = network.get_submodule(str(network.bottleneck))
    hook = bottleneck.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
    order, signals, features = [], [], []
    try:
        each, number_of = np.unique(rows, return_inverse=True)  # one forward for all sleep epochs of a segment
        at_a_time = max(1, int(_SECONDS_AT_A_TIME // model.segments.seconds))
        for start in range(0, len(each), at_a_time):
            batch = model.segments[each[start : start + at_a_time]]
            inputs = batch.inputs[NETWORK]
            network({name: x.to(device) for name, x in inputs.items()})
            x_BNS = inputs[signal] if inputs[signal].ndim == 3 else inputs[signal][:, :, 0]
            feature_BNCL = outputs.pop().float().cpu().unflatten(0, (len(batch.labels), -1))
            asked = np.flatnonzero((number_of >= start) & (number_of < start + at_a_time))
            at = torch.from_numpy(number_of[asked] - start), torch.from_numpy(positions[asked].astype(np.int64))
            order.append(asked)
            signals.append(_cut(x_BNS[:, :, None], batch, *at, shortest)[:, 0].numpy())
            features.append(reduce(_cut(feature_BNCL, batch, *at, shortest)).numpy())
    finally:
        hook.remove()
    back = np.argsort(np.concatenate(order))
    return np.concatenate(signals)[back], np.concatenate(features)[back]


def _cut(x_BNCL: Tensor, batch: Batch, row: Tensor, position: Tensor, tokens: int) -> Tensor:
    """(M, C, length): what belongs to sleep epochs, given by row of the batch (M,) and position within it (M,).

    tokens: the number of tokens to keep of each sleep epoch (view `night`).
    """
    if not batch.mask.shape[1]:
        return x_BNCL[row, position]
    per_token = x_BNCL.shape[-1] / batch.mask.shape[1]
    first = (batch.token_spans[row, position, 0] * per_token).round().long()
    index = first[:, None] + torch.arange(max(1, round(tokens * per_token)))
    index = index.clamp_max(x_BNCL.shape[-1] - 1)
    return x_BNCL[row[:, None], 0, :, index].transpose(1, 2)


def _rows_of(segments: Segments, sleep_epochs: Sequence[tuple[str, int]]) -> np.ndarray:
    """(M, 2): the segment and the position within it of each (recording, index)."""
    index_of = {name: i for i, name in enumerate(segments.names)}
    table = segments.table
    of_night = {
        name: np.argwhere((table.night == index_of[name])[:, None] & table.present)
        for name in {name for name, _ in sleep_epochs}
    }
    return np.array([of_night[name][i] for name, i in sleep_epochs])
