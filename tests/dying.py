"""train_ddp.py that kills itself: DIE=save:N in the middle of its N-th save, DIE=update:N rank 1 before update N."""

import os
import signal
from collections.abc import Callable
from typing import Any

import torch

import train_ddp
from sleepkd.errors import run_command
from sleepkd.training import checkpoint


def dying(function: Callable, left: int) -> Callable:
    """The function, but its call number `left` is the process's last."""

    def count_down(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return count_down


if __name__ == "__main__":
    kind, _, number = os.environ["DIE"].partition(":")
    if kind == "save":  # the file is written, but not yet flushed to the disk, nor in its place
        checkpoint.os.fsync = dying(os.fsync, int(number))
    elif os.environ["RANK"] == "1":
        torch.optim.Adam.step = dying(torch.optim.Adam.step, int(number))
    run_command(train_ddp.main)
