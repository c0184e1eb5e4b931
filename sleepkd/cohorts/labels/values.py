"""Sleep stages as text, one value per line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.cohorts.labels.scored import LabelLayout, ScoredFile, label_index
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.text import read_lines
from sleepkd.config import require
from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.errors import UserError


@dataclass(frozen=True)
class ValuesLayout(LabelLayout):
    """One value for every `value_seconds`, after `header_lines`."""

    value_seconds: float = 0.0
    header_lines: int = 0

    def check(self, epoch_seconds: Sequence[float]) -> None:
        """As `LabelLayout.check`."""
        super().check(epoch_seconds)
        divides = self.value_seconds > 0 and not any(length % self.value_seconds for length in epoch_seconds)
        require(divides, "scoring.value_seconds", "must divide epoch_seconds")


def read_values(path: Path, layout: ValuesLayout, epoch_seconds: float) -> ScoredFile:
    """A text file with one value per line for every `value_seconds`, from the first sample of the recording.

    A blank line between values counts as unscored. So does a sleep epoch of `epoch_seconds` whose values differ. One
    that is cut off at the end is dropped.
    Raises UserError for a value without a sleep stage, and for less than one sleep epoch.
    """
    lines = read_lines(path)[layout.header_lines :]
    values = [line.strip(" \t\"',;") for line in lines]
    for number, value in enumerate(values, layout.header_lines + 1):
        if value and value not in layout.labels:
            raise UserError(f"{path}: line {number}: value {value!r} has no sleep stage in scoring.labels")
    blank = values.count("")
    remarks = (f"{WARNING}{blank} blank lines between values count as unscored",) if blank else ()
    per_epoch = round(epoch_seconds / layout.value_seconds)
    n = len(values) // per_epoch
    if n == 0:
        raise UserError(f"{path}: holds {len(values)} values, fewer than one sleep epoch")
    of_value = {"": UNSCORED} | {value: label_index(stage) for value, stage in layout.labels.items()}
    labels_NV = np.array([of_value[value] for value in values[: n * per_epoch]]).reshape(n, per_epoch)
    agree = (labels_NV == labels_NV[:, :1]).all(axis=1)
    hypnogram = Hypnogram(
        onset_s=np.arange(n) * epoch_seconds,
        duration_s=np.full(n, epoch_seconds),
        labels=np.where(agree, labels_NV[:, 0], UNSCORED).astype(np.int8),
    )
    return ScoredFile(hypnogram, None, {}, remarks)
