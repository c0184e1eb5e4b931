"""Readers of scoring files: what a technician marked, as a hypnogram in seconds from the start of that file."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import mne
import numpy as np

from sleepkd.data.hypnogram import SLEEP_STAGES, UNSCORED, UNSCORED_NAME, Hypnogram
from sleepkd.data.recording import EdfFile
from sleepkd.errors import UserError


class Scoring(NamedTuple):
    """A scored night. start: when the scoring file begins, if it says so; ignored: annotations of no sleep stage."""

    hypnogram: Hypnogram
    start: datetime | None
    ignored: dict[str, int]


def read_edf_annotations(path: Path, stage_of: dict[str, str], epoch_seconds: float) -> Scoring:
    """An EDF+ scoring file: each annotation is one sleep epoch, or a run of several of the same sleep stage.

    stage_of: annotation text → W, N1, N2, N3, REM or unscored; other annotations are counted and ignored.
    Raises UserError where the file cannot be read or holds no sleep stage.
    """
    start = EdfFile(path).start()
    try:
        # MASS has non-ASCII bytes in its annotations; Latin-1 reads any byte.
        annotations = mne.read_annotations(path, encoding="latin1")
    except (ValueError, OSError, IndexError, RuntimeError, AssertionError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as EDF+: {error}") from None
    onsets, labels, durations = [], [], []
    ignored: Counter[str] = Counter()
    for onset, duration, text in zip(annotations.onset, annotations.duration, annotations.description, strict=True):
        if text.strip() not in stage_of:
            ignored[str(text).strip()] += 1
            continue
        count = max(1, round(duration / epoch_seconds))
        length = duration / count if duration > 0 else epoch_seconds
        onsets += [onset + i * length for i in range(count)]
        durations += [length] * count
        labels += [label_index(stage_of[text.strip()])] * count
    if not onsets:
        seen = ", ".join(repr(text) for text, _ in ignored.most_common(3)) or "none at all"
        raise UserError(f"{path}: holds no sleep stage; its annotations: {seen}")
    return Scoring(_in_order(path, onsets, durations, labels), start, dict(ignored))


def read_values(
    path: Path, stage_of: dict[str, str], epoch_seconds: float, value_seconds: float, header_lines: int
) -> Scoring:
    """A text file with one value per line for every `value_seconds`, from the first sample of the recording on.

    A sleep epoch of `epoch_seconds` whose values differ is unscored; one cut off at the end is dropped.
    Raises UserError where a value has no sleep stage or the file is too short.
    """
    try:
        lines = path.read_text(encoding="latin1").split("\n")[header_lines:]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    values = [line.strip() for line in lines if line.strip()]
    unknown = sorted(set(values) - stage_of.keys())
    if unknown:
        raise UserError(f"{path}: value {unknown[0]!r} has no sleep stage in scoring.labels")
    per_epoch = round(epoch_seconds / value_seconds)
    n = len(values) // per_epoch
    if n == 0:
        raise UserError(f"{path}: holds {len(values)} values, fewer than one sleep epoch")
    labels_NV = np.array([label_index(stage_of[value]) for value in values[: n * per_epoch]]).reshape(n, per_epoch)
    agree = (labels_NV == labels_NV[:, :1]).all(axis=1)
    hypnogram = Hypnogram(
        onset_s=np.arange(n) * epoch_seconds,
        duration_s=np.full(n, epoch_seconds),
        labels=np.where(agree, labels_NV[:, 0], UNSCORED).astype(np.int8),
    )
    return Scoring(hypnogram, None, {})


def label_index(stage: str) -> int:
    """The label of a sleep stage's name, `UNSCORED` for "unscored"."""
    return UNSCORED if stage == UNSCORED_NAME else SLEEP_STAGES.index(stage)


def _in_order(path: Path, onsets: list[float], durations: list[float], labels: list[int]) -> Hypnogram:
    order = np.argsort(onsets, kind="stable")
    try:
        return Hypnogram(np.array(onsets)[order], np.array(durations)[order], np.array(labels, dtype=np.int8)[order])
    except ValueError:
        raise UserError(f"{path}: two sleep stages begin at the same time") from None
