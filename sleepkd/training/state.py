"""All that changes while a stage trains: what is saved and what is restored stand side by side."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sleepkd.distributed import Processes
from sleepkd.training.checkpoint import Position
from sleepkd.training.settings import TrainConfig


@dataclass
class TrainingState:
    """What is trained, by what, and how far it has come.

    student: its weights are the checkpoint's `model`. terms: the loss terms, which may own parameters; they are kept
    in last.pt and never in best.pt. average: the moving average of the student, buffers included, if there is one.
    """

    student: nn.Module
    terms: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: AveragedModel | None
    position: Position
    processes: Processes

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and kept as best.pt."""
        return self.average.module if self.average else self.student

    def state(self) -> dict[str, Any]:
        """What last.pt holds besides the student's weights and the position. All processes call it together."""
        return {
            "terms": self.terms.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "random": self.processes.gather(_random_state(self.processes.device)),
        }

    def load_state(self, saved: dict[str, Any]) -> bool:
        """Take up what `state` gave; returns False where random draws (dropout) go on otherwise than they would have.

        They do so on another number of processes, each of which has a stream of its own.
        """
        self.terms.load_state_dict(saved["terms"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        if self.average:
            self.average.load_state_dict(saved["average"])
        same = len(saved["random"]) == self.processes.world
        if same:
            _set_random_state(saved["random"][self.processes.rank], self.processes.device)
        return same


def new_state(
    student: nn.Module, terms: nn.Module, train: TrainConfig, position: Position, processes: Processes
) -> TrainingState:
    """The state at a position, before what was saved is loaded; every process draws from a stream of its own."""
    trained = [p for module in (student, terms) for p in module.parameters() if p.requires_grad]
    average = None
    if train.ema_decay:
        average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(train.ema_decay), use_buffers=True)
    seed = np.random.SeedSequence([train.seed, processes.rank, processes.world, position.epoch, position.update])
    torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> np.uint64(1)))
    return TrainingState(
        student=student,
        terms=terms,
        optimizer=torch.optim.Adam(trained, lr=train.learning_rate),
        scaler=torch.amp.GradScaler(processes.device.type, enabled=train.precision == "fp16"),
        average=average,
        position=position,
        processes=processes,
    )


def _random_state(device: torch.device) -> dict[str, Tensor]:
    """Where torch's random numbers stand on this process."""
    cuda = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def _set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
