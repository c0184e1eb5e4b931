"""Which windows make up every update, and the loader that brings one process its share.

The content of every batch follows from (seed, epoch) alone; processes and micro-batches share it out.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader

from sleepkd.config import DataConfig
from sleepkd.data.windows import Batch, Windows
from sleepkd.errors import UserError


def plan_epoch(windows: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The window numbers of each update of an epoch: every window once, in batches of at most `batch_size`.

    Sizes differ by at most one, so that no update is left with a handful of windows.
    """
    order = np.random.default_rng([seed, epoch]).permutation(windows)
    return np.array_split(order, -(-windows // batch_size))


def check_shares(windows: int, batch_size: int, shares: int) -> None:
    """UserError where a batch has fewer windows than there are processes times micro-batches to share it."""
    smallest = windows // -(-windows // batch_size)
    if smallest < shares:
        raise UserError(
            f"train.batch_size: {shares} processes times micro-batches cannot share a batch of {smallest} windows; "
            "raise it, lower train.accumulate, or start fewer processes"
        )


def share(batch: np.ndarray, rank: int, world: int, accumulate: int) -> list[np.ndarray]:
    """One process's micro-batches of an update; together those of all processes are the batch."""
    return [batch[micro * world + rank :: world * accumulate] for micro in range(accumulate)]


def load(windows: Windows, chosen: list[np.ndarray], config: DataConfig, device: torch.device) -> Iterator[Batch]:
    """The batches of some arrays of window numbers, in order, read ahead of time by `data.workers` processes if any."""
    on_cuda = device.type == "cuda"
    workers = config.workers if config.workers >= 0 else 4 * on_cuda
    return iter(
        DataLoader(
            windows,
            sampler=chosen,  # type: ignore[arg-type]  # each "sample" is a whole batch of window numbers
            batch_size=None,
            num_workers=workers,
            prefetch_factor=config.prefetch if workers else None,
            pin_memory=on_cuda if config.pin_memory == "auto" else config.pin_memory == "yes",
        )
    )
