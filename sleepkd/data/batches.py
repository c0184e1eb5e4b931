"""Draw the batches of a training epoch, share them among processes, and load them.

The content of every batch depends on (seed, training epoch) alone; processes and micro-batches share it.
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
    """Segment indices of each update of a training epoch, at most `batch_size` per update.

    Batch sizes differ by at most one. With one store, or several in proportion to their size, every segment is drawn
    once. Otherwise every batch holds the `shares` of the stores; the segments of a store are drawn in turn, so that
    their counts differ by at most one.
    """
    rng = np.random.default_rng([seed, epoch])
    data, total = segments.data, len(segments)
    if data.mix == 0 and len({source.weight for source in data.sources}) == 1:
        order = rng.permutation(total)
    else:
        source_of = np.array([night.source for night in segments.nights])[segments.table.night]
        of_store = [np.flatnonzero(source_of == number) for number in range(len(data.sources))]
        order = _interleaved(of_store, shares([len(indices) for indices in of_store], data), total, rng)
    return np.array_split(order, -(-total // batch_size))


def shares(sizes: Sequence[int], data: DataConfig) -> np.ndarray:
    """(S,) the share of each store in every batch. sizes: segments per store; a store without segments has no share.

    Shares lie between proportional to size (mix 0) and uniform (mix 1), times the weights of the stores, as in U-Time's
    multi-sequence training (Perslev et al.).
    """
    by_size = np.array(sizes) / sum(sizes)
    uniform = (by_size > 0) / np.count_nonzero(by_size)
    weighted = ((1 - data.mix) * by_size + data.mix * uniform) * [source.weight for source in data.sources]
    return weighted / weighted.sum()


def _interleaved(
    of_store: Sequence[np.ndarray], share_of: np.ndarray, total: int, rng: np.random.Generator
) -> np.ndarray:
    """`total` segment indices with the given share of each store, spread evenly over the training epoch."""
    counts = np.floor(share_of * total).astype(int)
    largest = np.argsort(-(share_of * total - counts), kind="stable")[: total - counts.sum()]
    counts[largest] += 1
    drawn, moments = [], []
    for indices, count in zip(of_store, counts, strict=True):
        if count:
            passes = [rng.permutation(indices) for _ in range(-(-count // len(indices)))]
            drawn.append(np.concatenate(passes)[:count])
            moments.append((np.arange(count) + rng.random()) / count)
    return np.concatenate(drawn)[np.argsort(np.concatenate(moments), kind="stable")]


def check_shares(segments: int, batch_size: int, among: int) -> None:
    """Raise UserError where the smallest batch has fewer segments than `among`, processes times micro-batches."""
    smallest = segments // -(-segments // batch_size)
    if smallest < among:
        raise UserError(
            f"train.batch_size: {among} processes times micro-batches cannot share a batch of {smallest} segments; "
            "raise it, lower train.accumulate, or start fewer processes"
        )


def share(batch: np.ndarray, rank: int, world: int, accumulate: int) -> list[np.ndarray]:
    """The micro-batches of one process for an update; those of all processes together are the batch."""
    return [batch[micro * world + rank :: world * accumulate] for micro in range(accumulate)]


def load_batches(segments: Segments, chosen: Sequence[np.ndarray], device: torch.device) -> Iterator[Batch]:
    """The batches of several arrays of segment indices, in order, read ahead by `data.workers` loader processes."""
    data, on_cuda = segments.data, device.type == "cuda"
    workers = data.workers if data.workers >= 0 else 4 * on_cuda
    loader: DataLoader[Batch] = DataLoader(
        segments,
        sampler=chosen,  # each "sample" is the array of indices of a whole batch
        batch_size=None,
        num_workers=workers,
        prefetch_factor=data.prefetch if workers else None,
        pin_memory=on_cuda if data.pin_memory == "auto" else data.pin_memory == "yes",
        generator=torch.Generator(),  # the loader draws a seed: not from the stream that dropout draws from
    )
    return iter(loader)


def each_once(segments: Segments, processes: Processes, batch_size: int) -> Iterator[tuple[np.ndarray, Batch]]:
    """Every segment once over all processes, without padding: indices of this process and their batches."""
    mine = np.arange(processes.rank, len(segments), processes.world)
    chosen = [mine[i : i + batch_size] for i in range(0, len(mine), batch_size)]
    return zip(chosen, load_batches(segments, chosen, processes.device), strict=True)
