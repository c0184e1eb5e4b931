"""What a store holds, recording by recording, from its facts, hypnograms and beats; no signal is opened."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sleepkd.cohorts.remarks import warnings_of
from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED_NAME
from sleepkd.data.splits import PARTS, read_split
from sleepkd.data.store import Night, Store
from sleepkd.errors import UserError

BAD = 0.5
"""A sleep epoch's ECG is bad where less of it than this lies between plausible beats."""
COLUMNS = (*SLEEP_STAGES, UNSCORED_NAME)


@dataclass(frozen=True)
class Facts:
    """One recording: whose, how long, its labels, its channels, its heart; warnings: of `prepare`.

    bad_ecg: share of its sleep epochs, None where there are no beats. heart_rate: median, per minute.
    """

    recording: str
    subject: str
    subset: str
    standard: str
    hours: float
    labels: dict[str, int]
    channels: str
    bad_ecg: float | None
    heart_rate: float | None
    warnings: tuple[str, ...]


def facts_of(night: Night) -> Facts:
    """The facts of an opened recording."""
    info, labels = night.info, night.hypnogram.labels
    named = []
    for name, signal in info.signals.items():
        turned = ", upside down" if signal.polarity < 0 else ""
        named.append(f"{name.upper()} {signal.derivation} ({signal.recorded_hz:g} Hz{turned})")
    has_beats = info.beats is not None
    if has_beats and "ecg" not in info.signals:
        named.append(f"beats ({info.beats.source})")
    return Facts(
        recording=info.recording,
        subject=info.subject,
        subset=info.subset,
        standard=info.standard,
        hours=info.seconds / 3600,
        labels={name: int(np.count_nonzero(labels == k)) for k, name in enumerate(SLEEP_STAGES)}
        | {UNSCORED_NAME: int(np.count_nonzero(labels < 0))},
        channels=", ".join(named),
        bad_ecg=float(np.mean(night.beat_quality() < BAD)) if has_beats and len(labels) else None,
        heart_rate=60 / info.beats.median_s if has_beats else None,
        warnings=tuple(warnings_of(info.note)),
    )


def all_facts(store: Store) -> tuple[list[Facts], list[str]]:
    """The facts of every recording that can be read, and a line on each that cannot."""
    facts, damaged = [], []
    for recording in store.recordings:
        try:
            facts.append(facts_of(store.open(recording)))
        except UserError as error:
            damaged.append(str(error))
    return facts, damaged


def lines(facts: Sequence[Facts]) -> list[list[str]]:
    """A header and a row per recording, as texts."""
    header = ["recording", "subject", "std", "hours", *COLUMNS[:-1], "uns", "bad ECG", "bpm", "!"]
    rows = [
        [
            f.recording,
            f.subject,
            f.standard,
            f"{f.hours:.1f}",
            *(str(f.labels[name]) for name in COLUMNS),
            "-" if f.bad_ecg is None else f"{f.bad_ecg:.0%}",
            "-" if f.heart_rate is None else f"{f.heart_rate:.0f}",
            str(len(f.warnings) or ""),
        ]
        for f in facts
    ]
    return [header, *rows]


def totals(facts: Sequence[Facts]) -> list[str]:
    """A line per subset: its recordings, subjects, hours, and sleep epochs of each label."""
    said = []
    for subset in sorted({f.subset for f in facts}):
        of = [f for f in facts if f.subset == subset]
        people = len({f.subject for f in of})
        said.append(
            f"{subset}: {len(of)} recordings of {people} subjects, {sum(f.hours for f in of):.1f} h; "
            + ", ".join(f"{name} {sum(f.labels[name] for f in of)}" for name in COLUMNS)
        )
    return said


def balance(store: Store, facts: Sequence[Facts], split: str) -> list[list[str]]:
    """A header and a row per part of a split: recordings, subjects, hours, share of each sleep stage.

    Raises UserError where the split is not there or is wrong.
    """
    by_name = {f.recording: f for f in facts}
    rows = [["part", "recordings", "subjects", "hours", *SLEEP_STAGES]]
    for part, names in zip(PARTS, map(read_split(store, split).parts.__getitem__, PARTS), strict=True):
        of = [by_name[name] for name in names if name in by_name]
        counts = {stage: sum(f.labels[stage] for f in of) for stage in SLEEP_STAGES}
        scored = sum(counts.values())
        shares = [f"{counts[stage] / scored:.0%}" if counts[stage] else "none" for stage in SLEEP_STAGES]
        rows.append([part, str(len(of)), str(len({f.subject for f in of})), f"{sum(f.hours for f in of):.1f}", *shares])
    return rows
