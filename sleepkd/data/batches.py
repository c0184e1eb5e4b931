"""Which rows make up every update, and the loader that brings one process its share.

The content of every batch follows from (seed, epoch) alone; processes and micro-batches share it out.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.segments import Batch, Segments
from sleepkd.distributed import Processes
from sleepkd.errors import UserError


def draw_epoch(segments: Segments, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The row numbers of each update of an epoch, in batches of at most `batch_size`.

    Sizes differ by at most one, so that no update is left with a handful of rows. From one store, or several by their
    sizes, every row comes once. Else each store has its share of every batch (`shares`), and its rows come in turn, so
    that none comes twice more often than another of its store.
    """
    rng = np.random.default_rng([seed, epoch])
    data, total = segments.data, len(segments)
    if data.mix == 0 and len({source.weight for source in data.sources}) == 1:
        order = rng.permutation(total)
    else:
        source_of = np.array([night.source for night in segments.nights])[segments.table.night]
        rows = [np.flatnonzero(source_of == number) for number in range(len(data.sources))]
        order = _interleaved(rows, shares([len(r) for r in rows], data), total, rng)
    return np.array_split(order, -(-total // batch_size))


def shares(sizes: Sequence[int], data: DataConfig) -> np.ndarray:
    """(S,) the share of each store in every batch: between by size (mix 0) and alike (mix 1), times its weight.

    A store without rows has none. The one number is that of Perslev et al. (U-Time's multi-sequence training mixes data
    sets by alpha between size and uniform).
    """
    by_size = np.array(sizes) / sum(sizes)
    alike = (by_size > 0) / np.count_nonzero(by_size)
    wanted = ((1 - data.mix) * by_size + data.mix * alike) * [source.weight for source in data.sources]
    return wanted / wanted.sum()


def _interleaved(rows: Sequence[np.ndarray], wanted: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """`total` rows, so many of each store as wanted, each store's spread evenly over the epoch."""
    counts = np.floor(wanted * total).astype(int)
    largest = np.argsort(-(wanted * total - counts), kind="stable")[: total - counts.sum()]
    counts[largest] += 1
    drawn, moments = [], []
    for own, count in zip(rows, counts, strict=True):
        if count:
            passes = [rng.permutation(own) for _ in range(-(-count // len(own)))]
            drawn.append(np.concatenate(passes)[:count])
            moments.append((np.arange(count) + rng.random()) / count)
    return np.concatenate(drawn)[np.argsort(np.concatenate(moments), kind="stable")]


def check_shares(rows: int, batch_size: int, among: int) -> None:
    """UserError where a batch has fewer rows than there are processes times micro-batches to share it."""
    smallest = rows // -(-rows // batch_size)
    if smallest < among:
        raise UserError(
            f"train.batch_size: {among} processes times micro-batches cannot share a batch of {smallest} rows; "
            "raise it, lower train.accumulate, or start fewer processes"
        )


def share(batch: np.ndarray, rank: int, world: int, accumulate: int) -> list[np.ndarray]:
    """One process's micro-batches of an update; together those of all processes are the batch."""
    return [batch[micro * world + rank :: world * accumulate] for micro in range(accumulate)]


def load_batches(segments: Segments, chosen: Sequence[np.ndarray], device: torch.device) -> Iterator[Batch]:
    """The batches of some arrays of row numbers, in order, read ahead of time by `data.workers` processes if any."""
    data, on_cuda = segments.data, device.type == "cuda"
    workers = data.workers if data.workers >= 0 else 4 * on_cuda
    return iter(
        DataLoader(
            segments,
            sampler=chosen,  # type: ignore[arg-type]  # each "sample" is a whole batch of row numbers
            batch_size=None,
            num_workers=workers,
            prefetch_factor=data.prefetch if workers else None,
            pin_memory=on_cuda if data.pin_memory == "auto" else data.pin_memory == "yes",
            generator=torch.Generator(),  # the loader draws a seed: not from the stream that dropout draws from
        )
    )


def each_once(segments: Segments, processes: Processes, batch_size: int) -> Iterator[tuple[np.ndarray, Batch]]:
    """All rows, once over all processes, none padded: this process's row numbers and their batches."""
    mine = np.arange(processes.rank, len(segments), processes.world)
    chosen = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]
    return zip(chosen, load_batches(segments, chosen, processes.device), strict=True)
