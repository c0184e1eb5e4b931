"""Readers of signals: a format is one file here and one entry of `SIGNALS`.

A reader is a subclass of `SignalFile`, made of a path. It raises UserError, naming the file, for a file that it cannot
read.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sleepkd.cohorts.endings import format_by_ending
from sleepkd.cohorts.signals.derivation import Derivation, DerivedSignal
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.cohorts.signals.sample_times import LONGEST_SECONDS
from sleepkd.cohorts.signals.signal_file import SignalFile
from sleepkd.cohorts.signals.signal_table import SignalTable
from sleepkd.cohorts.signals.wfdb_record import WfdbRecord
from sleepkd.errors import UserError

HIGHEST_HZ = 1e6
"""A higher sampling rate is refused: the header is wrong."""


class SignalFormat(NamedTuple):
    """How a format of signals is read.

    reader: opens a file. endings: of file names, lower case, that the format claims if no dataset YAML names a format.
    takes_rate: whether the reader takes samples per second as a second argument (None: the file states them).
    """

    reader: Callable[..., SignalFile]
    endings: tuple[str, ...] = ()
    takes_rate: bool = False


SIGNALS: dict[str, SignalFormat] = {
    "edf": SignalFormat(EdfFile, (".edf", ".bdf", ".rec")),
    "wfdb": SignalFormat(WfdbRecord, (".hea",)),
    "table": SignalFormat(
        SignalTable, (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".npz", ".npy"), takes_rate=True
    ),
}


def signal_format(path: Path) -> str | None:
    """The format that claims the ending of a file's name; None: no format does."""
    return format_by_ending({name: entry.endings for name, entry in SIGNALS.items()}, path)


def open_signals(path: Path, format: str, rate_hz: float | None = None) -> SignalFile:
    """A file of signals, opened by a format of `SIGNALS`. Raises UserError for a file that the format cannot read.

    rate_hz: samples per second, for formats that do not state them. Raises UserError for absurd lengths and rates too,
    before samples are read.
    """
    entry = SIGNALS[format]
    file = entry.reader(path, rate_hz) if entry.takes_rate else entry.reader(path)
    if not 0 <= file.seconds <= LONGEST_SECONDS:
        raise UserError(f"{path}: lasts {file.seconds / 86400:.3g} days by its header or times: one of them is wrong")
    if not max(file.rates) <= HIGHEST_HZ:
        raise UserError(f"{path}: has {max(file.rates):.3g} samples per second by its header, which is wrong")
    return file


__all__ = [
    "SIGNALS",
    "Derivation",
    "DerivedSignal",
    "SignalFile",
    "SignalFormat",
    "open_signals",
    "signal_format",
]
