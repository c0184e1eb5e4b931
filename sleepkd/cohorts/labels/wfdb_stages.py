"""Sleep stages as PhysioNet annotations (WFDB), as in the .st files of slpdb and the .arousal files of CinC 2018."""

from pathlib import Path

from sleepkd.cohorts.labels.marks import as_sleep_epochs
from sleepkd.cohorts.labels.scored import LabelLayout, Mark, ScoredFile
from sleepkd.cohorts.wfdb_annotations import read_annotations


def read_wfdb_stages(path: Path, layout: LabelLayout, epoch_seconds: float) -> ScoredFile:
    """Each annotation whose text begins with a word of `layout.labels` starts a sleep epoch.

    What follows that word (apneas, leg movements) is ignored. Sleep epochs lie at the times of their annotations; with
    `changes_only` each lasts until the next. A night that is scored from its start begins at sample 1, because the
    format reserves sample 0. Raises UserError for a file that cannot be read or holds no sleep stage.
    """
    marks = []
    for onset, symbol, text in zip(*read_annotations(path), strict=True):
        word = text.split()[0] if text.split() else symbol
        marks.append(Mark(float(onset), 0.0, word if word in layout.labels else text or symbol))
    return as_sleep_epochs(path, marks, layout, epoch_seconds)
