"""Summary of a store: duration, labels, channels, ECG quality and warnings of each recording. Opens no signal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sleepkd.cohorts.remarks import warnings_of
from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED_NAME
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.splits import PARTS, read_split
from sleepkd.data.store import Night, Store
from sleepkd.errors import UserError

MIN_ECG_QUALITY = 0.5
"""A sleep epoch has bad ECG if a smaller share of it lies within plausible RR intervals."""
LABEL_COLUMNS = (*SLEEP_STAGES, UNSCORED_NAME)


@dataclass(frozen=True)
class RecordingSummary:
    """One recording of a store.

    labels: the number of sleep epochs of each label. bad_ecg: the share of sleep epochs with bad ECG; heart_rate: the
    median, per minute; None without heartbeats. warnings: those of `prepare`. age: of the sleeper, years; None where it
    is not known, as of sex.
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
    age: float | None = None
    sex: str | None = None


def summarise_recording(night: Night) -> RecordingSummary:
    """The summary of an opened recording."""
    info, labels = night.info, night.hypnogram.labels
    channels = []
    for name, signal in info.signals.items():
        label = SIGNAL_KINDS[name].label if name in SIGNAL_KINDS else name
        inverted = ", inverted" if signal.polarity < 0 else ""
        channels.append(f"{label} {signal.derivation} ({signal.recorded_hz:g} Hz{inverted})")
    beats = info.beats
    if beats is not None and "ecg" not in info.signals:
        channels.append(f"heartbeats ({beats.source})")
    return RecordingSummary(
        recording=info.recording,
        subject=info.subject,
        subset=info.subset,
        standard=info.standard,
        hours=info.seconds / 3600,
        labels={name: int(np.count_nonzero(labels == k)) for k, name in enumerate(SLEEP_STAGES)}
        | {UNSCORED_NAME: int(np.count_nonzero(labels < 0))},
        channels=", ".join(channels),
        bad_ecg=None if beats is None or not len(labels) else float(np.mean(night.beat_quality() < MIN_ECG_QUALITY)),
        heart_rate=None if beats is None else 60 / beats.median_s,
        warnings=tuple(warnings_of(info.note)),
        age=info.age,
        sex=info.sex,
    )


def summarise_store(store: Store) -> tuple[list[RecordingSummary], list[str]]:
    """The summaries of all readable recordings, and one line per recording that cannot be read."""
    summaries, unreadable = [], []
    for recording in store.recordings:
        try:
            summaries.append(summarise_recording(store.open(recording)))
        except UserError as error:
            unreadable.append(str(error))
    return summaries, unreadable


def summary_table(summaries: Sequence[RecordingSummary]) -> list[list[str]]:
    """A header and one row of texts per recording; age and sex are columns if they are known of any."""
    has_sleepers = any(one.age is not None or one.sex for one in summaries)
    sleeper = ["age", "sex"] if has_sleepers else []
    header = ["recording", "subject", *sleeper, "std", "hours", *SLEEP_STAGES, "uns", "bad ECG", "bpm", "!"]
    rows = [
        [
            one.recording,
            one.subject,
            *(["-" if one.age is None else f"{one.age:g}", one.sex or "-"] if has_sleepers else []),
            one.standard,
            f"{one.hours:.1f}",
            *(str(one.labels[name]) for name in LABEL_COLUMNS),
            "-" if one.bad_ecg is None else f"{one.bad_ecg:.0%}",
            "-" if one.heart_rate is None else f"{one.heart_rate:.0f}",
            str(len(one.warnings) or ""),
        ]
        for one in summaries
    ]
    return [header, *rows]


def subset_totals(summaries: Sequence[RecordingSummary]) -> list[str]:
    """One line per subset: its recordings, subjects, hours, and the number of sleep epochs of each label."""
    totals = []
    for subset in sorted({one.subset for one in summaries}):
        of_subset = [one for one in summaries if one.subset == subset]
        subjects, hours = len({one.subject for one in of_subset}), sum(one.hours for one in of_subset)
        totals.append(
            f"{subset}: {len(of_subset)} recordings of {subjects} subjects, {hours:.1f} h; "
            + ", ".join(f"{name} {sum(one.labels[name] for one in of_subset)}" for name in LABEL_COLUMNS)
        )
    return totals


def split_balance(store: Store, summaries: Sequence[RecordingSummary], split: str) -> list[list[str]]:
    """A header and one row per part of a split: recordings, subjects, hours, share of each sleep stage.

    Raises UserError where the split is missing or invalid.
    """
    by_name = {one.recording: one for one in summaries}
    parts = read_split(store, split).parts
    rows = [["part", "recordings", "subjects", "hours", *SLEEP_STAGES]]
    for part in PARTS:
        of_part = [by_name[name] for name in parts[part] if name in by_name]
        counts = {stage: sum(one.labels[stage] for one in of_part) for stage in SLEEP_STAGES}
        scored = sum(counts.values())
        shares = [f"{counts[stage] / scored:.0%}" if counts[stage] else "none" for stage in SLEEP_STAGES]
        subjects, hours = len({one.subject for one in of_part}), sum(one.hours for one in of_part)
        rows.append([part, str(len(of_part)), str(subjects), f"{hours:.1f}", *shares])
    return rows
