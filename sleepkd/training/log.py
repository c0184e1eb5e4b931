"""The log of a training run: losses of every update, validation scores, the progress bar."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sleepkd.checkpoints.checkpoint import Position
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.segments import Batch, Segments
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.progress import Progress
from sleepkd.settings import Config
from sleepkd.training.confusion_image import confusion_image
from sleepkd.training.run_directory import RunDirectory
from sleepkd.training.state import TrainingState

UNLABELLED = "unlabelled_"
"""Prefix of a logged value: the share of unscored sleep epochs that the student assigns to each class."""


class TrainingLog:
    """Losses of the updates since the last report, kept on the device, and where they are written.

    Reading them synchronises with the device. It is done every `train.log_every` updates, by all processes together.
    """

    def __init__(
        self, config: Config, segments: Segments, directory: RunDirectory, processes: Processes, updates: int, done: int
    ):
        self._config, self._segments, self._directory, self._processes = config, segments, directory, processes
        total = config.train.epochs * updates
        self.progress = Progress(config.stage.name, total, "update", done, shown=processes.is_first)
        self._facts: dict[str, str] = {}
        self._has_unlabelled = not all(night.has_labels for night in segments.nights)
        self.begin_epoch()

    def begin_epoch(self) -> None:
        """Start the clocks of a training epoch, and forget updates that were not reported."""
        self._saved_at = time.monotonic()
        self.reset()

    def seconds_since_last(self) -> float:
        """Seconds of training since the last call, or since the training epoch began."""
        before, self._saved_at = self._saved_at, time.monotonic()
        return self._saved_at - before

    def reset(self) -> None:
        """Forget the updates since the last report."""
        self._update: Tensor | None = None
        self._updates: list[Tensor] = []
        self._rows: list[np.ndarray] = []
        self._sleep_epochs = 0
        self._since = time.monotonic()

    def add(self, values: dict[str, Tensor], logits: Tensor, batch: Batch) -> None:
        """Add one micro-batch's share of the losses of an update: scalars by name, always the same names."""
        values = {**values, **self._unlabelled(logits, batch)}
        self._names = tuple(values)
        shares = torch.stack([value.detach() for value in values.values()])
        self._update = shares if self._update is None else self._update + shares

    def end_update(self, rows: np.ndarray) -> None:
        """Close an update of these segments, on all processes together."""
        if self._update is None:
            raise RuntimeError("an update without a micro-batch")
        self._updates.append(self._update)
        self._rows.append(rows)
        self._sleep_epochs += int(self._segments.table.present[rows].sum())
        self._update = None
        self.progress.advance()

    def report(self, state: TrainingState, step: int, gradient_norm: Tensor) -> None:
        """Write means over the updates since the last report. step: updates done.

        Raises UserError naming recordings where a loss is not finite.
        """
        values_UT = self._processes.sum(torch.stack(self._updates)).double().cpu()
        broken = torch.nonzero(~torch.isfinite(values_UT).all(dim=1)).flatten().tolist()
        if broken:
            raise UserError(self._non_finite(self._rows[broken[0]], step))
        values = dict(zip(self._names, values_UT.mean(dim=0).tolist(), strict=True))
        values["sleep_epochs_per_second"] = self._sleep_epochs / (time.monotonic() - self._since)
        unlabelled = {name: value for name, value in values.items() if name.startswith(UNLABELLED)}
        total = sum(unlabelled.values()) or 1.0
        values |= {name: value / total for name, value in unlabelled.items()}
        values["gradient_norm"] = gradient_norm.item()
        values["learning_rate"] = state.optimizer.param_groups[0]["lr"]
        values |= {f"learning_rate_{i}": group["lr"] for i, group in enumerate(state.optimizer.param_groups[1:], 1)}
        if state.scaler.is_enabled():  # updates that overflowed in fp16 were skipped: not an error, but worth seeing
            taken = max((int(entry["step"]) for entry in state.optimizer.state.values()), default=0)
            values |= {"loss_scale": state.scaler.get_scale(), "skipped_updates": step - taken}
        self._directory.log("train", step, {"epoch": state.position.epoch, **values})
        self.show(loss=f"{values['loss']:.4f}")
        self.reset()

    def validation(self, result: dict[str, Any], step: int, epoch: int) -> None:
        """Write the scores of a validation, and its confusion matrix as an image."""
        self._directory.log("validation", step, {"epoch": epoch, **result})
        picture = confusion_image(np.array(result["confusion"]), CLASS_NAMES[self._config.data.classes])
        self._directory.image("validation/confusion", step, picture)
        self.show(validation_loss=f"{result['loss']:.4f}", weighted_f1=f"{result['weighted_f1']:.3f}")

    def stopped(self, step: int) -> None:
        """Close the log of a run that was asked to stop after so many updates."""
        self._close(f"stopped after update {step}; the same command resumes from {self._directory.last}")

    def finished(self, position: Position) -> None:
        """Close the log of a finished run."""
        minutes = position.seconds / 60
        self._close(f"{self._config.stage.name}: trained in {minutes:.1f} min; {self._directory.path}")

    def _close(self, line: str) -> None:
        self.progress.close()
        self._directory.close()
        if self._processes.is_first:
            print(line, flush=True)

    def show(self, **facts: str) -> None:
        """Show these values beside the progress bar."""
        self._facts |= facts
        self.progress.show(**self._facts)

    def _unlabelled(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Unscored sleep epochs that the student assigns to each class; {} if all recordings are labelled."""
        if not self._has_unlabelled:
            return {}
        names: Sequence[str] = CLASS_NAMES[self._config.data.classes]
        unscored = logits.argmax(dim=-1)[batch.present & (batch.labels == UNSCORED)]
        counts = torch.bincount(unscored, minlength=len(names)).to(torch.float32)
        return {f"{UNLABELLED}{name}": count for name, count in zip(names, counts, strict=True)}

    def _non_finite(self, rows: np.ndarray, step: int) -> str:
        """The message for a loss that is not finite: the recordings of that update, and the checkpoint before it."""
        nights = sorted({self._segments.nights[i].info.recording for i in self._segments.table.night[rows]})
        named = ", ".join(nights[:8]) + (f" and {len(nights) - 8} more" if len(nights) > 8 else "")
        last = self._directory.last
        left = f"{last} holds the state before" if last.is_file() else "nothing was saved yet"
        return (
            f"the loss is not finite by update {step}, in a batch of recordings {named}; {left}; look at those "
            "recordings, lower train.learning_rate, set train.clip_norm or train.precision=fp32"
        )
