"""How long planned runs will take: from runs of the same row that are done, or else from a few updates on noise."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from sleepkd.checkpoint import Position
from sleepkd.config import Config
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.store import Store
from sleepkd.data.windows import Windows
from sleepkd.distillation.losses import attention_energy, unique_taps
from sleepkd.distillation.stage import autocast, by_device
from sleepkd.distillation.taps import Taps
from sleepkd.models.build import build_network
from sleepkd.study.plan import Job

TIMED_UPDATES = 3


def estimate(
    jobs: Sequence[Job],
    positions: Mapping[Job, Position | None],
    processes: int,
    splits: Mapping[str | None, Mapping[str, tuple[str, ...]]],
) -> dict[Job, float]:
    """Seconds of training that each run still needs; starting processes and evaluating come on top.

    positions: how far each run has come. processes: of each run, each with one core or one device to itself. splits:
    the recordings of each part, by `Group.fold`. Raises UserError where the store cannot be read.
    """
    per_epoch: dict[str, float] = {}
    for job, position in positions.items():
        if position and position.epoch:
            per_epoch[job.row] = position.seconds / position.epoch
    for job in jobs:
        if job.row not in per_epoch:
            per_epoch[job.row] = _measured(job.config, processes, splits[job.group.fold])
    left = {job: job.config.train.epochs - (position.epoch if (position := positions[job]) else 0) for job in jobs}
    return {job: per_epoch[job.row] * left[job] for job in jobs}


def _measured(config: Config, processes: int, parts: Mapping[str, tuple[str, ...]]) -> float:
    """Seconds of one training epoch: so many updates, and the validation, at the speed of a few updates on noise."""
    store = Store(config.data.store)
    data = replace(config.data, workers=0)
    train, validation = (
        len(Windows(store, parts[part], data, (config.stage.signal,))) for part in ("train", "validation")
    )
    updates = -(-train // config.train.batch_size)
    step, forward = time_update(config, store.rate_hz, -(-config.train.batch_size // processes))
    validations = 1 / config.train.validate_every if config.train.validate_every else 0
    return updates * step + validations * validation / config.train.batch_size * forward


def time_update(config: Config, rate_hz: float, windows: int) -> tuple[float, float]:
    """Seconds of an update of so many windows (student, teacher, gradients, Adam), and of its forward part alone.

    On the first CUDA device or on one core.
    """
    cuda = torch.cuda.is_available() and config.train.device != "cpu"
    device = torch.device("cuda" if cuda else "cpu")
    settled, threads = by_device(config, device), torch.get_num_threads()
    torch.set_num_threads(1)
    student = build_network(config, rate_hz).to(device).train()
    teacher = build_network(config, rate_hz).to(device).eval() if config.loss.kd or config.loss.at else None
    paths = unique_taps(config.distill.at_taps) if config.loss.at else ()
    taps = Taps(student, paths)
    optimizer = torch.optim.Adam(student.parameters())
    x = torch.randn(windows, config.data.window, round(EPOCH_SECONDS * rate_hz), device=device)

    def update() -> float:
        """One update; returns the seconds of its forward part."""
        started = _now(device)
        with autocast(settled, device):
            logits = student(x)
            if teacher:
                _teach(teacher, x)
        loss = logits.float().square().mean() + sum(attention_energy(f).mean() for f in taps.pop().values())
        between = _now(device)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return between - started

    try:
        update()
        started = _now(device)
        forward = sum(update() for _ in range(TIMED_UPDATES))
        return (_now(device) - started) / TIMED_UPDATES, forward / TIMED_UPDATES
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
def _teach(teacher: nn.Module, x: torch.Tensor) -> None:
    teacher(x)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
