"""Run under torchrun: the six stages one after another in one process group.

Arguments: a run directory whose eeg_base and feat_train are the teacher and the start of all (or - for their own), then
overrides; a + begins another set of overrides for another round.
"""

import sys
from pathlib import Path

from launch import STAGES

from sleepkd.distillation.settings import Config, load_config
from sleepkd.distributed import Processes
from train_ddp import train


def configured(stage: str, overrides: list[str], earlier: str) -> Config:
    """The stage's config, its earlier stages taken from the directory `earlier`."""
    config = load_config([stage], overrides)
    if earlier == "-":
        return config
    keys = (("teacher", config.stage.teacher), ("start_from", config.stage.start_from))
    paths = [f"stage.{key}={Path(earlier) / name / 'last.pt'}" for key, name in keys if name]
    return load_config([stage], [*overrides, *paths])


if __name__ == "__main__":
    earlier, *rest = sys.argv[1:]
    processes = Processes("cpu")
    with processes.group():
        for overrides in " ".join(rest).split(" + "):
            for stage in STAGES:
                assert train(configured(stage, overrides.split(), earlier), processes) == 0
