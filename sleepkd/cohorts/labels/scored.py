"""What readers of scoring files share: the section `scoring` of a dataset YAML, and the content of a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sleepkd.cohorts.clock import Clock, Start
from sleepkd.config import require
from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED, UNSCORED_NAME, Hypnogram


@dataclass(frozen=True)
class LabelLayout:
    """The section `scoring` of a dataset YAML: the files of the labels and how they are written.

    files: templates of names beside the signals, or of paths from the raw folder; the first that exists is read. {name}
    is a group of `Cohort.files`.
    others: templates for further scorers of the same nights, in the same format; all that exist are read.
    labels: text in the file -> W, N1, N2, N3, REM or unscored.
    format: a key of `LABELS`.
    clock: how the times of scoring and signals are aligned, see clock.py.
    changes_only: a sleep stage is written only where it begins.
    """

    files: tuple[str, ...]
    labels: dict[str, str]
    format: str = "edf_annotations"
    clock: Clock = "date_and_time"
    changes_only: bool = False
    others: tuple[str, ...] = ()

    def check(self, epoch_seconds: Sequence[float]) -> None:
        """Raise UserError for impossible values. epoch_seconds: every length of sleep epochs in the cohort."""
        for text, stage in self.labels.items():
            known = stage in (*SLEEP_STAGES, UNSCORED_NAME)
            require(known, f"scoring.labels.{text}", f"{stage!r} is none of {', '.join(SLEEP_STAGES)}, unscored")


class Mark(NamedTuple):
    """A line of a scoring file. duration_s: 0 if the file gives none."""

    onset_s: float
    duration_s: float
    text: str


class ScoredFile(NamedTuple):
    """The content of a scoring file.

    start: when it begins; None: onsets count from the first sample of the signals. ignored: texts that are no sleep
    stages, and how often each occurs. remarks: what is odd, with "WARNING: " before what a person should look at.
    to_the_end: the last sleep stage lasts until the end of the signals.
    """

    hypnogram: Hypnogram
    start: Start | None
    ignored: dict[str, int]
    remarks: tuple[str, ...] = ()
    to_the_end: bool = False


def label_index(stage: str) -> int:
    """The label of a sleep stage by its name; `UNSCORED` for "unscored"."""
    return UNSCORED if stage == UNSCORED_NAME else SLEEP_STAGES.index(stage)
