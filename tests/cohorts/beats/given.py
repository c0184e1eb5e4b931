"""Heartbeats that the tests of readers write down in many ways."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats.beat_layout import BeatTimes
from sleepkd.cohorts.beats.beat_text import BeatTextLayout, read_beat_text

_drawn = np.random.default_rng(4)
MS = np.rint(880 + 90 * np.sin(np.arange(1200) / 40) + _drawn.normal(0, 30, 1200)).astype(int)
"""RR intervals, ms."""
BEATS = np.concatenate([[0.0], np.cumsum(MS) / 1000])
ENDS = BEATS[1:]
EVENING = datetime(2024, 1, 31, 23, 50)
UNIX = 1706745000
"""The same moment, UTC."""


def stamps(seconds: Iterable[float], form: str = "%Y-%m-%dT%H:%M:%S.%f", start: datetime = EVENING) -> list[str]:
    return [(start + timedelta(seconds=float(s))).strftime(form) for s in seconds]


def rows(header: str, *columns: Sequence[object], sep: str = ",") -> str:
    lines = [sep.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([header, *lines] if header else lines) + "\n"


def read(folder: Path, content: str | bytes, name: str = "night.csv", **options: object) -> BeatTimes:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_beat_text(path, BeatTextLayout((name,), "text", **options))


def same_beats(found: BeatTimes, beats: np.ndarray = BEATS, atol: float = 2e-3) -> None:
    np.testing.assert_allclose(found.times, beats - beats[0], atol=atol)


CLOCKS = {
    "time": lambda s: [f"{x:.3f}" for x in s],
    "time_ms": lambda s: [f"{1000 * x:.0f}" for x in s],
    "timestamp": lambda s: [f"{1000 * (UNIX + x):.0f}" for x in s],
    "unix": lambda s: [f"{UNIX + x:.3f}" for x in s],
    "ns": lambda s: [str(round(1e9 * (UNIX + x))) for x in s],
    "datetime": lambda s: stamps(s),
    "Phone timestamp": lambda s: stamps(s, "%d.%m.%Y %H:%M:%S.%f"),
    "clock": lambda s: stamps(s, "%H:%M:%S.%f"),
}
"""Columns of time by their names: from seconds to texts."""
