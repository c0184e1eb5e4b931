"""What a network sees in single sleep epochs, and what goes on within it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sleepkd.data.windows import Windows
from sleepkd.evaluation.scores.night import NightPredictions
from sleepkd.models.build import TrainedNetwork

_AT_A_TIME = 64


@dataclass(frozen=True)
class Evaluated:
    """A network, the windows it was shown, and what it made of their nights (complete on the first process only)."""

    trained: TrainedNetwork
    windows: Windows
    nights: list[NightPredictions]


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
