"""Run under torchrun: the stages of one kind, published or night, one after another in one process group.

Arguments: the kind; a run directory whose teacher and features are those that all learn and start from (or - for their
own); then overrides; a + begins another set of overrides for another round.
"""

import sys
from pathlib import Path

from launch import NIGHT_STAGES, STAGES

from sleepkd.settings import Config, load_config
from sleepkd.distributed import Processes
from train_ddp import train


def configured(stage: str, overrides: list[str], earlier: str) -> Config:
    """The stage's config, its earlier stages taken from the directory `earlier`."""
    config = load_config([stage], overrides)
    if earlier == "-":
        return config
    keys = (("teacher", config.stage.teacher), *(("start_from", name) for name in config.stage.starts))
    paths = [f"stage.{key}={Path(earlier) / name / 'last.pt'}" for key, name in keys if name]
    return load_config([stage], [*overrides, *paths])


if __name__ == "__main__":
    kind, earlier, *rest = sys.argv[1:]
    stages = {"published": STAGES, "night": NIGHT_STAGES}[kind]
    processes = Processes("cpu")
    with processes.group():
        for overrides in " ".join(rest).split(" + "):
            for stage in stages:
                assert train(configured(stage, overrides.split(), earlier), processes) == 0
