"""Readers of heart beats that come with a recording: a format is a file here and a line in `BEATS`.

A reader is a function (path, layout) -> the times of R peaks (beats,) float64, s from the first sample of the
recording, in order and each once; the layout is what a dataset YAML says under `beats`: `BeatLayout`, or a class of its
own that adds to it. A file that it cannot read is a UserError that names the file.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.beats.found import BeatLayout
from sleepkd.cohorts.beats.table import TableLayout, read_beat_table
from sleepkd.cohorts.beats.wfdb import read_wfdb


class BeatFormat(NamedTuple):
    """How a format is read, and the keys that a dataset YAML may say of it."""

    read: Callable[..., np.ndarray]
    layout: type[BeatLayout] = BeatLayout


BEATS = {
    "wfdb": BeatFormat(read_wfdb),
    "table": BeatFormat(read_beat_table, TableLayout),
}

__all__ = ["BEATS", "BeatLayout"]
