"""Signals as columns of text (CSV, TSV), or as arrays of a NumPy file (.npz, .npy)."""

from pathlib import Path

import numpy as np

from sleepkd.cohorts.signals.signal_file import ChannelSamples, SignalFile, fill_missing
from sleepkd.cohorts.text import delimiter_of, is_number, read_lines, split_cells
from sleepkd.errors import UserError

NUMPY_ENDINGS = (".npz", ".npy")
TIME_NAMES = ("time", "t", "seconds", "time_s", "timestamp", "time [s]", "time (s)")
UNEVEN = 0.02
"""Samples are missing if the median step of the times differs from the mean step by more than this, in parts of it."""
GIVE_RATE = "give --fs (in a dataset YAML: rate_hz)"


class SignalTable(SignalFile):
    """Columns of one rate: CSV or TSV with or without a line of names, or the arrays of a NumPy file.

    rate_hz: samples per second; None takes it from a column of times, s, or from an array "fs". Columns have no unit.
    Raises UserError: no rate, uneven times, lines of different length, no column of samples.
    """

    def __init__(self, path: Path, rate_hz: float | None = None):
        self.path = path
        columns = _arrays(path) if path.suffix.lower() in NUMPY_ENDINGS else _columns(path)
        if rate_hz is None and "fs" in columns and columns["fs"].size == 1:
            rate_hz = float(columns["fs"].ravel()[0])
        columns = {name: values for name, values in columns.items() if values.ndim == 1 and values.size > 1}
        times = next((name for name in columns if name.strip().lower() in TIME_NAMES), None)
        if rate_hz is None and times is not None:
            rate_hz = _rate_of(path, columns[times])
        if rate_hz is None or not rate_hz > 0:
            raise UserError(f"{path}: does not say how many samples a second it has; {GIVE_RATE}, or a column time (s)")
        self._columns = {name: values for name, values in columns.items() if name != times}
        if not self._columns:
            raise UserError(f"{path}: holds no column of samples")
        self.labels = list(self._columns)
        self.rates = [rate_hz] * len(self.labels)
        self.seconds = max(map(len, self._columns.values())) / rate_hz

    def channel(self, index: int) -> ChannelSamples:
        """The samples of one column; missing values are straight lines."""
        label = self.labels[index]
        samples = self._columns[label].astype(np.float64)
        if not np.isfinite(samples).any():
            raise UserError(f"{self.path}: {label} has no value")
        fill_missing(samples)
        return ChannelSamples(samples, "")


def _rate_of(path: Path, times: np.ndarray) -> float:
    """Samples per second of even times, s."""
    steps = np.diff(times)
    if not (steps > 0).all():
        raise UserError(f"{path}: its times do not rise from line to line; {GIVE_RATE}")
    mean, median = steps.mean(), np.median(steps)
    if abs(median / mean - 1) > UNEVEN:
        raise UserError(f"{path}: samples are missing (steps of {median:.4g} s, {mean:.4g} s on average); {GIVE_RATE}")
    return float(1 / mean)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path)
        if isinstance(loaded, np.ndarray):
            return {"signal": loaded}
        with loaded as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as a NumPy file: {error}") from None


def _columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table by name, or by number ("1", "2", …) if its first line holds numbers."""
    lines = [line for line in read_lines(path) if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise UserError(f"{path}: is empty")
    delimiter = delimiter_of(lines[0])
    first = split_cells(lines[0], delimiter)
    named = not all(is_number(cell) for cell in first)
    names = [cell or str(k) for k, cell in enumerate(first, 1)] if named else [str(k + 1) for k in range(len(first))]
    body = lines[1:] if named else lines
    try:
        values = np.genfromtxt(body, delimiter=delimiter, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise UserError(f"{path}: lines differ in their number of columns: {str(error).splitlines()[0]}") from None
    if values.shape[1] != len(names):
        raise UserError(f"{path}: has {len(names)} names for {values.shape[1]} columns")
    return dict(zip(names, values.T, strict=True))
