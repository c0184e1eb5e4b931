"""Processes of one run: ranks, devices, collectives, and the flag that stops them together."""

import gc
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from sleepkd.errors import UserError


class Processes:
    """This process among those of the run; one alone when not started by torchrun."""

    def __init__(self, device: str = "auto", timeout_minutes: float = 10.0):
        self.timeout = timedelta(minutes=timeout_minutes)
        self.rank = int(os.environ.get("RANK", 0))
        self.world = int(os.environ.get("WORLD_SIZE", 1))
        local_rank = int(os.environ.get("LOCAL_RANK", 0))
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda":
            local_world = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
            if local_world > torch.cuda.device_count():
                raise UserError(
                    f"train.device: cuda was asked for {local_world} GPUs on this machine, it has "
                    f"{torch.cuda.device_count()}; lower --nproc_per_node or set train.device=cpu"
                )
            torch.cuda.set_device(local_rank)
        self.device = torch.device(device, local_rank if device == "cuda" else None)
        self.distributed = "RANK" in os.environ

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    @contextmanager
    def group(self) -> Iterator["Processes"]:
        """Join the process group for the length of a `with` block: nccl on CUDA, gloo on CPU."""
        if not self.distributed:
            yield self
            return
        # Both backends at once: collectives on CPU tensors (flags, counts) never wait for the GPU.
        backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
        store, _, _ = next(rendezvous("env://", timeout=self.timeout))
        store = fresh_part(store, self.rank, self.world, self.timeout)
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.world, timeout=self.timeout)
        try:
            yield self
        finally:
            gc.collect()  # a DDP module that a cycle keeps alive would hold gloo's threads past the interpreter's end
            dist.destroy_process_group()
            gc.collect()

    def sum(self, tensor: Tensor) -> Tensor:
        """Add a tensor up over all processes, in place; returned for convenience."""
        if self.distributed:
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process; all get the same answer."""
        return bool(self.sum(torch.tensor(int(flag))).item()) if self.distributed else flag

    def gather(self, value: Any) -> list[Any]:
        """The picklable values of all processes by rank, on the first; an empty list on the others."""
        if not self.distributed:
            return [value]
        values: list[Any] | None = [None] * self.world if self.is_first else None
        dist.gather_object(value, values)
        return values or []

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.distributed:
            dist.barrier()

    def broadcast_buffers(self, module: torch.nn.Module) -> None:
        """Give all processes the first one's buffers (BatchNorm's running statistics differ by rank)."""
        if self.distributed:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


def fresh_part(store: Store, rank: int, world: int, timeout: timedelta) -> Store:
    """A part of torchrun's store that only these lives of the processes use, agreed on by all of them.

    torchrun keeps its store through restarts (torch 2.13: `_create_c10d_store` adds no prefix for the attempt), so a
    restarted process would read there where the dead ones listened: "connection refused", or a wait without end. The
    count of restarts does not tell the lives apart either, it differs by agent. So every process has a name for this
    life, the first answers each by its name with its own, and goes on when all of these answers are read. What an
    earlier life left in the store is answered too, in vain, and hurts nobody.

    Raises RuntimeError if some process is not there before the timeout.
    """
    life = uuid.uuid4().hex
    if rank:
        store.set(f"sleepkd/here/{rank}", life)
        first = store.get(f"sleepkd/answer/{life}").decode()
        store.set(f"sleepkd/met/{first}/{rank}", "")
        return PrefixStore(first, store)
    missing, deadline = set(range(1, world)), time.monotonic() + timeout.total_seconds()
    while missing:
        for other in missing:
            if store.check([f"sleepkd/here/{other}"]):
                store.set(f"sleepkd/answer/{store.get(f'sleepkd/here/{other}').decode()}", life)
        missing = {other for other in missing if not store.check([f"sleepkd/met/{life}/{other}"])}
        if missing and time.monotonic() > deadline:
            raise RuntimeError(f"processes {sorted(missing)} of {world} did not start within {timeout}")
        time.sleep(0.02)
    return PrefixStore(life, store)


class StopFlag:
    """Set by SIGTERM and SIGINT, which do nothing else until `release`: the loop looks at it after every update."""

    def __init__(self) -> None:
        self.requested = False
        self._before = {number: signal.signal(number, self._request) for number in (signal.SIGTERM, signal.SIGINT)}

    def release(self) -> None:
        """Give the two signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
