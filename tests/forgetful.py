"""A network with dropout; run as a script: train_ddp.py with it, stopped after STOP=N updates where that is given."""

import os
import signal
from dataclasses import dataclass

from torch import Tensor, nn

import sleepkd.models
import train_ddp
from sleepkd.errors import run_command
from sleepkd.models import Network
from sleepkd.models.utime import UTime, UTimeSettings


@dataclass(frozen=True)
class ForgetfulSettings(UTimeSettings):
    name: str = "forgetful"


class Forgetful(UTime):
    """U-Time that drops half of its input."""

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return super().forward({name: nn.functional.dropout(x, 0.5, self.training) for name, x in inputs.items()})


FORGETFUL = Network(Forgetful, ForgetfulSettings)


if __name__ == "__main__":
    sleepkd.models.NETWORKS["forgetful"] = FORGETFUL
    real, left = train_ddp.update, int(os.environ.get("STOP", 0))

    def update(*args: object) -> Tensor:
        global left
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGTERM)
        return real(*args)

    train_ddp.update = update
    run_command(train_ddp.main)
