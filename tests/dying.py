"""train_ddp.py that kills itself: DIE=save:N in the middle of the N-th save, DIE=update:N of rank 1 before update N.

Only the first time torchrun starts it; a restart runs undisturbed.
"""

import os
import signal

import torch

import train_ddp
from sleepkd import checkpoint
from sleepkd.errors import run_command

if __name__ == "__main__":
    kind, _, number = os.environ["DIE"].partition(":")
    left = int(number)

    def dying(function):
        def count_down(*args, **kwargs):
            global left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return count_down

    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        if kind == "save":  # the file is written but not yet flushed to the disk, nor in its place
            checkpoint.os.fsync = dying(os.fsync)
        elif os.environ["RANK"] == "1":
            torch.optim.Adam.step = dying(torch.optim.Adam.step)
    run_command(train_ddp.main)
