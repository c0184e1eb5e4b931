"""Recordings in MASS's layout synthesised for the tests, and the command that prepares them."""

import csv
import itertools
from datetime import datetime
from pathlib import Path

import numpy as np

from sleepkd import prepare
from sleepkd.data.store import Store
from tests.cohorts.raw import START, channel, heartbeats, write_psg, write_scoring

SECONDS = 240


def run(raw: Path, out: Path, *more: object, dataset: str = "mass", code: int = 0) -> Store | None:
    arguments = ["--dataset", dataset, "--raw", raw, "--out", out, *more]
    assert prepare.main([str(argument) for argument in arguments]) == code
    return Store(out) if any((out / "recordings").iterdir()) else None


def summary(store: Path) -> dict[str, dict[str, str]]:
    with open(store / "summary.tsv", newline="", encoding="utf-8") as file:
        return {row["recording"]: row for row in csv.DictReader(file, delimiter="\t")}


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def noise(seconds: float = SECONDS, rate_hz: float = 256, scale: float = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=round(seconds * rate_hz))


def sleep_epochs(first: float, count: int, seconds: float = 30.0, stages: str = "W123R") -> list:
    texts = itertools.cycle(f"Sleep stage {stage}" for stage in stages)
    return [(round(first + seconds * k, 6), seconds, next(texts)) for k in range(count)]


def night(
    raw: Path,
    name: str = "01-03-0001",
    signals: dict[str, np.ndarray] | None = None,
    annotations: list | None = None,
    rate_hz: float = 256,
    start: datetime = START,
    scoring_start: datetime = START,
) -> Path:
    """A recording of MASS's layout; by default C3-LER and an ECG for 4 minutes, scored in 30-s sleep epochs."""
    if signals is None:
        signals = {"EEG C3-LER": noise(rate_hz=rate_hz), "ECG ECGI": 1000 * heartbeats(SECONDS, rate_hz, 0)}
    record_seconds = None if float(rate_hz).is_integer() else 2
    channels = [channel(label, samples, rate_hz) for label, samples in signals.items()]
    psg = write_psg(raw / f"{name} PSG.edf", channels, start, record_seconds)
    scored = sleep_epochs(3.25, 7) if annotations is None else annotations
    write_scoring(raw / f"{name} Base.edf", scored, scoring_start)
    return psg


def two_nights(raw: Path) -> Path:
    """Two good recordings, which a bad one must not affect."""
    night(raw, "01-03-0001")
    night(raw, "01-05-0001", annotations=sleep_epochs(8.5, 10, 20.0))
    return raw
