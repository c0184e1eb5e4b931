"""Readers of signal files: a format is a file here and a line in `SIGNALS`: a `SignalFile`, made of a path."""

from sleepkd.cohorts.signals.derivation import Derivation, DerivedSignal, SignalFile
from sleepkd.cohorts.signals.edf import EdfFile
from sleepkd.cohorts.signals.wfdb import WfdbRecord

SIGNALS: dict[str, type[SignalFile]] = {
    "edf": EdfFile,
    "wfdb": WfdbRecord,
}

__all__ = ["SIGNALS", "Derivation", "DerivedSignal", "SignalFile"]
