"""What readers of scoring files share: what a dataset YAML says of the labels, and what a file says of the night."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sleepkd.cohorts.clock import Clock, Start
from sleepkd.config import require
from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED, UNSCORED_NAME, Hypnogram


@dataclass(frozen=True)
class LabelLayout:
    """Where the labels are and how they are written.

    files: beside the signals, or as a path from the raw folder; the first that exists. {name} as in `Cohort.signals`.
    others: the files of further scorers of the same nights, all that exist; the same format.
    labels: what the file says -> W, N1, N2, N3, REM or unscored. format: a key of `LABELS`. clock: how the scoring's
    time is that of the signals, see clock.py. changes_only: a sleep stage is written only where it begins.
    """

    files: tuple[str, ...]
    labels: dict[str, str]
    format: str = "edf_annotations"
    clock: Clock = "date_and_time"
    changes_only: bool = False
    others: tuple[str, ...] = ()

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
    sleep stages. remarks: what is odd about it, "WARNING: …" where a person should look at it. to_the_end: the last
    sleep stage lasts as long as the signals do.
    """

    hypnogram: Hypnogram
    start: Start | None
    ignored: dict[str, int]
    remarks: tuple[str, ...] = ()
    to_the_end: bool = False


def label_index(stage: str) -> int:
    """The label of a sleep stage's name, `UNSCORED` for "unscored"."""
    return UNSCORED if stage == UNSCORED_NAME else SLEEP_STAGES.index(stage)
