"""The folder of one run: its config, what it ran with, its metrics, its checkpoints."""

import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from sleepkd.checkpoint import Checkpoint, read_checkpoint
from sleepkd.config import Config, to_dict
from sleepkd.errors import UserError

# What a run may be resumed with another value of: how it runs, not what it computes; and how long.
FREE_ON_RESUME = (
    "runs_root",
    "data.store",
    "data.workers",
    "train.epochs",
    "train.device",
    "train.compile",
    "train.accumulate",
    "train.log_every",
)


class RunDirectory:
    """Where a run writes. Only the first process writes; on the others every method does nothing."""

    def __init__(self, config: Config, writes: bool):
        self.path = config.run_directory
        self.last = self.path / "last.pt"
        self.best = self.path / "best.pt"
        self._writes = writes
        self._board: SummaryWriter | None = None
        if not writes:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / "config.yaml").write_text(yaml.safe_dump(to_dict(config), sort_keys=False), encoding="utf-8")
            (self.path / "environment.json").write_text(json.dumps(_environment(), indent=1) + "\n", encoding="utf-8")
            self._metrics = (self.path / "metrics.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None
        self._board = SummaryWriter(str(self.path))

    def log(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """One line of metrics.jsonl; its numbers go to TensorBoard as kind/name."""
        if not self._writes:
            return
        line = {"kind": kind, "step": step, "time": round(time.time(), 3), **values}
        self._metrics.write(json.dumps(line) + "\n")
        self._metrics.flush()
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def image(self, name: str, step: int, picture_HWC: np.ndarray) -> None:
        """An image (H, W, 3) uint8 for TensorBoard."""
        if self._writes:
            self._board.add_image(name, picture_HWC, step, dataformats="HWC")

    def close(self) -> None:
        """Write out what is buffered."""
        if self._writes:
            self._board.close()
            self._metrics.close()


def resumable(config: Config) -> Checkpoint | None:
    """The run's last.pt if it has one; UserError where that was trained with settings that this run has not."""
    path = config.run_directory / "last.pt"
    if not path.is_file():
        return None
    checkpoint = read_checkpoint(path)
    then, now = _flat(checkpoint.config), _flat(to_dict(config))
    changed = [key for key in now if then.get(key) != now[key] and key not in FREE_ON_RESUME]
    if changed:
        key = changed[0]
        raise UserError(
            f"{path}: holds a run with {key} = {then.get(key)}, this one asks for {now[key]}; "
            "give the old settings, another runs_root, or delete that folder"
        )
    return checkpoint


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _environment() -> dict[str, Any]:
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    packages = ("torch", "numpy", "scikit-learn", "scipy", "tensorboard", "PyYAML")
    return {
        "command": sys.argv,
        "commit": git.stdout.strip() or None,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }
