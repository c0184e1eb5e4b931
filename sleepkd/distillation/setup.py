"""From a config to a run that is ready for its next update: opened, built, resumed, wrapped, announced."""

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sleepkd.config import to_dict
from sleepkd.data.batches import check_shares, draw_epoch
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.inputs import said
from sleepkd.data.nights import open_nights
from sleepkd.data.windows import Batch, Windows
from sleepkd.distillation.settings import Config
from sleepkd.distillation.stage import STUDENT, Stage, build_stage, by_device
from sleepkd.distillation.teacher import OwnAverage, Staged
from sleepkd.distillation.teacher_cache import use_cached_teacher
from sleepkd.distillation.trained import checkpoint_of_network
from sleepkd.distributed import Processes, StopFlag
from sleepkd.errors import UserError
from sleepkd.training.checkpoint import Checkpoint, Position, load_weights
from sleepkd.training.progress import Progress, UpdateLog
from sleepkd.training.run_directory import RunDirectory, resumable
from sleepkd.training.state import TrainingState, new_state

OF_UNSCORED = "unscored_"
"""What is logged of sleep epochs that nobody scored: the share that the student gives each class."""


@dataclass
class Run:
    """One stage being trained. learner: what the loop calls, the stage's own or DDP around it.

    validation: None where nothing is validated. updates: of an epoch of training. at_once: how many
    rows of `validation`, whole nights, are no more than a batch of training. dtype: of signals and weights.
    """

    config: Config
    processes: Processes
    stage: Stage
    learner: nn.Module
    state: TrainingState
    windows: Windows
    validation: Windows | None
    updates: int
    at_once: int
    dtype: torch.dtype
    directory: RunDirectory
    progress: Progress
    log: UpdateLog
    stop: StopFlag
    started: float = field(default_factory=time.monotonic)

    @property
    def step(self) -> int:
        """How many updates are done, over all epochs."""
        return self.state.position.epoch * self.updates + self.state.position.update

    @property
    def total(self) -> int:
        """How many updates there will be at most."""
        return self.config.train.epochs * self.updates

    def begin_epoch(self) -> None:
        """The stage in training mode, clock and log at the start, weights and rows as this epoch has them."""
        self.windows.epoch = self.stage.epoch = self.state.position.epoch
        self.started, self.log = time.monotonic(), UpdateLog(self.processes)
        self.stage.train_mode()

    def report(self, gradient_norm: Tensor) -> None:
        """Log the updates since the last report. Raises UserError naming recordings where a loss is no number."""
        values, broken = self.log.flush()
        if broken is not None:
            raise UserError(self._non_finite(broken))
        unscored = {name: value for name, value in values.items() if name.startswith(OF_UNSCORED)}
        total = sum(unscored.values()) or 1.0
        values |= {name: value / total for name, value in unscored.items()}
        state, epoch = self.state, (self.step - 1) // self.updates
        values |= {"gradient_norm": gradient_norm.item(), "learning_rate": state.optimizer.param_groups[0]["lr"]}
        if state.scaler.is_enabled():  # updates that overflowed in fp16 and were skipped: no error, but to be seen
            taken = max((int(entry["step"]) for entry in state.optimizer.state.values()), default=0)
            values |= {"loss_scale": state.scaler.get_scale(), "skipped_updates": self.step - taken}
        self.directory.log("train", self.step, {"epoch": epoch, **values})
        self.progress.show(loss=f"{values['loss']:.4f}")

    @cached_property
    def has_unscored(self) -> bool:
        """Whether any night that is trained on has no labels."""
        return not all(night.has_labels for night in self.windows.nights)

    def said_of_unscored(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """How many unscored sleep epochs the student gives each class; nothing where all nights are scored."""
        names = CLASS_NAMES[self.config.data.classes]
        if not self.has_unscored:
            return {}
        unscored = logits.argmax(dim=-1)[batch.present & (batch.labels == UNSCORED)]
        counts = torch.bincount(unscored, minlength=len(names))
        return {f"{OF_UNSCORED}{name}": count for name, count in zip(names, counts.to(torch.float32), strict=True)}

    def save_best(self, scores: dict[str, Any]) -> None:
        """The network that validation prefers so far, as best.pt."""
        self.directory.save_best(self._checkpoint(self.state.kept, scores=scores))

    def save_last(self) -> None:
        """All that it takes to go on from here, as last.pt."""
        position = self.state.position
        position.seconds += time.monotonic() - self.started
        self.started = time.monotonic()
        self.directory.save_last(self._checkpoint(self.state.student, training=self.state.state()))
        self.processes.wait()

    def stopped(self) -> None:
        """Leave on request."""
        self.stop.release()
        self.directory.close()
        if self.processes.is_first:
            last = self.directory.last
            print(f"stopped after update {self.step}; the same command goes on from {last}", flush=True)

    def finished(self) -> None:
        """Leave at the end."""
        self.stop.release()
        self.progress.close()
        self.directory.close()
        if self.processes.is_first:
            minutes = self.state.position.seconds / 60
            print(f"{self.config.stage.name}: trained in {minutes:.1f} min; {self.directory.path}", flush=True)

    def _checkpoint(self, network: nn.Module, **more: dict[str, Any]) -> Checkpoint:
        return checkpoint_of_network(self.config, self.stage.inputs, network, self.state.position, **more)

    def _non_finite(self, broken: np.ndarray) -> str:
        """What to say when a loss is no number: whose nights the update held, and what is left to go on from."""
        nights = sorted({self.windows.nights[i].info.recording for i in self.windows.places.night[broken]})
        named = ", ".join(nights[:8]) + (f" and {len(nights) - 8} more" if len(nights) > 8 else "")
        last = self.directory.last
        left = f"{last} holds the state before" if last.is_file() else "nothing was saved yet"
        return (
            f"the loss is not finite by update {self.step}, in a batch of recordings {named}; {left}; look at those "
            "recordings, lower train.learning_rate, set train.clip_norm or train.precision=fp32"
        )


def set_up(config: Config, processes: Processes) -> Run:
    """What is trained, on what, from where; taken up where it was interrupted. Raises UserError before it writes."""
    config = by_device(config, processes.device)
    train, settings = config.train, to_dict(config)
    resumed = resumable(config.run_directory, settings)
    nights = open_nights(config.data.sources, "train")
    stage = build_stage(config, nights[0].rate_hz)
    windows = Windows(
        nights, stage.readers, config.data, unlabelled=stage.uses_unlabelled, augmented=STUDENT, seed=train.seed
    )
    check_shares(len(windows), train.batch_size, processes.world * train.accumulate)
    validation, at_once = None, train.batch_size
    if train.validate_every:
        unseen = open_nights(config.data.sources, "validation")
        validation = Windows(unseen, stage.readers, config.data.whole_nights())
        at_once = max(1, int(train.batch_size * windows.seconds // validation.seconds))

    dtype = torch.float64 if train.precision == "fp64" else torch.float32
    stage.to(processes.device, dtype)
    position = resumed.position if resumed else Position()
    state = new_state(stage.student, stage.learner.terms, train, position, processes)
    if isinstance(stage.teacher, OwnAverage):
        stage.teacher.follow(state.average.module)
    same_draws = True
    if resumed:
        load_weights(stage.student, resumed.model, config.run_directory / "last.pt")
        same_draws = state.load_state(resumed.training)
    updates = len(draw_epoch(windows, train.batch_size, train.seed, 0))
    done = position.epoch * updates + position.update
    directory = RunDirectory(config.run_directory, settings, processes.is_first, resumed_step=done)

    for term in stage.terms.values():
        term.fit(windows.places.labels)
    learner = wrap(stage, processes)
    if processes.is_first:
        print(describe(stage, windows, validation, done, processes), flush=True)
        if not same_draws:
            was = len(resumed.training["random"])
            print(f"  on {was} processes before: random draws (dropout) differ from here on", flush=True)
    rooms = {"train": (windows, train.batch_size), "validation": (validation, at_once)}
    for name, (of_part, rows_at_once) in rooms.items():
        if of_part and stage.teacher:
            ready_teacher(stage, of_part, directory.path / "teacher" / name, processes, rows_at_once)
    total = train.epochs * updates
    progress = Progress(config.stage.name, total, done, shown=processes.is_first)
    return Run(
        config=config,
        processes=processes,
        stage=stage,
        learner=learner,
        state=state,
        windows=windows,
        validation=validation,
        updates=updates,
        at_once=at_once,
        dtype=dtype,
        directory=directory,
        progress=progress,
        log=UpdateLog(processes),
        stop=StopFlag(),
    )


def ready_teacher(stage: Stage, windows: Windows, folder: Path, processes: Processes, rows_at_once: int) -> None:
    """What is to be kept of the teacher's answers to these windows, in `folder`."""
    if isinstance(stage.teacher, Staged):
        stage.teacher.prepare(windows, folder, processes)
    elif stage.config.distill.cache_teacher:
        use_cached_teacher(stage, windows, folder, processes, rows_at_once)


def wrap(stage: Stage, processes: Processes) -> nn.Module:
    """What the loop calls: SyncBatchNorm, compiled, in DDP, where each applies. Taps are registered before."""
    config, learner = stage.config, stage.learner
    if getattr(config.model, "norm", "") == "sync_batch":
        learner.student = nn.SyncBatchNorm.convert_sync_batchnorm(learner.student)
    if config.train.compile:
        torch.compiler.reset()  # code of a network without taps, compiled by this process before, would serve this one
        learner.student.compile()
        for network in stage.teacher.networks if stage.teacher else ():
            network.compile()
    if not processes.distributed:
        return learner
    device_ids = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(learner, device_ids=device_ids, gradient_as_bucket_view=True)


def describe(stage: Stage, windows: Windows, validation: Windows | None, done: int, processes: Processes) -> str:
    """What is about to be trained, in a few lines."""
    config, count = stage.config, sum(parameter.numel() for parameter in stage.learner.parameters())
    teacher = f", taught by {stage.teacher}" if stage.teacher else ""
    start = f", from {' and '.join(config.stage.starts)}" if config.stage.starts else ""
    unlabelled = sum(not night.has_labels for night in windows.nights) if stage.uses_unlabelled else 0
    without = f" ({unlabelled} without labels)" if unlabelled else ""
    held_out = f"validation {len(validation)} of {len(validation.nights)}" if validation else "no validation"
    return (
        f"{config.stage.name}: {config.data.classes} classes from {said(stage.inputs)}{start}{teacher}\n"
        f"  {count:,} parameters on {processes.world} x {processes.device.type}, {config.train.precision}; "
        f"train {len(windows)} rows of {len(windows.nights)} nights{without}, {held_out}\n"
        f"  {config.run_directory}" + (f": going on after update {done}" if done else "")
    )
