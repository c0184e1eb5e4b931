"""train_ddp.py that kills itself: DIE=save:N in the middle of the N-th save."""

import os
import signal

import train_ddp
from sleepkd import checkpoint
from sleepkd.errors import run_command

if __name__ == "__main__":
    left = int(os.environ["DIE"].removeprefix("save:"))
    fsync = os.fsync

    def dying(file: int) -> None:
        """The file is written, but not yet flushed to the disk, nor in its place."""
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(file)

    checkpoint.os.fsync = dying
    run_command(train_ddp.main)
