"""The processes of a run: rank, device, collectives, and the flag by which signals stop all of them together."""

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
    """This process among the processes of the run. Without torchrun it is the only one.

    device: "auto", "cpu" or "cuda". timeout_minutes: of collectives. Raises UserError for more processes than GPUs.
    """

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
        self.device = torch.device(device, local_rank) if device == "cuda" else torch.device(device)
        self.distributed = "RANK" in os.environ

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes and prints."""
        return self.rank == 0

    @contextmanager
    def group(self) -> Iterator["Processes"]:
        """Join the process group within a `with` block: nccl on CUDA, gloo on the CPU."""
        if not self.distributed:
            yield self
            return
        # Both backends at once: collectives on CPU tensors (flags, counts) never wait for the GPU.
        backend = "cpu:gloo,cuda:nccl" if self.device.type == "cuda" else "gloo"
        store, _, _ = next(rendezvous("env://", timeout=self.timeout))
        store = fresh_prefix(store, self.rank, self.world, self.timeout)
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.world, timeout=self.timeout)
        try:
            yield self
        finally:
            gc.collect()  # a DDP module that a cycle keeps alive would hold gloo's threads past the interpreter's end
            dist.destroy_process_group()
            gc.collect()

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes in place, and return it."""
        if self.distributed:
            dist.all_reduce(tensor)
        return tensor

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process. All processes get the same answer."""
        return bool(self.sum(torch.tensor(int(flag))).item()) if self.distributed else flag

    def gather(self, value: Any) -> list[Any]:
        """A picklable value of every process, in the order of ranks, on rank 0; an empty list on the others."""
        if not self.distributed:
            return [value]
        values: list[Any] | None = [None] * self.world if self.is_first else None
        dist.gather_object(value, values)
        return values or []

    def wait(self) -> None:
        """Wait until all processes call this."""
        if self.distributed:
            dist.barrier()

    def broadcast_buffers(self, module: torch.nn.Module) -> None:
        """Copy the buffers of rank 0 to all processes: BatchNorm's running statistics differ between them."""
        if self.distributed:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


def fresh_prefix(store: Store, rank: int, world: int, timeout: timedelta) -> Store:
    """A prefix of torchrun's store that all processes of this start share, and no earlier start used.

    torchrun keeps its store through restarts (torch 2.13: `_create_c10d_store` adds no prefix for the attempt), so a
    restarted process would read addresses of processes that no longer run: "connection refused", or an endless wait.
    The number of restarts cannot serve as the prefix, since it differs between agents. Therefore every process draws a
    random identifier and publishes it under its rank. Rank 0 replies to each identifier with its own, which becomes the
    prefix, and continues once every rank has acknowledged it. Identifiers that an earlier start left behind get a reply
    too, which no process reads.

    Raises RuntimeError where a process does not start within the timeout.
    """
    own = uuid.uuid4().hex
    if rank:
        store.set(f"sleepkd/started/{rank}", own)
        prefix = store.get(f"sleepkd/reply/{own}").decode()
        store.set(f"sleepkd/acknowledged/{prefix}/{rank}", "")
        return PrefixStore(prefix, store)
    missing, deadline = set(range(1, world)), time.monotonic() + timeout.total_seconds()
    while missing:
        for other in missing:
            if store.check([f"sleepkd/started/{other}"]):
                store.set(f"sleepkd/reply/{store.get(f'sleepkd/started/{other}').decode()}", own)
        missing = {other for other in missing if not store.check([f"sleepkd/acknowledged/{own}/{other}"])}
        if missing and time.monotonic() > deadline:
            raise RuntimeError(f"processes {sorted(missing)} of {world} did not start within {timeout}")
        time.sleep(0.02)
    return PrefixStore(own, store)


class StopFlag:
    """Set by SIGTERM and SIGINT, which have no other effect until `release`. The loop reads it after every update."""

    def __init__(self) -> None:
        self.requested = False
        self._before = {number: signal.signal(number, self._request) for number in (signal.SIGTERM, signal.SIGINT)}

    def release(self) -> None:
        """Restore the signal handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
