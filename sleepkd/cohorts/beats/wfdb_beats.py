"""Heartbeats as annotations of PhysioNet (WFDB)."""

from pathlib import Path

from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes, ordered_beats
from sleepkd.cohorts.wfdb_annotations import read_annotations
from sleepkd.cohorts.wfdb_header import HEADER_ENDING, read_record_facts

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""PhysioNet's beat annotations (archive.physionet.org/physiobank/annotations.shtml). The other symbols mark rhythm,
noise, waves, or P waves that no beat follows."""


def read_wfdb_beats(path: Path, layout: BeatLayout) -> BeatTimes:
    """The times of all annotations of beats, normal or not, and the start by the header beside the file."""
    times, symbols, _ = read_annotations(path)
    beats = ordered_beats(path, times[[symbol in BEAT_SYMBOLS for symbol in symbols]])
    return beats._replace(start=read_record_facts(path.with_suffix(HEADER_ENDING)).start)
