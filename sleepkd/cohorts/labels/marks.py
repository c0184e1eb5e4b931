"""From the lines of a scoring file, each an onset and a duration, to sleep epochs."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.labels.scored import LabelLayout, Mark, ScoredFile, label_index
from sleepkd.cohorts.remarks import WARNING
from sleepkd.data.hypnogram import UNSCORED_NAME, Hypnogram
from sleepkd.errors import UserError

TOLERANCE_S = 0.5
"""Onsets and durations are rounded: a smaller difference is no other length and no overlap."""
ROUNDED_S = 1.0
"""Marks whose onset and duration are rounded to whole seconds overlap by up to this."""
SHORT = 0.9
"""A shorter part of a sleep epoch is no sleep epoch."""
FEW = 0.8
"""A warning is due if a smaller share of the sleep epochs, from the first to the last, has a label."""


class _Run(NamedTuple):
    """Consecutive sleep epochs of one label. left_out_s: the rest of the duration. stretched: shorter than an epoch."""

    onset_s: float
    epochs: int
    label: int
    text: str
    left_out_s: float
    stretched: bool


def as_sleep_epochs(path: Path, marks: Sequence[Mark], layout: LabelLayout, epoch_seconds: float) -> ScoredFile:
    """The sleep epochs of a file's marks. Marks whose text `layout.labels` does not name are counted and ignored.

    A mark without a duration is one sleep epoch. A longer one is as many epochs as fit, and the rest is left out. A
    much shorter one is a sleep epoch if the next mark is an epoch away, else it is left out.
    Raises UserError: no sleep stage, two at one time (in a part of a sleep epoch too), durations that are not
    `epoch_seconds`.
    """
    stages = sorted((mark for mark in marks if mark.text in layout.labels), key=lambda mark: mark.onset_s)
    others = [mark for mark in marks if mark.text not in layout.labels]
    ignored = Counter(mark.text for mark in others)
    if not stages:
        seen = ", ".join(repr(text) for text, _ in ignored.most_common(3)) or "no text at all"
        raise UserError(f"{path}: holds no sleep stage of scoring.labels; it holds {seen}")
    once = _each_once(stages)
    remarks = [f"{WARNING}{len(stages) - len(once)} sleep stages are written twice"] if len(once) < len(stages) else []
    if layout.changes_only:
        once, more = _until_the_next(stages, layout)
        remarks += more
    _check_contradiction(path, once, layout)
    runs = _runs(once, layout, epoch_seconds)
    remarks += _check_lengths(path, once, runs, epoch_seconds)
    runs = [run for run in runs if run.epochs]
    _check_overlap(path, runs, epoch_seconds)
    onset = np.concatenate([run.onset_s + epoch_seconds * np.arange(run.epochs) for run in runs])
    labels = np.repeat([run.label for run in runs], [run.epochs for run in runs]).astype(np.int8)
    remarks += _check_cover(onset, others, epoch_seconds)
    hypnogram = Hypnogram(onset, np.full(len(onset), float(epoch_seconds)), labels)
    return ScoredFile(hypnogram, None, dict(ignored), tuple(remarks), to_the_end=layout.changes_only)


def _instant(mark: Mark) -> int:
    """The onset in ms, so that two rounded onsets are equal."""
    return round(mark.onset_s * 1000)


def _each_once(stages: Sequence[Mark]) -> list[Mark]:
    """Without duplicates."""
    seen: dict[tuple[int, float, str], Mark] = {}
    for mark in stages:
        seen.setdefault((_instant(mark), mark.duration_s, mark.text), mark)
    return list(seen.values())


def _until_the_next(stages: Sequence[Mark], layout: LabelLayout) -> tuple[list[Mark], list[str]]:
    """Each mark until the next, and remarks. Of several marks at one instant, the last written counts."""
    last = {_instant(mark): mark for mark in stages}
    replaced = sum(layout.labels[mark.text] != layout.labels[last[_instant(mark)].text] for mark in stages)
    remarks = [f"{WARNING}{replaced} sleep stages are replaced by another at the same instant"] if replaced else []
    marks = list(last.values())
    return [*(a._replace(duration_s=b.onset_s - a.onset_s) for a, b in pairwise(marks)), marks[-1]], remarks


def _runs(stages: Sequence[Mark], layout: LabelLayout, epoch_seconds: float) -> list[_Run]:
    """Each mark as whole sleep epochs, none if it is shorter than one."""
    room = [b.onset_s - a.onset_s for a, b in pairwise(stages)]
    short = [0 < mark.duration_s < SHORT * epoch_seconds for mark in stages]
    apart = [space >= epoch_seconds - TOLERANCE_S for space in room]
    apart.append(any(s and a for s, a in zip(short, apart, strict=False)))  # the last: as those before it
    runs = []
    for mark, is_short, is_apart in zip(stages, short, apart, strict=True):
        label = label_index(layout.labels[mark.text])
        if is_short or mark.duration_s <= 0:
            epochs, rest = (1, 0.0) if is_apart or not is_short else (0, mark.duration_s)
        else:
            epochs = round(mark.duration_s / epoch_seconds)
            rest = mark.duration_s - epochs * epoch_seconds
            if abs(rest) > TOLERANCE_S:
                epochs = int(mark.duration_s // epoch_seconds)
                rest = mark.duration_s - epochs * epoch_seconds
            rest = rest if abs(rest) > TOLERANCE_S else 0.0
        runs.append(_Run(mark.onset_s, epochs, label, mark.text, rest, is_short and epochs > 0))
    return runs


def _check_lengths(path: Path, stages: Sequence[Mark], runs: Sequence[_Run], epoch_seconds: float) -> list[str]:
    """Remarks on durations that are no sleep epochs. Raises UserError if most are not."""
    odd = [run for run in runs if not run.epochs]
    if len(odd) > len(runs) / 2:
        usual = Counter(mark.duration_s for mark in stages).most_common(1)[0][0]
        raise UserError(f"{path}: most of its sleep stages last {usual:g} s, but epoch_seconds is {epoch_seconds:g}")
    remarks = []
    if stretched := sum(run.stretched for run in runs):
        remarks.append(f"{WARNING}{stretched} sleep stages last far below {epoch_seconds:g} s, taken as that long")
    rests = [run.left_out_s for run in runs if run.left_out_s]
    if rests:
        remarks.append(
            f"{WARNING}{sum(rests):.4g} s of {len(rests)} sleep stages, whose duration is not a multiple of "
            f"{epoch_seconds:g} s, are left out"
        )
    return remarks


def _check_contradiction(path: Path, stages: Sequence[Mark], layout: LabelLayout) -> None:
    """Raise UserError for two sleep stages at one time, also where neither would fill a sleep epoch."""
    longest: Mark | None = None
    for mark in stages:
        if layout.labels[mark.text] == UNSCORED_NAME:
            continue
        if longest is not None:
            ends_s = longest.onset_s + longest.duration_s
            both_s = min(ends_s, mark.onset_s + mark.duration_s) - mark.onset_s
            if both_s > ROUNDED_S and layout.labels[mark.text] != layout.labels[longest.text]:
                raise UserError(_overlap(path, longest, longest.duration_s, mark))
            if mark.onset_s + mark.duration_s < ends_s:
                continue
        longest = mark


def _overlap(path: Path, a: "Mark | _Run", seconds: float, b: "Mark | _Run") -> str:
    return (
        f"{path}: sleep stages overlap: {a.text!r} from {a.onset_s:g} s for {seconds:g} s, {b.text!r} from "
        f"{b.onset_s:g} s; keep one scorer's, or correct epoch_seconds"
    )


def _check_overlap(path: Path, runs: Sequence[_Run], epoch_seconds: float) -> None:
    for a, b in pairwise(runs):
        if b.onset_s < a.onset_s + a.epochs * epoch_seconds - TOLERANCE_S:
            raise UserError(_overlap(path, a, a.epochs * epoch_seconds, b))


def _check_cover(onset: np.ndarray, others: Sequence[Mark], epoch_seconds: float) -> list[str]:
    """Remarks on unlabelled time between the first and the last sleep epoch."""
    remarks = []
    span = round((onset[-1] - onset[0]) / epoch_seconds) + 1
    if len(onset) < FEW * span:
        remarks.append(
            f"{WARNING}only {len(onset)} of {span} sleep epochs from the first to the last have a label; where sleep "
            "stages are written only when they change, set scoring.changes_only: true"
        )
    unnamed = Counter(
        mark.text
        for mark in others
        if (mark.duration_s <= 0 or mark.duration_s >= SHORT * epoch_seconds)
        and onset[0] <= mark.onset_s < onset[-1]
        and mark.onset_s >= onset[np.searchsorted(onset, mark.onset_s, "right") - 1] + epoch_seconds - TOLERANCE_S
    )
    if unnamed:
        named = ", ".join(f"{text!r} ({count})" for text, count in unnamed.most_common(5))
        remarks.append(f"{WARNING}between sleep stages stands {named}, which scoring.labels does not name")
    return remarks
