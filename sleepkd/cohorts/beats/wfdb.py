"""Beats as PhysioNet annotations (WFDB)."""

from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats.found import BeatLayout, in_order
from sleepkd.cohorts.wfdb_annotations import read_annotations

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""What PhysioNet calls beat annotations (archive.physionet.org/physiobank/annotations.shtml); the others mark rhythm,
noise, waves, or P waves that no beat follows."""


def read_wfdb(path: Path, layout: BeatLayout) -> np.ndarray:
    """The times of all annotations that are beats, normal or not."""
    times, symbols, _ = read_annotations(path)
    return in_order(path, times[[symbol in BEAT_SYMBOLS for symbol in symbols]])
