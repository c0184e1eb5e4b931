"""Readers of heartbeats that come with a recording: a format is one file here and one entry of `BEATS`.

A reader is a function (path, layout) -> `BeatTimes`: the times of R peaks, s from the first sample of the recording,
and the cadence of the averaged heart rate that they were made from, if they were. The layout is the section `beats` of
a dataset YAML: `BeatLayout`, or a subclass with more keys. It raises UserError, naming the file,
for a file that it cannot read.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sleepkd.cohorts.beats.apple_health import read_apple_days, read_apple_health
from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes
from sleepkd.cohorts.beats.beat_table import BeatTableLayout, read_beat_table
from sleepkd.cohorts.beats.beat_text import BeatTextLayout, read_beat_text, text_holds_beats
from sleepkd.cohorts.beats.fit_file import read_fit
from sleepkd.cohorts.beats.rate_days import RateDays
from sleepkd.cohorts.beats.wfdb_beats import read_wfdb_beats
from sleepkd.cohorts.endings import format_by_ending


def _always(path: Path, column: str, rate_hz: float | None) -> bool:
    return True


class BeatFormat(NamedTuple):
    """How a format of heartbeats is read.

    read: the reader. layout: the keys of a dataset YAML's `beats`.
    endings: of file names, lower case, that the format claims when no dataset YAML names a format.
    recognizes: whether a file of such an ending holds heartbeats rather than samples, for the column and the samples
    per second that a user states ("" and None without).
    takes_column: whether the layout has `column` and `rate_hz`, for what a user states.
    days: reads the heart rate of a file of days or years, of which `read` returns the last night; None: see `read`.
    """

    read: Callable[..., BeatTimes]
    layout: type[BeatLayout] = BeatLayout
    endings: tuple[str, ...] = ()
    recognizes: Callable[[Path, str, float | None], bool] = _always
    takes_column: bool = False
    days: Callable[[Path], RateDays] | None = None


TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
BEATS: dict[str, BeatFormat] = {
    "wfdb": BeatFormat(read_wfdb_beats),
    "table": BeatFormat(read_beat_table, BeatTableLayout),  # columns as the YAML names them
    "text": BeatFormat(
        read_beat_text, BeatTextLayout, TEXT_ENDINGS, text_holds_beats, takes_column=True
    ),  # columns recognised
    "apple_health": BeatFormat(read_apple_health, endings=(".xml", ".xml.gz", ".zip"), days=read_apple_days),
    "fit": BeatFormat(read_fit, endings=(".fit",)),
}
DEFAULT_BEAT_FORMAT = "text"
"""Of files that are known to hold heartbeats and whose ending no format claims."""


def beat_format(path: Path, holds_beats: bool = False, column: str = "", rate_hz: float | None = None) -> str | None:
    """The format of a file of heartbeats, by the ending of its name and by its first lines; None for another file.

    holds_beats: the file is known to hold heartbeats. column, rate_hz: as for `BeatFormat.recognizes`.
    Raises UserError for a file that may hold either.
    """
    name = format_by_ending({name: entry.endings for name, entry in BEATS.items()}, path)
    if holds_beats:
        return name or DEFAULT_BEAT_FORMAT
    return name if name is not None and BEATS[name].recognizes(path, column, rate_hz) else None


__all__ = ["BEATS", "DEFAULT_BEAT_FORMAT", "BeatFormat", "BeatLayout", "BeatTimes", "beat_format"]
