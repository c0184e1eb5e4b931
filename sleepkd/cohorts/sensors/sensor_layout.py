"""Where the files of a sensor are, and the series that every reader of them returns."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.clock import Start


@dataclass(frozen=True)
class SensorLayout:
    """One entry of the section `sensor_files` of a dataset YAML: a sensor in a file of its own beside the recording.

    files: templates of file names, as `LabelLayout.files`. format: a key of `SENSORS`.
    """

    files: tuple[str, ...]
    format: str


class SensorReading(NamedTuple):
    """The series of a sensor. samples: (samples,) float64, NaN for a missing one, evenly spaced.

    rate_hz: samples per second. start: date and time of the zero of its times; None: the recording's first sample.
    first_s: when the first sample begins, s from that zero. name: of its columns.
    remarks: what is odd, with "WARNING: " before what a person should look at.
    """

    samples: np.ndarray
    rate_hz: float
    first_s: float
    name: str
    start: Start | None = None
    remarks: tuple[str, ...] = ()

    @property
    def end_s(self) -> float:
        """When the last sample ends, s from the zero of the file's times."""
        return self.first_s + len(self.samples) / self.rate_hz
