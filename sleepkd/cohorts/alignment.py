"""Align a scoring with its signals: the hypnogram in seconds from the first sample, as far as there are signals."""

from pathlib import Path

import numpy as np

from sleepkd.cohorts.clock import Clock, Start, seconds_between
from sleepkd.cohorts.labels import ScoredFile
from sleepkd.cohorts.remarks import WARNING
from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.errors import UserError

MANY_BEYOND = 0.05
"""A warning is due if a larger share of the scored sleep epochs lies beyond the signals: the files may not be of one
night. A scoring commonly ends a sleep epoch or two after its signals."""
SHORT_SCORING = 0.5
"""A warning is due if the scoring spans a smaller share of the night."""


def align_scoring(
    scored: ScoredFile, start: Start | None, seconds: float, clock: Clock, scoring_file: Path, signals: Path
) -> tuple[Hypnogram, list[str]]:
    """The hypnogram in seconds from the first sample, without sleep epochs beyond the signals, and remarks.

    start, seconds: of the signals. scoring_file, signals: for messages.
    Raises UserError for files that are not of one night.
    """
    shift, remark = seconds_between(start, scored.start, clock, f"{signals} and {scoring_file}")
    remarks = [*scored.remarks, remark]
    onset, duration, labels = scored.hypnogram.onset_s + shift, scored.hypnogram.duration_s, scored.hypnogram.labels
    if scored.to_the_end:
        more = max(0, int((seconds - onset[-1]) / duration[-1]) - 1)
        onset = np.append(onset, onset[-1] + duration[-1] * np.arange(1, more + 1))
        duration, labels = (np.append(x, np.repeat(x[-1], more)) for x in (duration, labels))
    inside = (onset + duration > 0) & (onset < seconds)
    if not inside.any():
        raise UserError(
            f"{scoring_file}: no sleep epoch lies within the {seconds:.0f} s of {signals.name}: the scoring runs from "
            f"{onset[0]:.0f} to {onset[-1] + duration[-1]:.0f} s; are they of the same night?"
        )
    beyond = int(np.count_nonzero(~inside & (labels != UNSCORED)))
    if beyond:
        many = beyond > max(2, MANY_BEYOND * np.count_nonzero(labels != UNSCORED))
        remarks.append(f"{WARNING if many else ''}{beyond} scored sleep epochs lie beyond the signals")
    spanned = onset[-1] + duration[-1] - onset[0]
    if spanned < SHORT_SCORING * seconds:
        remarks.append(f"{WARNING}the scoring spans {spanned / 60:.0f} of {seconds / 60:.0f} minutes of signals")
    return Hypnogram(onset[inside], duration[inside], labels[inside]), remarks
