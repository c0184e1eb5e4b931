"""Readers of sensors in files of their own beside a recording: a format is one file here and one entry of `SENSORS`.

A reader is a function (path, layout) -> `SensorReading`. The layout is an entry of `sensor_files` of a dataset YAML:
`SensorLayout`, or a subclass with more keys. It raises UserError, naming the file, for a file that it cannot read.
"""

from collections.abc import Callable
from typing import NamedTuple

from sleepkd.cohorts.sensors.acceleration import AccelerationLayout, read_acceleration
from sleepkd.cohorts.sensors.count_table import CountTableLayout, read_counts
from sleepkd.cohorts.sensors.sensor_layout import SensorLayout, SensorReading


class SensorFormat(NamedTuple):
    """How a format of sensor files is read. read: the reader. layout: the keys of an entry of `sensor_files`."""

    read: Callable[..., SensorReading]
    layout: type[SensorLayout]


SENSORS: dict[str, SensorFormat] = {
    "counts": SensorFormat(read_counts, CountTableLayout),
    "acceleration": SensorFormat(read_acceleration, AccelerationLayout),
}

__all__ = ["SENSORS", "SensorFormat", "SensorLayout", "SensorReading"]
