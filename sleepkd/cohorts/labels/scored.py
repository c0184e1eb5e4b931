"""What readers of scoring files share: what a dataset YAML says of the labels, and what a file says of the night."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.clock import Clock, Start
from sleepkd.config import require
from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED, UNSCORED_NAME, Hypnogram
from sleepkd.errors import UserError


@dataclass(frozen=True)
class LabelLayout:
    """Where the labels are and how they are written.

    files: beside the signals, or as a path from the raw folder; the first that exists. {name} as in `Cohort.signals`.
    labels: what the file says -> W, N1, N2, N3, REM or unscored. format: a key of `LABELS`. clock: how the scoring's
    time is that of the signals, see clock.py. changes_only: a sleep stage is written only where it begins.
    """

    files: tuple[str, ...]
    labels: dict[str, str]
    format: str = "edf_annotations"
    clock: Clock = "date_and_time"
    changes_only: bool = False

    def check(self, epoch_seconds: Sequence[float]) -> None:
        """Refuse impossible values by key; epoch_seconds: every length of sleep epochs in the cohort."""
        for text, stage in self.labels.items():
            known = stage in (*SLEEP_STAGES, UNSCORED_NAME)
            require(known, f"scoring.labels.{text}", f"{stage!r} is none of {', '.join(SLEEP_STAGES)}, unscored")


class Mark(NamedTuple):
    """A line of a scoring file. duration_s: 0 where the file gives none."""

    onset_s: float
    duration_s: float
    text: str


class ScoredFile(NamedTuple):
    """What a scoring file says.

    start: when it begins, None where onsets count from the first sample of the signals. ignored: what it holds besides
    sleep stages. remarks: what is odd about it, "WARNING: …" where a person should look at it.
    """

    hypnogram: Hypnogram
    start: Start | None
    ignored: dict[str, int]
    remarks: tuple[str, ...] = ()


def label_index(stage: str) -> int:
    """The label of a sleep stage's name, `UNSCORED` for "unscored"."""
    return UNSCORED if stage == UNSCORED_NAME else SLEEP_STAGES.index(stage)


def in_order(
    path: Path, onsets: Sequence[float], durations: Sequence[float], labels: Sequence[int], ignored: Counter[str]
) -> Hypnogram:
    """The sleep epochs of a file by their onset. Raises UserError where there is none, or two begin at once."""
    if not len(onsets):
        seen = ", ".join(repr(text) for text, _ in ignored.most_common(3)) or "none at all"
        raise UserError(f"{path}: holds no sleep stage; its annotations: {seen}")
    order = np.argsort(onsets, kind="stable")
    try:
        return Hypnogram(np.array(onsets)[order], np.array(durations)[order], np.array(labels, dtype=np.int8)[order])
    except ValueError:
        raise UserError(f"{path}: two sleep stages begin at the same time") from None
