"""Raw acceleration of the wrist, reduced to activity counts per 30 s by the method of te Lindert and Van Someren."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt

from sleepkd.cohorts.sensors.count_table import PER_SECONDS
from sleepkd.cohorts.sensors.number_table import beginning, timed_values
from sleepkd.cohorts.sensors.sensor_layout import SensorLayout, SensorReading
from sleepkd.errors import UserError

RATE_HZ, BAND_HZ, ORDER = 50, (3.0, 11.0), 5
RANGE_G, BINS = 5.0, 128
COUNT_SECONDS, OFFSET, FACTOR = 15, 18.0, 3.07
LEAST_HZ = 22.5
"""Slower acceleration does not hold the band."""
GAP_S = 1.0
"""Samples farther apart are interrupted: seconds without a sample count for nothing."""
LEAST_SHARE = 0.5
"""A count with a smaller share of its seconds measured is missing."""


@dataclass(frozen=True)
class AccelerationLayout(SensorLayout):
    """`sensor_files` of format "acceleration".

    time, z: columns of the times and of the axis that is perpendicular to the wrist, by name, or by number without a
    header. unit_g: the unit of the acceleration, in g (9.81 m/s²).
    """

    time: str = "time"
    z: str = "z"
    unit_g: float = 1.0
    delimiter: str = ","
    has_header: bool = True


def read_acceleration(path: Path, layout: AccelerationLayout) -> SensorReading:
    """Activity counts as a rate per 30 s, one every 15 s, of a table of acceleration; NaN where it was interrupted.

    Raises UserError: no such columns, acceleration slower than 22.5 per second.
    """
    read = timed_values(path, layout.time, layout.z, layout.delimiter, layout.has_header)
    known = np.isfinite(read.values)
    seconds, z = read.clock.seconds[known], read.values[known] * layout.unit_g
    seconds, first = np.unique(seconds, return_index=True)
    if len(seconds) < 2:
        raise UserError(f"{path}: column {layout.z} holds no acceleration")
    rate_hz = 1 / float(np.median(np.diff(seconds)))
    if rate_hz < LEAST_HZ:
        raise UserError(f"{path}: holds {rate_hz:.3g} samples per second, the counts need {LEAST_HZ:g}")
    even = np.arange(seconds[0], seconds[-1], 1 / RATE_HZ)
    counts = activity_counts(np.interp(even, seconds, z[first]))
    measured = np.ones(len(even), dtype=bool)
    for k in np.flatnonzero(np.diff(seconds) > GAP_S):
        measured[np.searchsorted(even, seconds[k]) : np.searchsorted(even, seconds[k + 1])] = False
    share = measured[: len(counts) * COUNT_SECONDS * RATE_HZ].reshape(len(counts), -1).mean(axis=1)
    counts = np.where(share >= LEAST_SHARE, counts, np.nan) * (PER_SECONDS / COUNT_SECONDS)
    if not np.isfinite(counts).any():
        raise UserError(f"{path}: holds less than {COUNT_SECONDS} s of acceleration")
    first_s, start = beginning(read.clock, float(seconds[0]))
    return SensorReading(counts, 1 / COUNT_SECONDS, first_s, f"counts of {layout.z}", start)


def activity_counts(z: np.ndarray) -> np.ndarray:
    """Activity counts (n // 750,) of every 15 s of acceleration (n,), g, at 50 samples per second.

    The method is of B. te Lindert and E. Van Someren, Sleep Estimates Using Microelectromechanical Systems (MEMS),
    Sleep 36 (2013), 781-789, which reproduces the counts of an Actiwatch: 3 to 11 Hz, rectified, digitized in 128 steps
    of 5 g, the largest of each second, summed over 15 s, and (sum - 18) * 3.07, not below 0. Walch et al. (Sleep 42,
    2019) used it for sleep-accel. The axis perpendicular to the wrist alone is read.
    """
    epochs = len(z) // (COUNT_SECONDS * RATE_HZ)
    if not epochs:
        return np.zeros(0)
    band = butter(ORDER, BAND_HZ, btype="bandpass", fs=RATE_HZ, output="sos")
    rectified = np.abs(sosfiltfilt(band, z))
    steps = np.digitize(rectified, np.linspace(0, RANGE_G, BINS + 1))
    peaks = steps[: epochs * COUNT_SECONDS * RATE_HZ].reshape(epochs, COUNT_SECONDS, RATE_HZ).max(axis=2)
    return np.maximum((peaks.sum(axis=1) - OFFSET) * FACTOR, 0.0)
