"""Sleep stages as annotations of an EDF+ file."""

from collections import Counter
from pathlib import Path

import mne

from sleepkd.cohorts.labels.scored import LabelLayout, ScoredFile, in_order, label_index
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.errors import UserError


def read_edf_annotations(path: Path, layout: LabelLayout, epoch_seconds: float) -> ScoredFile:
    """An EDF+ scoring file: each annotation is one sleep epoch, or a run of several of the same sleep stage.

    Annotations that `layout.labels` does not name are counted and ignored. Raises UserError where the file cannot be
    read or holds no sleep stage.
    """
    start = EdfFile(path).start()
    try:
        # MASS has non-ASCII bytes in its annotations; Latin-1 reads any byte.
        annotations = mne.read_annotations(path, encoding="latin1")
    except (ValueError, OSError, IndexError, RuntimeError, AssertionError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as EDF+: {error}") from None
    onsets, labels, durations = [], [], []
    ignored: Counter[str] = Counter()
    for onset, duration, text in zip(annotations.onset, annotations.duration, annotations.description, strict=True):
        if text.strip() not in layout.labels:
            ignored[str(text).strip()] += 1
            continue
        count = max(1, round(duration / epoch_seconds))
        length = duration / count if duration > 0 else epoch_seconds
        onsets += [onset + i * length for i in range(count)]
        durations += [length] * count
        labels += [label_index(layout.labels[text.strip()])] * count
    return ScoredFile(in_order(path, onsets, durations, labels, ignored), start, dict(ignored))
