"""Rows of staged nights for tables of many: one row a night, and one a sleep epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from sleepkd import __version__
from sleepkd.data.hypnogram import UNSCORED, UNSCORED_NAME
from sleepkd.prediction.card import mean_kappa
from sleepkd.prediction.chosen_nights import ChosenNight
from sleepkd.prediction.judged import JudgedInput
from sleepkd.prediction.many.file_state import FileState
from sleepkd.prediction.staged import StagedNight

Columns = dict[str, type]
"""The type of each column: str, int, float (64 bits) or np.float32."""
Row = dict[str, Any]
"""A row by column; None for a missing value."""
STAGED, FAILED = "staged", "failed"
STATISTICS = ("TIB", "SPT", "TST", "WASO", "SE", "SME", "SFI", "SOL", "SOL_5min", "Lat_REM")
"""YASA's sleep statistics that exist for any classes, by its names; the minutes of each stage are columns of ours."""
UNSCORED_MARK = "?"


@dataclass(frozen=True)
class StagedWith:
    """What a row states of how it was made: weights (their SHA-256), options, and the state of the file (`FileState`).

    checksum: of the recording's files.
    """

    weights: str
    options: str
    state: FileState
    checksum: str


@dataclass
class NightRows:
    """The nights of one recording: a row for each, staged or failed, and the sleep epochs of the staged ones."""

    nights: list[Row] = field(default_factory=list)
    epochs: list[dict[str, list]] = field(default_factory=list)


def night_columns(class_names: Sequence[str]) -> Columns:
    """The columns of the table of nights, in order."""
    return {
        "recording": str,
        "night": int,
        "status": str,
        "reason": str,
        "nights": int,
        "start": str,
        "onset_in_recording_s": float,
        "input": str,
        "channel": str,
        "device": str,
        "kappa_on_such_input": float,
        "warning": str,
        "sleep_epochs": int,
        "staged": int,
        "mean_confidence": float,
        "mean_quality": float,
        **{name: float for name in STATISTICS},
        **{f"min_{name}": float for name in class_names},
        "hypnogram": str,
        "model": str,
        "version": str,
        "seconds": float,
        "path": str,
        "bytes": int,
        "changed_ns": int,
        "checksum": str,
        "weights": str,
        "options": str,
    }


def epoch_columns(class_names: Sequence[str]) -> Columns:
    """The columns of the table of sleep epochs, in order; those of hypnogram.csv after the first two."""
    return {
        "recording": str,
        "night": int,
        "onset": float,
        "duration": float,
        "stage": str,
        **{f"p_{name}": np.float32 for name in class_names},
        "quality": np.float32,
        "beats": int,
        "flat": np.float32,
        "clipped": np.float32,
    }


def origin_row(recording: str, night: int, path: str, made: StagedWith) -> Row:
    """The part of a row that states what was staged, and with what."""
    return {
        "recording": recording,
        "night": night,
        "version": __version__,
        "path": path,
        "bytes": made.state.size,
        "changed_ns": made.state.changed_ns,
        "checksum": made.checksum,
        "weights": made.weights,
        "options": made.options,
    }


def staged_row(
    origin: Row,
    chosen: ChosenNight,
    staged: StagedNight,
    judged: JudgedInput,
    model: str,
    summary: Mapping[str, Any],
) -> Row:
    """The row of a staged night. summary: as `summary_of` returns it."""
    facts, minutes = chosen.facts, staged.predicted.duration_s / 60
    in_stage = {f"min_{name}": float(minutes[staged.stages == k].sum()) for k, name in enumerate(staged.class_names)}
    quality = staged.quality[~np.isnan(staged.quality)]
    kappa = mean_kappa(judged.scores)
    statistics = summary["sleep_statistics"]
    return {
        **origin,
        "status": STAGED,
        "nights": facts["nights"],
        "start": facts["start"],
        "onset_in_recording_s": facts["onset_in_recording_s"],
        "input": judged.given.text,
        "channel": judged.given.channel or None,
        "device": chosen.device or None,
        "kappa_on_such_input": _rounded(kappa, 4),
        "warning": judged.warning or None,
        "sleep_epochs": summary["sleep_epochs"],
        "staged": summary["staged"],
        "mean_confidence": _rounded(summary["mean_confidence"], 4),
        "mean_quality": _rounded(float(quality.mean()), 4) if len(quality) else None,
        **{name: _rounded(statistics.get(name), 4) for name in STATISTICS},
        **in_stage,
        "hypnogram": run_lengths(staged.stages, staged.class_names),
        "model": model,
    }


def failed_row(origin: Row, reason: str) -> Row:
    """The row of a night or of a whole recording that was not staged."""
    return {**origin, "status": FAILED, "reason": reason}


def epochs_of(
    recording: str, number: int, staged: StagedNight, beats: np.ndarray | None, lost: np.ndarray | None
) -> dict[str, list]:
    """The sleep epochs of a night by column, with the values and digits of hypnogram.csv."""
    night, n = staged.predicted, len(staged.stages)
    names = np.array([*staged.class_names, UNSCORED_NAME], dtype=object)
    ends = night.onset_s + night.duration_s
    counts = None if beats is None else np.searchsorted(beats, ends) - np.searchsorted(beats, night.onset_s)
    probabilities = _digits(night.probabilities, 4)
    shares = None if lost is None else _digits(lost, 3)
    return {
        "recording": [recording] * n,
        "night": [number] * n,
        "onset": night.onset_s.tolist(),
        "duration": night.duration_s.tolist(),
        "stage": names[staged.stages].tolist(),
        **{f"p_{name}": probabilities[:, k].tolist() for k, name in enumerate(staged.class_names)},
        "quality": [None if np.isnan(x) else x for x in _digits(staged.quality, 3).tolist()],
        "beats": [None] * n if counts is None else counts.tolist(),
        "flat": [None] * n if shares is None else shares[:, 0].tolist(),
        "clipped": [None] * n if shares is None else shares[:, 1].tolist(),
    }


def run_lengths(stages: np.ndarray, class_names: Sequence[str]) -> str:
    """A hypnogram in short: "W 20, light 31, ? 2" for 20 sleep epochs of W, 31 of light and 2 unscored ones."""
    runs = ((k, len(list(run))) for k, run in groupby(stages.tolist()))
    return ", ".join(f"{UNSCORED_MARK if k == UNSCORED else class_names[k]} {count}" for k, count in runs)


def _digits(values: np.ndarray, digits: int) -> np.ndarray:
    return np.round(values.astype(np.float64), digits)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), digits)
