"""Heartbeats as annotations of PhysioNet (WFDB)."""

from pathlib import Path

from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes, ordered_beats
from sleepkd.cohorts.wfdb_annotations import read_annotations

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""PhysioNet's beat annotations (archive.physionet.org/physiobank/annotations.shtml). The other symbols mark rhythm,
noise, waves, or P waves that no beat follows."""


def read_wfdb_beats(path: Path, layout: BeatLayout) -> BeatTimes:
    """The times of all annotations of beats, normal or not."""
    times, symbols, _ = read_annotations(path)
    return ordered_beats(path, times[[symbol in BEAT_SYMBOLS for symbol in symbols]])
