"""The folder of one run: its config, what it ran with, its metrics, its checkpoints. One run at a time writes to it."""

import fcntl
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

from sleepkd.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from sleepkd.config import Config, to_dict
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically

# What a run may go on with another value of: how it runs, not what it computes.
FREE_ON_RESUME = (
    "runs_root", "data.store", "data.workers", "data.prefetch", "data.pin_memory", "distill.cache_teacher",
    "train.device", "train.compile", "train.accumulate", "train.log_every", "train.timeout_minutes",
)  # fmt: skip


class RunDirectory:
    """Where a run writes. Only the first process writes; on the others every method does nothing.

    Raises UserError where the folder cannot be written or another run holds it. resumed_step: the last update of the
    checkpoint that the run goes on from; what was logged after it is dropped, to be logged again.
    """

    def __init__(self, config: Config, writes: bool, resumed_step: int):
        self.path = config.run_directory
        self.last, self.best, self.previous = (self.path / f"{name}.pt" for name in ("last", "best", "previous"))
        self._writes = writes
        if not writes:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.path)
            for litter in self.path.glob(".*.tmp"):  # of a process killed while saving
                litter.unlink()
            write_text_atomically(self.path / "config.yaml", yaml.safe_dump(to_dict(config), sort_keys=False))
            write_text_atomically(self.path / "environment.json", json.dumps(_environment(), indent=1) + "\n")
            self._metrics = _open_metrics(self.path / "metrics.jsonl", resumed_step)
            self._board = SummaryWriter(str(self.path), purge_step=resumed_step + 1)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None

    def log(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """One line of metrics.jsonl; its numbers go to TensorBoard as kind/name."""
        if not self._writes:
            return
        line = {"kind": kind, "step": step, "time": round(time.time(), 3), **values}
        try:
            self._metrics.write(json.dumps(line) + "\n")
            self._metrics.flush()
        except OSError as error:
            raise UserError(f"{self._metrics.name}: cannot be written: {error.strerror}") from None
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def image(self, name: str, step: int, picture_HWC: np.ndarray) -> None:
        """An image (H, W, 3) uint8 for TensorBoard."""
        if self._writes:
            self._board.add_image(name, picture_HWC, step, dataformats="HWC")

    def save_last(self, checkpoint: Checkpoint) -> None:
        """Write last.pt; the one before it stays as previous.pt."""
        if self._writes:
            save_checkpoint(self.last, checkpoint, keep=self.previous)

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Write best.pt."""
        if self._writes:
            save_checkpoint(self.best, checkpoint)

    def close(self) -> None:
        """Write out what is buffered and let go of the folder."""
        if self._writes:
            self._board.close()
            self._metrics.close()
            self._lock.close()


def resumable(config: Config) -> Checkpoint | None:
    """The run's last.pt if it has one.

    Raises UserError where it is damaged, naming the one before if that is good, or where it was trained with settings
    that this run has not.
    """
    last, previous = config.run_directory / "last.pt", config.run_directory / "previous.pt"
    if not last.is_file():
        return None
    try:
        checkpoint = read_checkpoint(last)
    except UserError as error:
        try:
            position = read_checkpoint(previous).position
        except UserError:
            raise error from None
        where = f"epoch {position.epoch}, update {position.update}"
        raise UserError(f"{last}: is damaged; {previous} is good ({where}): copy it over last.pt to go on") from None
    then, now = _flat(checkpoint.config), _flat(to_dict(config))
    free = FREE_ON_RESUME if config.train.schedule == "cosine" else (*FREE_ON_RESUME, "train.epochs")
    for key in now:
        if then.get(key) != now[key] and key not in free:
            raise UserError(
                f"{last}: holds a run with {key} = {then.get(key)}, this one asks for {now[key]}; "
                "give the old settings, another runs_root, or delete that folder"
            )
    return checkpoint


def _lock(folder: Path) -> Any:
    """Hold the folder until the returned file is closed or this process ends, however it ends."""
    file = (folder / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{folder}: another run is writing here; wait for it, or choose another runs_root") from None
    return file


def _open_metrics(path: Path, last_step: int) -> Any:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line)
        except ValueError:  # cut off by a kill
            continue
    write_text_atomically(path, "".join(f"{line}\n" for line in kept))
    return path.open("a", encoding="utf-8")


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
    packages = ("torch", "numpy", "scipy", "tensorboard", "PyYAML")
    return {
        "command": sys.argv,
        "commit": git.stdout.strip() or None,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }
