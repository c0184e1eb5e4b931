"""Run under torchrun: the six stages one after another in one process group. Arguments: overrides."""

import sys

from launch import STAGES

from sleepkd.config import load_config
from sleepkd.distributed import Processes
from train_ddp import train

if __name__ == "__main__":
    processes = Processes("cpu")
    with processes.group():
        for stage in STAGES:
            assert train(load_config([stage], sys.argv[1:]), processes) == 0
