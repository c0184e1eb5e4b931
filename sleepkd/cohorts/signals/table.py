"""Signals as columns of text (CSV, TSV), or as arrays of a NumPy file (.npz, .npy)."""

import csv
from pathlib import Path

import numpy as np

from sleepkd.cohorts.signals.derivation import ChannelSamples, SignalFile
from sleepkd.cohorts.text import delimiter_of, is_number, read_lines
from sleepkd.errors import UserError

TIME_NAMES = ("time", "t", "seconds", "time_s", "timestamp", "time [s]", "time (s)")
UNEVEN = 0.02
"""How far the median step may lie from the mean one, in parts of it: more, and samples are missing."""


class TableFile(SignalFile):
    """Columns of one rate: of CSV or TSV with a line of names or without, or the arrays of a NumPy file.

    rate_hz: samples per second; None: by a column of times, s, or an array "fs". Numbers have no unit.
    Raises UserError: no rate, times that are uneven, a cell that is no number, columns of different lengths.
    """

    def __init__(self, path: Path, rate_hz: float | None = None):
        self.path = path
        columns = _arrays(path) if path.suffix.lower() in (".npz", ".npy") else _columns(path)
        if rate_hz is None and "fs" in columns and columns["fs"].size == 1:
            rate_hz = float(columns["fs"].ravel()[0])
        columns = {name: values for name, values in columns.items() if values.ndim == 1 and values.size > 1}
        times = next((name for name in columns if name.strip().lower() in TIME_NAMES), None)
        if rate_hz is None and times is not None:
            rate_hz = _rate_of(path, columns[times])
        if rate_hz is None or not rate_hz > 0:
            raise UserError(f"{path}: does not say how many samples a second it has; give --fs, or a column time (s)")
        self._columns = {name: values for name, values in columns.items() if name != times}
        if not self._columns:
            raise UserError(f"{path}: holds no column of samples")
        self.labels = list(self._columns)
        self.rates = [rate_hz] * len(self.labels)
        self.seconds = max(map(len, self._columns.values())) / rate_hz

    def channel(self, index: int) -> ChannelSamples:
        """The samples of one column; what has no value is a straight line."""
        label = self.labels[index]
        samples = self._columns[label].astype(np.float64)
        missing = ~np.isfinite(samples)
        if missing.all():
            raise UserError(f"{self.path}: {label} has no value")
        if missing.any():
            at = np.arange(len(samples))
            samples[missing] = np.interp(at[missing], at[~missing], samples[~missing])
        return ChannelSamples(samples, "", known=False)


def _rate_of(path: Path, times: np.ndarray) -> float:
    steps = np.diff(times)
    if not (steps > 0).all():
        raise UserError(f"{path}: its times do not rise from line to line; give --fs")
    mean, median = steps.mean(), np.median(steps)
    if abs(median / mean - 1) > UNEVEN:
        raise UserError(f"{path}: samples are missing (steps of {median:.4g} s, {mean:.4g} s on average); give --fs")
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
    lines = [line for line in read_lines(path) if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise UserError(f"{path}: is empty")
    delimiter = delimiter_of(lines[0])
    first = next(csv.reader([lines[0]], delimiter=delimiter))
    named = not all(is_number(cell) for cell in first)
    names = (
        [cell.strip() or str(k) for k, cell in enumerate(first, 1)]
        if named
        else list(map(str, range(1, len(first) + 1)))
    )
    body = lines[1:] if named else lines
    try:
        values = np.genfromtxt(body, delimiter=delimiter, dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise UserError(f"{path}: lines differ in their number of columns: {str(error).splitlines()[0]}") from None
    if values.shape[1] != len(names):
        raise UserError(f"{path}: has {len(names)} names for {values.shape[1]} columns")
    return dict(zip(names, values.T, strict=True))
