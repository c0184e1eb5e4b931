"""Active energy of an export of Apple Health as movement: the export holds no acceleration and no activity counts."""

from array import array
from datetime import datetime
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats.apple_health import apple_moment, read_export
from sleepkd.cohorts.sensors.count_table import PER_SECONDS
from sleepkd.cohorts.sensors.sensor_layout import SensorReading

ACTIVE_ENERGY = "HKQuantityTypeIdentifierActiveEnergyBurned"
CALORIES = {"kcal": 1000.0, "Cal": 1000.0, "cal": 1.0, "kJ": 1000 / 4.184}
"""Calories in a unit of energy."""
LONGEST_S = 3600.0
"""A record of a longer time says nothing about a sleep epoch."""


def read_active_energy(path: Path, begin: datetime, seconds: float) -> SensorReading | None:
    """The active energy of a night, calories per 30 s, one value every 30 s; None without any.

    begin: local date and time of the night. seconds: its length. The energy of a record is spread evenly over its time;
    where there is no record, or records of several devices overlap, the value is missing or their mean.
    Raises UserError as `read_export` does.
    """
    starts, ends, values = array("d"), array("d"), array("d")

    def add(tag: str, attributes: dict[str, str]) -> None:
        if tag != "Record" or attributes.get("type") != ACTIVE_ENERGY:
            return
        try:
            moments = [apple_moment(attributes.get(name, "")).replace(tzinfo=None) for name in ("startDate", "endDate")]
            energy = float(attributes.get("value", "")) * CALORIES[attributes.get("unit", "kcal")]
        except (ValueError, KeyError):
            return
        first, last = ((moment - begin).total_seconds() for moment in moments)
        if 0 < last - first <= LONGEST_S and last > 0 and first < seconds and np.isfinite(energy) and energy >= 0:
            starts.append(first)
            ends.append(last)
            values.append(energy)

    read_export(path, add)
    if not starts:
        return None
    count = int(np.ceil(seconds / PER_SECONDS))
    total, covered = np.zeros(count), np.zeros(count)
    edges = np.arange(count + 1) * PER_SECONDS
    for first, last, energy in zip(starts, ends, values, strict=True):
        part = np.diff(np.clip(edges, first, last))
        total += energy / (last - first) * part
        covered += part
    known = covered >= PER_SECONDS / 2
    samples = np.where(known, total / np.where(known, covered, 1.0) * PER_SECONDS, np.nan)
    return SensorReading(samples, 1 / PER_SECONDS, 0.0, "active energy") if known.any() else None
