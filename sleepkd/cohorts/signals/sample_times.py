"""The sampling rate and the gaps of a signal, from a column of times, one per sample or one per packet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sleepkd.cohorts.beats.time_cells import ClockTimes, clock_times, numeric_times
from sleepkd.cohorts.beats.time_units import SECONDS_OF, unix_unit
from sleepkd.errors import UserError

RATES_HZ = (1.0, 20_000.0)
"""Of signals: sampling rates that times without a unit may mean."""
SLOWEST_ECG_HZ = 30.0
NEAR = 0.25
"""A step that differs from the median by a smaller share is one between neighbours."""
LARGEST_TICK = 0.6
"""Times are rounded if two of their steps differ by a smaller share of the median; by more, samples are missing."""
EVEN_SHARE = 0.9
"""Times are even if so many of their steps are between neighbours."""
UNEVEN_GAP_S = 0.5
"""Between uneven times, as those of packets, samples are missing if they are late by more."""
SAME_RATE = 0.03
"""Largest difference between a rate that a user states and that of the times, in parts of it."""
LONGEST_SECONDS = 31 * 86400.0
"""A longer recording is refused: a header or a column of times is wrong."""


@dataclass(frozen=True)
class SampleTimes:
    """Where the samples of a column lie.

    rate_hz: samples per second. positions: (rows,) int64, the number of each row's sample from the first one, rising.
    clock: the times, whose `start` gives a date. notes: decisions that may be wrong.
    """

    rate_hz: float
    positions: np.ndarray
    clock: ClockTimes
    notes: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Number of samples, those missing included."""
        return int(self.positions[-1]) + 1

    def holes(self, seconds: float) -> list[tuple[float, float]]:
        """(start, end), s, of the stretches without samples that last at least so long."""
        before = np.flatnonzero(np.diff(self.positions) - 1 >= seconds * self.rate_hz)
        return [
            (float(self.positions[k] + 1) / self.rate_hz, float(self.positions[k + 1]) / self.rate_hz) for k in before
        ]

    def placed(self, samples: np.ndarray) -> np.ndarray:
        """Samples (rows,) at their positions (length,), NaN where some are missing."""
        if len(samples) == self.length:
            return samples
        out = np.full(self.length, np.nan)
        out[self.positions] = samples
        return out


def sample_times(
    cells: Sequence[str] | np.ndarray, lines: Sequence[int], unit: str = "", rate_hz: float | None = None
) -> SampleTimes:
    """Rate and positions of samples by their times.

    cells: numbers (rows,) or texts of dates and times. lines: of the texts, for messages. unit: of numbers, "" if the
    file does not state it. rate_hz: as a user states it. Raises UserError for times that fall, that are of no sampling
    rate, or not of the one stated, and for absurd spans.
    """
    if isinstance(cells, np.ndarray):
        unit = unit or _unit_of(cells, rate_hz)
        clock = numeric_times(cells * SECONDS_OF[unit], cells, unit)
    else:
        clock = clock_times(cells, lines)
    seconds = clock.seconds
    if len(seconds) < 2 or not np.isfinite(seconds).all():
        raise UserError("its column of times has blank cells" if len(seconds) > 1 else "has less than two samples")
    if not seconds[-1] - seconds[0] <= LONGEST_SECONDS:
        raise UserError(f"its times span {(seconds[-1] - seconds[0]) / 86400:.0f} days")
    first = np.flatnonzero(np.diff(seconds, prepend=-np.inf) != 0)  # of each packet of samples with one time
    steps, counts = np.diff(seconds[first]), np.diff(first)
    if not len(steps) or (steps < 0).any():
        raise UserError("its times do not rise from line to line")
    per_sample = steps / counts
    typical = float(np.median(per_sample))
    usual = np.abs(per_sample / typical - 1) < NEAR
    # Of times in ms at 256 Hz, some steps are 3 ms and most 4 ms: both are between neighbours.
    tick = np.diff(np.unique(np.round(steps, 5))).min(initial=typical)
    tick = tick if tick < LARGEST_TICK * typical else 0.0
    near = np.abs(per_sample - typical) < NEAR * typical + tick / counts
    own_hz = counts[near].sum() / steps[near].sum()
    even = len(first) == len(seconds) and usual.mean() >= EVEN_SHARE
    if rate_hz is not None and abs(own_hz / rate_hz - 1) > SAME_RATE:
        raise UserError(f"--fs {rate_hz:g}: its times are those of {own_hz:.4g} samples per second; leave out --fs")
    rate = float(rate_hz or own_hz)
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise UserError(f"its times are those of {rate:.4g} samples per second; is their unit stated wrongly?")
    late = steps * rate - counts
    missing = np.where(late > (0.5 if even else UNEVEN_GAP_S * rate), np.rint(late), 0).astype(np.int64)
    moved = np.zeros(len(seconds), dtype=np.int64)
    moved[first[1:]] = missing
    positions = np.arange(len(seconds)) + np.cumsum(moved)
    return SampleTimes(rate, positions, clock, clock.notes)


def _unit_of(times: np.ndarray, rate_hz: float | None) -> str:
    """The unit of times without a stated one: by their size since 1970, else by their step, which must be of one rate.

    Raises UserError where several units or none fit.
    """
    if unit := unix_unit(times):
        return unit
    steps = np.diff(times)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else float("nan")
    units = ("s", "ms", "us", "ns")
    if rate_hz is not None:
        fitting = [name for name in units if abs(step * SECONDS_OF[name] * rate_hz - 1) < NEAR]
        if not fitting:
            raise UserError(
                f"--fs {rate_hz:g}: its times rise by {step:g}, which is not such a rate in s, ms, µs or ns"
            )
        return fitting[0]
    if step == 1 and (times == np.rint(times)).all():
        raise UserError("its times rise by 1: are they sample numbers, s or ms? give --fs (in a dataset YAML: rate_hz)")
    fitting = [name for name in units if SLOWEST_ECG_HZ <= 1 / (step * SECONDS_OF[name]) <= RATES_HZ[1]]
    return fitting[0] if fitting else "s"
