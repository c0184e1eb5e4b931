"""Raw recordings synthesised for the tests: EDF files whose signals and annotations are known to the sample."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from edfio import Edf, EdfAnnotation, EdfSignal, Recording

START = datetime(2003, 11, 17, 22, 30)

DREAMS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "dreams_excerpt3"
needs_dreams = pytest.mark.skipif(not DREAMS.is_dir(), reason="the real recording (shared/data) is not here")


def channel(
    label: str, samples: np.ndarray, rate_hz: float, unit: str = "uV", full_scale: float | None = None
) -> EdfSignal:
    """One channel; `samples` are the numbers that the file states, whatever `unit` says."""
    peak = full_scale or float(np.max(np.abs(samples), initial=1e-3))
    return EdfSignal(samples, rate_hz, label=label, physical_dimension=unit, physical_range=(-peak, peak))


def write_psg(
    path: Path, channels: Sequence[EdfSignal], start: datetime = START, record_seconds: float | None = None
) -> Path:
    """A file of signals. EDF holds a whole number of samples per record: 255.5 Hz needs records of 2 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Edf(channels, **_header(start), data_record_duration=record_seconds).write(path)
    return path


def write_scoring(path: Path, annotations: Sequence[tuple[float, float | None, str]], start: datetime = START) -> Path:
    """An EDF+ scoring file of (onset, duration, text)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Edf([], annotations=[EdfAnnotation(*a) for a in annotations], **_header(start)).write(path)
    return path


def _header(start: datetime) -> dict:
    return {"recording": Recording(startdate=date(start.year, start.month, start.day)), "starttime": start.time()}


def heartbeats(seconds: float, rate_hz: float, seed: int) -> np.ndarray:
    """An upright ECG (samples,) in mV: an R wave of 1 mV about once a second, a small S before a broad T wave."""
    beats = np.cumsum(np.random.default_rng(seed).normal(1.0, 0.05, int(2 * seconds)))
    ecg = np.zeros(round(seconds * rate_hz))
    for beat in beats[beats < seconds - 1]:
        k = np.arange(round((beat - 0.1) * rate_hz), round((beat + 0.5) * rate_hz))
        for height, delay, width in ((1.0, 0.0, 0.012), (-0.25, 0.03, 0.012), (0.25, 0.25, 0.05)):
            ecg[k] += height * np.exp(-(((k / rate_hz - beat - delay) / width) ** 2) / 2)
    return ecg
