"""Averaged heart rate of watches and chest straps: from heartbeats to the rate that a device stores, and back.

A network reads an averaged heart rate as the heartbeats that `beats_of_rate` makes of it. Readers of raw files, the
augmentation `data.augment.averaged` and `sleepkd simulate --device` share these functions.
"""

from dataclasses import dataclass

import numpy as np

from sleepkd.config import require
from sleepkd.data.beats import plausible_intervals

SHORTEST_GAP_S, CADENCES_OF_GAP = 20.0, 2.5
SPARSE_CADENCE_S, SPARSE_GAP_S = 60.0, 20.0 * 60
"""A watch that measures every few minutes at night often leaves out a measurement."""
LEAST_PLAUSIBLE = 0.1
"""A rate is missing if a smaller share of its averaging window lies within plausible RR intervals."""
DROPPED_RUN_S, REPEATED_RUN_S = 60.0, 30.0
"""Mean length of a run of missing and of repeated values: as long as a movement or a loose sensor. Our choice."""
HIGHEST_RATE = 400.0
"""Beats per minute. A higher value is damaged: integrating it would fill the memory."""
LONGEST_S = 60.0
"""Longest averaging window and cadence that `draw_device` draws; the shortest are 1 s."""


@dataclass(frozen=True)
class RateDevice:
    """What a device does to a heart rate: averaging, resampling, rounding, lag, missing and repeated values.

    window_s: averaging window, s.
    cadence_s: one value every so many seconds, at whole multiples of it.
    rounding: step in beats per minute; 0 does not round.
    lag_s: time stamp minus the middle of the averaging window, s. Half a window stamps the end of the window, minus
    half a window its beginning.
    dropped: share of the values that are missing, in runs of `DROPPED_RUN_S` on average, from 0 to below 1.
    repeated: share of the values that repeat the last one, in runs of `REPEATED_RUN_S` on average, from 0 to below 1.
    Raises UserError naming an impossible value.
    """

    window_s: float
    cadence_s: float
    rounding: float = 1.0
    lag_s: float = 0.0
    dropped: float = 0.0
    repeated: float = 0.0

    def __post_init__(self) -> None:
        for name in ("window_s", "cadence_s"):
            value = getattr(self, name)
            require(0 < value < np.inf, name, f"must be positive, is {value}")
        require(0 <= self.rounding < np.inf, "rounding", f"must be 0 or more, is {self.rounding}")
        require(bool(np.isfinite(self.lag_s)), "lag_s", f"must be a number of seconds, is {self.lag_s}")
        for name in ("dropped", "repeated"):
            value = getattr(self, name)
            require(0 <= value < 1, name, f"must be from 0 to below 1, is {value}")

    @property
    def reach_s(self) -> float:
        """Farthest heartbeat, s, on which the heartbeats read at a time depend, but for gaps."""
        return self.window_s / 2 + abs(self.lag_s) + self.cadence_s


DEVICES = {
    "strap": RateDevice(window_s=5, cadence_s=1, lag_s=2.5),
    "watch": RateDevice(window_s=10, cadence_s=5, lag_s=5, dropped=0.03, repeated=0.03),
    "band": RateDevice(window_s=60, cadence_s=60),
}
"""A chest strap's rate every second, a watch's every 5 s, a fitness band's every minute; typical values, our choice."""


def draw_device(rng: np.random.Generator) -> RateDevice:
    """A random device: averages over 1 to 60 s, every 1 to 60 s, mostly whole numbers.

    Cadence and window are log-uniform; half of the devices average over just their cadence. The time stamp lies between
    the beginning of the window and half a window after its end. Half of the devices drop values, half repeat some.
    """
    cadence_s, window_s = np.exp(rng.uniform(0, np.log(LONGEST_S), 2))
    window_s = cadence_s if rng.random() < 0.5 else window_s
    return RateDevice(
        window_s=float(window_s),
        cadence_s=float(cadence_s),
        rounding=1.0 if rng.random() < 0.8 else 0.0,
        lag_s=float(window_s * rng.uniform(-0.5, 1.0)),
        dropped=max(0.0, rng.uniform(-0.3, 0.3)),
        repeated=max(0.0, rng.uniform(-0.3, 0.3)),
    )


def averaged_rate(
    beats: np.ndarray, device: RateDevice, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The heart rate that a device stores: times (N,), s, and beats per minute (N,), without the missing values.

    A value is the number of RR intervals within the averaging window, in fractions, divided by their duration.
    Implausible intervals do not count. It is missing where too little of the window is plausible.
    beats: times of heartbeats (beats,), s, in order. rng: draws dropped and repeated values; None: of seed 0.
    """
    if len(beats) < 2:
        return np.zeros(0), np.zeros(0)
    rng = rng or np.random.default_rng(0)
    low, high = (np.array([beats[0], beats[-1]]) + device.lag_s) / device.cadence_s
    times = np.arange(np.ceil(low), np.floor(high) + 1) * device.cadence_s
    plausible = plausible_intervals(beats)
    edges = times - device.lag_s + np.array([[-0.5], [0.5]]) * device.window_s
    counted, covered = (
        np.diff(np.interp(edges, beats, np.concatenate([[0.0], np.cumsum(part)])), axis=0)[0]
        for part in (plausible, plausible * np.diff(beats))
    )
    known = covered >= LEAST_PLAUSIBLE * device.window_s
    times, per_minute = times[known], 60 * counted[known] / covered[known]
    if device.rounding:
        per_minute = np.round(per_minute / device.rounding) * device.rounding
    repeated = _runs(rng, len(times), device.repeated, REPEATED_RUN_S / device.cadence_s)
    dropped = _runs(rng, len(times), device.dropped, DROPPED_RUN_S / device.cadence_s)
    last = np.maximum.accumulate(np.where(repeated, 0, np.arange(len(times))))
    return times[~dropped], per_minute[last][~dropped]


def beats_of_rate(times: np.ndarray, per_minute: np.ndarray, longest_gap_s: float | None = None) -> np.ndarray:
    """Beats (beats,) of a heart rate (N,) at times (N,), s: one for each whole cycle of its integral.

    Where the rate is missing (NaN, 0, above `HIGHEST_RATE`) or times lie more than `longest_gap_s` apart, no beat is
    made up, and the cycles start again behind it. None: see `longest_gap`.
    """
    order = np.argsort(times, kind="stable")
    times, per_minute = times[order], per_minute[order]
    steps = np.diff(times)
    longest_gap_s = longest_gap(times) if longest_gap_s is None else longest_gap_s
    known = np.isfinite(times) & (per_minute > 0) & (per_minute <= HIGHEST_RATE)  # no NaN
    interrupted = ~known[1:] | ~known[:-1] | (steps > longest_gap_s)
    beats = []
    for run in np.split(np.arange(len(times)), np.flatnonzero(interrupted) + 1):
        if len(run) > 1:
            rate = per_minute[run] / 60
            cycles = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(times[run]))])
            beats.append(np.interp(np.arange(int(cycles[-1]) + 1), cycles, times[run]))
    return np.concatenate(beats) if beats else np.zeros(0)


def longest_gap(times: np.ndarray) -> float:
    """The time, s, by which two values of a heart rate at times (N,), s, in order, may differ without a gap.

    20 s, or 2.5 times the median cadence if that is longer; at least 20 min for a cadence of more than a minute.
    """
    steps = np.diff(times)
    forward = steps[steps > 0]
    cadence_s = float(np.median(forward)) if len(forward) else 0.0
    return max(SPARSE_GAP_S if cadence_s > SPARSE_CADENCE_S else SHORTEST_GAP_S, CADENCES_OF_GAP * cadence_s)


def averaged_beats(beats: np.ndarray, device: RateDevice, rng: np.random.Generator | None = None) -> np.ndarray:
    """Heartbeats (beats,), s, as a network reads them from the averaged heart rate of a device.

    For example RateDevice(30, 30) for averages of 30 s in whole numbers. rng: as in `averaged_rate`.
    """
    return beats_of_rate(*averaged_rate(beats, device, rng))


def _runs(rng: np.random.Generator, count: int, share: float, mean_length: float) -> np.ndarray:
    """Bool (count,), on average true for a share, in runs of geometric length that begin at random and may overlap."""
    if not share or not count:
        return np.zeros(count, dtype=bool)
    mean_length = max(mean_length, 1.0)
    before = int(np.ceil(5 * mean_length))  # runs that begin before the first value reach into it
    number = rng.poisson(-np.log1p(-share) / mean_length * (count + before))
    first = rng.integers(-before, count, number)
    ends = np.minimum(first + rng.geometric(1 / mean_length, number), count)
    edges = np.bincount(first.clip(0), minlength=count + 1) - np.bincount(ends.clip(0), minlength=count + 1)
    return np.cumsum(edges)[:count] > 0
