"""train_ddp.py that kills itself: DIE=save:N in its N-th save of a checkpoint, DIE=update:N rank 1 before update N.

A process that torchrun has restarted does not.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

import torch

import train_ddp
from sleepkd.checkpoints import checkpoint
from sleepkd.errors import run_command


def dying(function: Callable, calls: int) -> Callable:
    """The function; call number `calls` kills the process."""

    def count_down(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls -= 1
        if calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return count_down


if __name__ == "__main__":
    kind, _, number = os.environ["DIE"].partition(":")
    if kind == "save":  # the temporary file is written, but neither flushed to disk nor renamed
        checkpoint.os.fsync = dying(os.fsync, int(number))
    elif (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) == ("1", "0"):
        torch.optim.Adam.step = dying(torch.optim.Adam.step, int(number))
    run_command(train_ddp.main)
