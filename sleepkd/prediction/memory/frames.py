"""Frames and series of pandas: samples, RR intervals or heart rate, by the names of the columns and by the times."""

from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepkd.cohorts.beats.beat_text import reported_beats
from sleepkd.cohorts.beats.choose_columns import choose_columns
from sleepkd.cohorts.beats.column_roles import column_name, role_of
from sleepkd.cohorts.beats.sniff_table import SniffedTable, sniff_table
from sleepkd.cohorts.beats.time_units import SECONDS_OF
from sleepkd.cohorts.clock import Start, start_of
from sleepkd.cohorts.ecg.detect import SLOWEST_HZ
from sleepkd.cohorts.recording import Recording
from sleepkd.cohorts.signals.sample_times import sample_times
from sleepkd.errors import UserError
from sleepkd.prediction.memory.arrays import checked_rate
from sleepkd.prediction.memory.signals_in_memory import SignalsInMemory

if TYPE_CHECKING:
    import pandas as pd

PATH = Path("the frame")
"""Its name in messages."""
UNNAMED = "value"
TIME = "time"


def as_frame(given: "pd.DataFrame | pd.Series") -> "pd.DataFrame":
    """A series as a frame, and the names of the columns as texts. Raises UserError for a frame without rows."""
    frame = given.to_frame() if given.ndim == 1 else given
    if not len(frame) or not frame.shape[1]:
        raise UserError(f"{PATH}: holds no rows or columns")
    names = [name if isinstance(name, str) else UNNAMED if frame.shape[1] == 1 else f"column {name}" for name in frame]
    return frame.set_axis(names, axis=1)


def index_seconds(frame: "pd.DataFrame") -> np.ndarray | None:
    """The times of the rows (rows,), s, from the first one; numbers without a unit are as they are; None without times.

    An index of dates, of durations, of fractions, or of numbers whose name is that of a time, holds times.
    """
    import pandas as pd

    index = frame.index
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        if index.hasnans:
            raise UserError(f"{PATH}: its index has {int(index.isna().sum())} missing times (NaT); drop these rows")
        return ((index - index[0]) / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64)
    if index.dtype.kind == "f" or (index.dtype.kind in "iu" and role_of(str(index.name or "")) == "time"):
        return index.to_numpy(dtype=np.float64) * SECONDS_OF[_unit(index) or "s"]
    return None


def _unit(index: "pd.Index") -> str:
    """The unit of time that the name of an index states, "" for none."""
    return column_name(str(index.name or "")).unit


def frame_holds_beats(frame: "pd.DataFrame", fs: float | None, channel: str = "") -> bool:
    """Whether a frame holds RR intervals or heart rates rather than samples.

    The names of the columns decide, or that of the chosen one. Without telling names, rows at the rate of an ECG or
    with a given rate are samples.
    """
    roles = [role_of(name) for name in frame if not channel or name.lower() == channel.lower()]
    if {"interval", "rate", "beat"} & set(roles):
        return "ecg" not in roles
    if fs is not None or "ecg" in roles:
        return False
    seconds = index_seconds(frame)
    return seconds is None or not np.median(np.diff(seconds)) < 1 / SLOWEST_HZ


def beats_of_frame(frame: "pd.DataFrame", fs: float | None, channel: str = "") -> Recording:
    """The heartbeats of a frame of RR intervals or heart rates, read as the same table in a file.

    fs: rows per second of heart rates without times. channel: the column; "" recognises it. Raises UserError for
    columns that hold no beats, that differ, or that are of several people.
    """
    rate_hz = 0.0 if fs is None else checked_rate(fs)
    try:
        table = _as_table(frame)
        columns, chosen = choose_columns(table, channel, rate_hz)
        read = reported_beats(PATH, table, columns, chosen.column_uses, tuple(chosen.notes))
    except UserError as error:
        raise UserError(f"{PATH}: {str(error).removeprefix(f'{PATH}: ')}") from None
    times = read.times
    return Recording(
        PATH,
        float(times[-1]),
        beats=times,
        cadence_s=read.cadence_s,
        start=read.start,
        beat_report=read.report,
        remarks=tuple(read.report.notes) if read.report else (),
    )


def signals_of_frame(frame: "pd.DataFrame", fs: float | None) -> SignalsInMemory:
    """The columns of numbers of a frame of samples; samples are missing where the times of the rows jump.

    fs: samples per second; None takes it from the times. Raises UserError: neither, times that fall, or of another
    rate.
    """
    import pandas as pd

    numbers = frame.select_dtypes("number")
    seconds, rate_hz = index_seconds(frame), None if fs is None else checked_rate(fs)
    if seconds is None:
        if rate_hz is None:
            raise UserError(
                f"{PATH}: has no index of times; give fs, samples per second, or set_index a column of times"
            )
        times = None
    else:
        known = isinstance(frame.index, pd.DatetimeIndex | pd.TimedeltaIndex) or _unit(frame.index)
        try:
            times = sample_times(seconds, (), "s" if known else "", rate_hz)
        except UserError as error:
            raise UserError(f"{PATH}: {error}") from None
        rate_hz = times.rate_hz

    def read(index: int) -> np.ndarray:
        samples = numbers.iloc[:, index].to_numpy(dtype=np.float64, na_value=np.nan)
        return samples if times is None else times.placed(samples)

    labels, count = list(numbers), numbers.shape[1]
    return SignalsInMemory(PATH, labels, [rate_hz or 0.0] * count, [""] * count, read, _start(frame.index))


def _start(index: "pd.Index") -> Start | None:
    """The date and time of the first row, if the index has dates."""
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        return None
    first = index[0].to_pydatetime(warn=False)
    start = start_of(first.replace(tzinfo=None))
    utc = first.tzinfo is not None and str(first.tzinfo) == str(UTC)
    return replace(start, zone="UTC") if utc else start


def _as_table(frame: "pd.DataFrame") -> SniffedTable:
    """A frame as the table of a text file, its index as the column "time" if it holds times."""
    import pandas as pd

    seconds, index = index_seconds(frame), frame.index
    if seconds is not None:
        dated, known = isinstance(index, pd.DatetimeIndex), isinstance(index, pd.TimedeltaIndex) or _unit(index)
        times = [str(moment) for moment in index] if dated else seconds
        frame = frame.copy(deep=False)
        frame.insert(0, f"{TIME} (s)" if known else TIME, times, allow_duplicates=True)
    text = frame.to_csv(sep="\t", index=False)
    return sniff_table(text.splitlines(), "\t")
