"""The folder of a run: config, environment, metrics, checkpoints. One run at a time writes to it."""

import json
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import yaml

from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from sleepkd.config import to_dict
from sleepkd.data.inputs import InputSpec
from sleepkd.data.stage_inputs import input_spec, resolve
from sleepkd.errors import UserError
from sleepkd.extras import require_extra
from sleepkd.files import lock_folder, write_text_atomically
from sleepkd.provenance import environment
from sleepkd.settings import Config, config_of, result_settings


class RunDirectory:
    """Writes a run's files. Only the first process writes; on the others every method does nothing.

    resumed_step: the last update of the checkpoint that the run resumes; later log lines are dropped and logged again.
    Raises UserError where the folder cannot be written or another run holds it.
    """

    def __init__(self, path: Path, config: dict[str, Any], writes: bool, resumed_step: int):
        self.path = path
        self.last, self.best, self.previous = (self.path / f"{name}.pt" for name in ("last", "best", "previous"))
        self._writes = writes
        if not writes:
            return
        require_extra("tensorboard", "train", "training")
        from torch.utils.tensorboard import SummaryWriter  # here: the studies import this module and log nothing

        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = lock_folder(self.path, "choose another runs_root")
            for temporary in self.path.glob(".*.tmp"):  # of a process that was killed while saving
                temporary.unlink()
            self._metrics = _open_metrics(self.path / "metrics.jsonl", resumed_step)
            self._board = SummaryWriter(str(self.path), purge_step=resumed_step + 1)
            write_text_atomically(self.path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
            write_text_atomically(self.path / "environment.json", json.dumps(environment(), indent=1) + "\n")
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
        """Write last.pt; the previous one becomes previous.pt."""
        if self._writes:
            save_checkpoint(self.last, checkpoint, keep=self.previous)

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Write best.pt."""
        if self._writes:
            save_checkpoint(self.best, checkpoint)

    def close(self) -> None:
        """Flush the logs and release the folder."""
        if self._writes:
            self._board.close()
            self._metrics.close()
            self._lock.close()


def resumable(config: Config) -> Checkpoint | None:
    """The last.pt of a run directory, or None before the first one is saved.

    Raises UserError where it is damaged, naming previous.pt if that is good, or where its settings differ from these.
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
        raise UserError(f"{last}: is damaged; {previous} is good ({where}): copy it over last.pt to resume") from None
    inputs = input_spec(checkpoint.inputs, f"{last}: inputs")
    then = result_settings(config_of(checkpoint.config)) | _flat(inputs)
    now = result_settings(config) | _flat(_resolved_as(inputs, config))
    for key in dict.fromkeys((*now, *then)):
        if then.get(key) != now.get(key) and not (key == "train.epochs" and now["train.schedule"] != "cosine"):
            raise UserError(
                f"{last}: holds a run with {key} = {then.get(key)}, this one asks for {now.get(key)}; "
                "use the old settings or another runs_root, or delete that folder"
            )
    return checkpoint


def _resolved_as(then: InputSpec, config: Config) -> InputSpec:
    """The inputs of a config. A rate that it leaves to the store is taken from the inputs `then`."""
    inputs = config.stage.inputs
    by_store = [name for name, item in resolve(inputs, config.data, rate_hz=0.0).items() if not item.rate]
    rates = {name: {**inputs[name], "rate": then[name].rate} for name in by_store if name in then}
    return resolve(inputs | rates, config.data, rate_hz=0.0)


def _flat(inputs: InputSpec) -> dict[str, Any]:
    """The fields of inputs by dotted key."""
    return {f"stage.inputs.{name}.{key}": x for name, item in inputs.items() for key, x in to_dict(item).items()}


def _open_metrics(path: Path, last_step: int) -> TextIO:
    """The log, opened to append, without the lines after `last_step`."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = []
    for line in lines:
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line)
        except ValueError:  # truncated by a kill
            continue
    write_text_atomically(path, "".join(f"{line}\n" for line in kept))
    return path.open("a", encoding="utf-8")
