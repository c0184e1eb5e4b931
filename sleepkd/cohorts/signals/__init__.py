"""Readers of signal files: a format is a file here and a line in `SIGNALS`.

A reader is a class of a path. It has `derive(choices, unit)`, the signal by the first `Derivation` that the file's
channels fit; `start()`, when the recording starts, or None; and `seconds`, how long it lasts. A file that it cannot
read is a UserError that names the file.
"""

from pathlib import Path
from typing import Protocol

from sleepkd.cohorts.signals.derivation import Derivation, DerivedSignal, SignalFile
from sleepkd.cohorts.signals.edf import EdfFile


class _Reader(Protocol):
    def __call__(self, path: Path) -> SignalFile: ...


SIGNALS: dict[str, _Reader] = {
    "edf": EdfFile,
}

__all__ = ["SIGNALS", "Derivation", "DerivedSignal", "SignalFile"]
