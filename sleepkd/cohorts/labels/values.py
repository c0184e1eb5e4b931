"""Sleep stages as text, a value per line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.cohorts.labels.scored import LabelLayout, ScoredFile, label_index
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
        require(divides, "scoring.value_seconds", "must divide epoch_seconds where scoring.format is values")


def read_values(path: Path, layout: ValuesLayout, epoch_seconds: float) -> ScoredFile:
    """A text file with one value per line for every `value_seconds`, from the first sample of the recording on.

    A sleep epoch of `epoch_seconds` whose values differ is unscored; one cut off at the end is dropped.
    Raises UserError where a value has no sleep stage or the file is too short.
    """
    try:
        lines = path.read_text(encoding="latin1").split("\n")[layout.header_lines :]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    values = [line.strip() for line in lines if line.strip()]
    unknown = sorted(set(values) - layout.labels.keys())
    if unknown:
        raise UserError(f"{path}: value {unknown[0]!r} has no sleep stage in scoring.labels")
    per_epoch = round(epoch_seconds / layout.value_seconds)
    n = len(values) // per_epoch
    if n == 0:
        raise UserError(f"{path}: holds {len(values)} values, fewer than one sleep epoch")
    labels_NV = np.array([label_index(layout.labels[v]) for v in values[: n * per_epoch]]).reshape(n, per_epoch)
    agree = (labels_NV == labels_NV[:, :1]).all(axis=1)
    hypnogram = Hypnogram(
        onset_s=np.arange(n) * epoch_seconds,
        duration_s=np.full(n, epoch_seconds),
        labels=np.where(agree, labels_NV[:, 0], UNSCORED).astype(np.int8),
    )
    return ScoredFile(hypnogram, None, {})
