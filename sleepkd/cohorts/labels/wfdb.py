"""Sleep stages as PhysioNet annotations (WFDB), as in the .st files of the MIT-BIH Polysomnographic Database."""

from collections import Counter
from pathlib import Path

from sleepkd.cohorts.labels.scored import LabelLayout, ScoredFile, in_order, label_index
from sleepkd.cohorts.wfdb_annotations import read_annotations


def read_wfdb(path: Path, layout: LabelLayout, epoch_seconds: float) -> ScoredFile:
    """Each annotation whose text begins with a word of `layout.labels` is a sleep epoch from there on.

    What follows that word (apneas, leg movements) is left aside. Sleep epochs lie where their annotations do, whether
    or not one is missing between two. A night scored from its start begins at sample 1, since the format keeps notes at
    sample 0 for itself. Raises UserError where the file cannot be read or holds no sleep stage.
    """
    onsets, labels = [], []
    ignored: Counter[str] = Counter()
    for onset, symbol, text in zip(*read_annotations(path), strict=True):
        word = text.split()[0] if text.split() else symbol
        if word in layout.labels:
            onsets.append(float(onset))
            labels.append(label_index(layout.labels[word]))
        else:
            ignored[text or symbol] += 1
    hypnogram = in_order(path, onsets, [float(epoch_seconds)] * len(onsets), labels, ignored)
    return ScoredFile(hypnogram, None, dict(ignored))
