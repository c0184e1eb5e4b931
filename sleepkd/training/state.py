"""Everything that changes during training: what is saved and what is restored, side by side."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from sleepkd.checkpoints.checkpoint import Position
from sleepkd.distributed import Processes


@dataclass
class TrainingState:
    """The training state.

    student: its weights are the checkpoint's `model`. losses: may own parameters, kept in last.pt, never in best.pt.
    average: the moving average of the student's weights and buffers, None without `train.ema_decay`.
    """

    student: nn.Module
    losses: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: AveragedModel | None
    position: Position
    processes: Processes

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and saved as best.pt."""
        return self.average.module if self.average else self.student

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of all groups of the optimizer."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def state(self) -> dict[str, Any]:
        """What last.pt holds besides the student's weights and the position. All processes call it together."""
        return {
            "losses": self.losses.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "random": self.processes.gather(_random_state(self.processes.device)),
        }

    def load_state(self, saved: dict[str, Any]) -> bool:
        """Restore what `state` returned.

        Returns False where random draws (dropout) differ from an uninterrupted run: every process has its own stream,
        so they do on another number of processes.
        """
        self.losses.load_state_dict(saved["losses"] if "losses" in saved else saved["terms"])  # "terms": version 0.1
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        if self.average:
            self.average.load_state_dict(saved["average"])
        same = len(saved["random"]) == self.processes.world
        if same:
            _set_random_state(saved["random"][self.processes.rank], self.processes.device)
        return same


def seed_process(seed: int, processes: Processes, position: Position) -> None:
    """Give this process a random stream of its own, which depends on the seed, its rank and the position."""
    entropy = [seed, processes.rank, processes.world, position.epoch, position.update]
    torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1)))


def _random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's random generators on this process."""
    cuda = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def _set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
