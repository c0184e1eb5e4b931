"""Sleep stages as PhysioNet annotations (WFDB), as in the .st files of slpdb and the .arousal files of CinC 2018."""

from pathlib import Path

from sleepkd.cohorts.labels.marks import sleep_epochs
from sleepkd.cohorts.labels.scored import LabelLayout, Mark, ScoredFile
from sleepkd.cohorts.wfdb_annotations import read_annotations


def read_wfdb(path: Path, layout: LabelLayout, epoch_seconds: float) -> ScoredFile:
    """Each annotation whose text begins with a word of `layout.labels` is a sleep epoch from there on.

    What follows that word (apneas, leg movements) is left aside. Sleep epochs lie where their annotations do, whether
    or not one is missing between two; with `changes_only` each lasts until the next. A night scored from its start
    begins at sample 1, since the format keeps notes at sample 0 for itself. Raises UserError where the file cannot be
    read or holds no sleep stage.
    """
    marks = []
    for onset, symbol, text in zip(*read_annotations(path), strict=True):
        word = text.split()[0] if text.split() else symbol
        marks.append(Mark(float(onset), 0.0, word if word in layout.labels else text or symbol))
    return sleep_epochs(path, marks, layout, epoch_seconds)
