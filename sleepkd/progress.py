"""What a person sees of a running loop, and what is logged of it."""

import time

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


class LoggedSums:
    """Sums of what is logged, kept on the device; read once every `log_every` updates, by all processes together."""

    def __init__(self, processes: Processes):
        self._processes = processes
        self._reset()

    def add(self, parts: dict[str, Tensor]) -> None:
        """Add one micro-batch's shares of the losses, scalars by name; all processes' shares make up the whole."""
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach()

    def count(self, sleep_epochs: int) -> None:
        """One update of so many sleep epochs is done, all processes together."""
        self._updates += 1
        self._sleep_epochs += sleep_epochs

    def flush(self) -> dict[str, float]:
        """Means over the updates since the last flush, and sleep epochs per second."""
        totals = self._processes.sum(torch.stack(list(self._sums.values()))).tolist()
        means = {name: total / self._updates for name, total in zip(self._sums, totals, strict=True)}
        means["sleep_epochs_per_second"] = self._sleep_epochs / (time.monotonic() - self._since)
        self._reset()
        return means

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._updates = 0
        self._sleep_epochs = 0
        self._since = time.monotonic()
