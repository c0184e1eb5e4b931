"""Sleep stages as annotations of an EDF+ file."""

from pathlib import Path

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.edf.records import EdfRecords
from sleepkd.cohorts.labels.marks import as_sleep_epochs
from sleepkd.cohorts.labels.scored import LabelLayout, Mark, ScoredFile
from sleepkd.cohorts.remarks import WARNING


def read_edf_annotations(path: Path, layout: LabelLayout, epoch_seconds: float) -> ScoredFile:
    """An EDF+ scoring file: each annotation is one sleep epoch, or a run of epochs of one sleep stage.

    Gaps between its records do not matter, because annotations have times of their own.
    Raises UserError for a file that cannot be read or holds no sleep stage.
    """
    records = EdfRecords(path)
    marks = [Mark(*annotation) for annotation in records.annotations]
    scored = as_sleep_epochs(path, marks, layout, epoch_seconds)
    remarks = scored.remarks
    if records.unreadable:
        remarks += (f"{WARNING}{records.unreadable} annotations cannot be read (no onset, or a negative duration)",)
    return scored._replace(start=Start(records.header.date, records.header.time), remarks=remarks)
