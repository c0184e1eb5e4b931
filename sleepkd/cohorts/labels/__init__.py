"""Readers of scoring files: a format is one file here and one entry of `LABELS`.

A reader is a function (path, layout, epoch_seconds) -> `ScoredFile`. The layout is the section `scoring` of a dataset
YAML: `LabelLayout`, or a subclass with more keys. It raises UserError, naming the file, for a file that it cannot read
or that holds no sleep stage.
"""

from collections.abc import Callable
from typing import NamedTuple

from sleepkd.cohorts.labels.edf_annotations import read_edf_annotations
from sleepkd.cohorts.labels.mat_file import MatLayout, read_mat
from sleepkd.cohorts.labels.nsrr_xml import read_nsrr_xml
from sleepkd.cohorts.labels.scored import LabelLayout, ScoredFile
from sleepkd.cohorts.labels.stage_column import StageColumnLayout, read_stage_column
from sleepkd.cohorts.labels.stage_table import StageTableLayout, read_stage_table
from sleepkd.cohorts.labels.values import ValuesLayout, read_values
from sleepkd.cohorts.labels.wfdb_stages import read_wfdb_stages


class LabelFormat(NamedTuple):
    """How a format of labels is read. read: the reader. layout: the keys of a dataset YAML's `scoring`."""

    read: Callable[..., ScoredFile]
    layout: type[LabelLayout] = LabelLayout


LABELS: dict[str, LabelFormat] = {
    "edf_annotations": LabelFormat(read_edf_annotations),
    "values": LabelFormat(read_values, ValuesLayout),
    "table": LabelFormat(read_stage_table, StageTableLayout),
    "sample_column": LabelFormat(read_stage_column, StageColumnLayout),
    "mat": LabelFormat(read_mat, MatLayout),
    "nsrr_xml": LabelFormat(read_nsrr_xml),
    "wfdb": LabelFormat(read_wfdb_stages),
}

__all__ = ["LABELS", "LabelFormat", "LabelLayout", "ScoredFile"]
