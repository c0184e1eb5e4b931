"""Readers of scoring files: a format is a file here and a line in `LABELS`.

A reader is a function (path, layout, epoch_seconds) -> `ScoredFile`; the layout is what a dataset YAML says under
`scoring`: `LabelLayout`, or a class of its own that adds to it. A file that it cannot read, or that holds no sleep
stage, is a UserError that names the file.
"""

from collections.abc import Callable
from typing import NamedTuple

from sleepkd.cohorts.labels.edf_annotations import read_edf_annotations
from sleepkd.cohorts.labels.nsrr_xml import read_nsrr_xml
from sleepkd.cohorts.labels.scored import LabelLayout, ScoredFile
from sleepkd.cohorts.labels.table import TableLayout, read_stage_table
from sleepkd.cohorts.labels.values import ValuesLayout, read_values
from sleepkd.cohorts.labels.wfdb import read_wfdb


class LabelFormat(NamedTuple):
    """How a format is read, and the keys that a dataset YAML may say of it."""

    read: Callable[..., ScoredFile]
    layout: type[LabelLayout] = LabelLayout


LABELS = {
    "edf_annotations": LabelFormat(read_edf_annotations),
    "values": LabelFormat(read_values, ValuesLayout),
    "table": LabelFormat(read_stage_table, TableLayout),
    "nsrr_xml": LabelFormat(read_nsrr_xml),
    "wfdb": LabelFormat(read_wfdb),
}

__all__ = ["LABELS", "LabelLayout", "ScoredFile"]
