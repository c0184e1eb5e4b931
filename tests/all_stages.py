"""Run by `launch.run`: train stages one after another in the same processes. Arguments: rounds, separated by +.

A round is a kind of stages, published or night; the directory of the stages that they learn and start from, or - for
those of the same round; then KEY=VALUE overrides.
"""

import sys
from pathlib import Path

from launch import NIGHT_STAGES, STAGES
from sleepkd.distributed import Processes
from sleepkd.settings import Config, load_config
from train_ddp import train

KINDS = {"published": STAGES, "night": NIGHT_STAGES}


def configured(stage: str, overrides: list[str], earlier: str) -> Config:
    """The config of a stage, with its teacher and start taken from the directory `earlier`."""
    config = load_config([stage], overrides)
    if earlier == "-":
        return config
    keys = (("teacher", config.stage.teacher), *(("start_from", name) for name in config.stage.starts))
    paths = [f"stage.{key}={Path(earlier) / name / 'last.pt'}" for key, name in keys if name]
    return load_config([stage], [*overrides, *paths])


if __name__ == "__main__":
    processes = Processes("cpu")
    with processes.group():
        for each in " ".join(sys.argv[1:]).split(" + "):
            kind, earlier, *overrides = each.split()
            for stage in KINDS[kind]:
                assert train(configured(stage, overrides, earlier), processes) == 0
