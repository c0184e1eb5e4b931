"""The heart rate of a watch over days or years, and the heartbeats of each night of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.beats.beat_layout import BeatTimes, ordered_beats
from sleepkd.cohorts.beats.which_night import NightSpan, find_nights, no_night
from sleepkd.cohorts.clock import start_of
from sleepkd.data.averaged_rate import beats_of_rate
from sleepkd.data.heart_rate_input import rate_cadence
from sleepkd.errors import UserError

AS_MUCH = 0.95
"""Of two sources that cover about as much of a night, the one with more values is read."""


class RateNight(NamedTuple):
    """A night of a watch. source: the device or app that measured it; others: those that are left out."""

    beats: BeatTimes
    source: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class RateDays:
    """Heart rates in order of time.

    times: (N,) s. per_minute: (N,). local: (N,) local time, unix seconds as if it were UTC.
    source: (N,) index into `sources`. longest_gap_s: rates farther apart are interrupted.
    """

    times: np.ndarray
    per_minute: np.ndarray
    local: np.ndarray
    source: np.ndarray
    sources: tuple[str, ...]
    longest_gap_s: float

    def spans(self, path: Path) -> list[NightSpan]:
        """The nights, in order of time. Raises UserError if there is none."""
        spans = find_nights(self.times, self.per_minute, self.local)
        if not spans:
            raise no_night(path, float(self.times[-1] - self.times[0]))
        return spans

    def night(self, path: Path, span: NightSpan) -> RateNight:
        """The heartbeats of a night, of the source that covers most of it, s from its first value."""
        first, last = np.searchsorted(self.times, span.start_s), np.searchsorted(self.times, span.end_s, "right")
        night = self.select(slice(first, last))
        of_source = {k: night.select(night.source == k) for k in map(int, np.unique(night.source))}
        most = max(source.covered_s() for source in of_source.values())
        enough = [k for k, source in of_source.items() if source.covered_s() >= AS_MUCH * most]
        best = max(enough, key=lambda k: len(of_source[k].times))
        times, per_minute = of_source[best].times, of_source[best].per_minute
        start = datetime.fromtimestamp(float(of_source[best].local[0]), UTC).replace(tzinfo=None)
        beats = beats_of_rate(times - times[0], per_minute, self.longest_gap_s)
        if len(beats) < 2:
            raise UserError(f"{path}: holds no heartbeats in the night from {start:%Y-%m-%d %H:%M}")
        ordered = ordered_beats(path, beats, rate_cadence(times, per_minute))._replace(start=start_of(start))
        return RateNight(ordered, self.sources[best], tuple(self.sources[k] for k in of_source if k != best))

    def select(self, chosen: np.ndarray | slice) -> "RateDays":
        """The values at indices, where a mask (N,) is true, or in a slice."""
        columns = (self.times, self.per_minute, self.local, self.source)
        times, per_minute, local, source = (column[chosen] for column in columns)
        return RateDays(times, per_minute, local, source, self.sources, self.longest_gap_s)

    def covered_s(self) -> float:
        """The time, s, between values that lie no farther apart than `longest_gap_s`."""
        steps = np.diff(self.times)
        return float(steps[steps <= self.longest_gap_s].sum())
