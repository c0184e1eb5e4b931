"""What a person sees of a running loop, and what is logged of it."""

import time

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from sleepkd.distributed import Processes


class Progress:
    """A bar over all updates of a run, on the first process; logs without a terminal get no bar."""

    def __init__(self, name: str, total: int, done: int, shown: bool):
        self._bar = tqdm(total=total, initial=done, desc=name, unit="update", disable=None if shown else True)
        self._facts: dict[str, str] = {}

    def advance(self) -> None:
        """One update more."""
        self._bar.update()

    def show(self, **facts: str) -> None:
        """Show these beside the bar until they are told anew."""
        self._facts |= facts
        self._bar.set_postfix(self._facts)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()


class UpdateLog:
    """The loss and its terms of every update since the last flush, kept on the device.

    Reading them waits for the device, so it is done once every `log_every` updates, by all processes together.
    """

    def __init__(self, processes: Processes):
        self._processes = processes
        self.reset()

    def add(self, parts: dict[str, Tensor]) -> None:
        """One micro-batch's shares of the update's losses, scalars by name, always the same names."""
        self._names = tuple(parts)
        shares = torch.stack([value.detach() for value in parts.values()])
        self._update = shares if self._update is None else self._update + shares

    def end_update(self, windows: np.ndarray, sleep_epochs: int) -> None:
        """The update is done: the numbers of its windows and the count of its sleep epochs, all processes together."""
        self._updates.append(self._update)
        self._windows.append(windows)
        self._sleep_epochs += sleep_epochs
        self._update = None

    def flush(self) -> tuple[dict[str, float], np.ndarray | None]:
        """Means over the updates since the last flush, and sleep epochs per second.

        Beside them the window numbers of the first update whose loss was not finite, None where all were: the same on
        every process.
        """
        rows_UT = self._processes.sum(torch.stack(self._updates)).double().cpu()
        values = dict(zip(self._names, rows_UT.mean(dim=0).tolist(), strict=True))
        values["sleep_epochs_per_second"] = self._sleep_epochs / (time.monotonic() - self._since)
        broken = torch.nonzero(~torch.isfinite(rows_UT).all(dim=1)).flatten().tolist()
        first_broken = self._windows[broken[0]] if broken else None
        self.reset()
        return values, first_broken

    def reset(self) -> None:
        """Leave out what came since the last flush."""
        self._update: Tensor | None = None
        self._updates: list[Tensor] = []
        self._windows: list[np.ndarray] = []
        self._sleep_epochs = 0
        self._since = time.monotonic()
