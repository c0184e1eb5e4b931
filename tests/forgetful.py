"""A network with dropout on its input. As a script: train_ddp.py with it, stopped by SIGTERM in update STOP."""

import os
from dataclasses import dataclass

from torch import Tensor, nn

import sleepkd.models
import train_ddp
from runs import stop_in_update
from sleepkd.errors import run_command
from sleepkd.models import Network
from sleepkd.models.utime import UTime, UTimeSettings


@dataclass(frozen=True)
class ForgetfulSettings(UTimeSettings):
    name: str = "forgetful"


class Forgetful(UTime):
    """U-Time with dropout of half of its input."""

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return super().forward({name: nn.functional.dropout(x, 0.5, self.training) for name, x in inputs.items()})


FORGETFUL = Network(Forgetful, ForgetfulSettings)


if __name__ == "__main__":
    sleepkd.models.NETWORKS["forgetful"] = FORGETFUL
    train_ddp.update = stop_in_update(int(os.environ["STOP"]))
    run_command(train_ddp.main)
