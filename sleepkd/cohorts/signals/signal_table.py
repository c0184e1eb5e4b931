"""Signals as columns of text (CSV, TSV, OpenSignals), or as arrays of a NumPy file (.npz, .npy)."""

import re
import zipfile
from pathlib import Path

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.signals.sample_times import SampleTimes, sample_times
from sleepkd.cohorts.signals.signal_file import ChannelSamples, SignalFile, fill_missing
from sleepkd.cohorts.signals.signal_text import SignalColumns, read_signal_columns
from sleepkd.errors import UserError

NUMPY_ENDINGS = (".npz", ".npy")
TIME_ARRAY = re.compile(r"(time|t|seconds|timestamps?)(_(s|ms|us|ns))?", re.IGNORECASE)
LARGEST_ARRAYS = 1 << 31
"""Bytes of the arrays of a file, unpacked."""
LEAST_GAP_S = 1.0
"""Samples that are missing for less are joined by a straight line; for longer, it is a gap of the recording."""
GIVE_RATE = "give --fs (in a dataset YAML: rate_hz)"


class SignalTable(SignalFile):
    """Columns of one rate: CSV or TSV with or without a line of names, or the arrays of a NumPy file.

    rate_hz: samples per second; None takes it from a column of times, from an array "fs", or from the comment of
    OpenSignals. Times are numbers (s, ms, µs, ns, since 1970 or not), or dates and times, and state gaps whether or not
    rate_hz is given. Columns have no unit. Raises UserError: no rate, times that fall or do not fit the rate, lines of
    different length, no column of samples.
    """

    def __init__(self, path: Path, rate_hz: float | None = None):
        self.path = path
        self.remarks = []
        columns = _arrays(path) if path.suffix.lower() in NUMPY_ENDINGS else read_signal_columns(path)
        self._times = self._read_times(columns, rate_hz)
        rate = self._times.rate_hz if self._times else rate_hz or columns.rate_hz
        if rate is None or not 0 < rate < float("inf"):
            raise UserError(f"{path}: does not say how many samples a second it has; {GIVE_RATE}, or a column time (s)")
        samples = {k: values for k, values in columns.values.items() if k not in columns.times and len(values) > 1}
        if not samples:
            raise UserError(f"{path}: holds no column of samples")
        self._columns = list(samples.values())
        self.labels = [columns.names[k] for k in samples]
        self.numbers = [k + 1 for k in samples]
        self.rates = [rate] * len(self.labels)
        length = self._times.length if self._times else max(map(len, self._columns))
        self.seconds = length / rate
        self.gaps = self._times.holes(LEAST_GAP_S) if self._times else ()

    def start(self) -> Start | None:
        """The date and time of the first sample, if the times state it."""
        return self._times.clock.start(float(self._times.clock.seconds[0])) if self._times else None

    def channel(self, index: int) -> ChannelSamples:
        """The samples of one column; missing values are straight lines, which the remark mentions."""
        label, samples = self.labels[index], self._columns[index].astype(np.float64)
        if not np.isfinite(samples).any():
            raise UserError(f"{self.path}: {label} has no value")
        blank = int((~np.isfinite(samples)).sum())
        if self._times and len(samples) == len(self._times.positions):
            samples = self._times.placed(samples)
        missing = fill_missing(samples)
        odd = f"{WARNING}{label} has no value for {blank / self.rates[index]:.4g} s, filled" if blank else ""
        return ChannelSamples(samples, "", remark=odd, missing=missing)

    def _read_times(self, columns: SignalColumns, rate_hz: float | None) -> SampleTimes | None:
        """The times of the samples by the first column of times that can be read; None without one.

        Raises UserError for times that cannot be read, unless the user states a rate.
        """
        problems = []
        for k in columns.times:
            cells = columns.values[k] if k in columns.values else columns.texts[k]
            try:
                return sample_times(cells, columns.lines, columns.units.get(k, ""), rate_hz)
            except UserError as error:
                problems.append(str(error))
        if not problems:
            return None
        if rate_hz is None:
            hint = "" if "--fs" in problems[0] else f"; {GIVE_RATE}"
            raise UserError(f"{self.path}: {problems[0]}{hint}")
        if problems[0].startswith("--fs"):
            raise UserError(f"{self.path}: {problems[0]}")
        self.remarks = [f"{WARNING}the times are not used ({problems[0]}): gaps would not be seen"]
        return None


def _arrays(path: Path) -> SignalColumns:
    """The arrays of one dimension of a NumPy file, and its sampling rate, an array "fs" of one number."""
    try:
        if path.suffix.lower() == ".npz":
            _check_size(path)
            with np.load(path) as loaded:
                arrays = {name: np.asarray(loaded[name]) for name in loaded.files}
        else:
            loaded = np.load(path, mmap_mode="r")  # a header that states more than the file holds is refused here
            arrays = {"signal": np.array(loaded)} if isinstance(loaded, np.ndarray) else {}
    except UserError:
        raise
    except Exception as error:  # of NumPy, zipfile, zlib, tokenize …, by what is damaged
        what = str(error).partition("\n")[0] if isinstance(error, (OSError, ValueError)) else "it is damaged"
        raise UserError(f"{path}: cannot be read as a NumPy file: {what}") from None
    numbers = {name: x for name, x in arrays.items() if x.dtype.kind in "iuf"}
    found = SignalColumns([])
    for name, array in numbers.items():
        if name.lower() in ("fs", "sampling_rate", "rate_hz") and array.size == 1:
            found.rate_hz = float(array.ravel()[0])
            continue
        flat = array.ravel() if array.ndim == 2 and 1 in array.shape else array
        if flat.ndim == 1 and flat.size > 1:
            if TIME_ARRAY.fullmatch(name.strip()):
                found.times.append(len(found.names))
                found.units[len(found.names)] = (TIME_ARRAY.fullmatch(name.strip()) or [""] * 4)[3] or ""
            found.values[len(found.names)] = flat.astype(np.float64)
            found.names.append(name)
    if not found.values:
        shapes = ", ".join(f"{name} {x.dtype} {x.shape}" for name, x in arrays.items())
        raise UserError(f"{path}: holds no array of numbers of one dimension (samples): {shapes}")
    return found


def _check_size(path: Path) -> None:
    """Raise UserError for a file that unpacks to absurdly much."""
    with zipfile.ZipFile(path) as file:
        size = sum(item.file_size for item in file.infolist())
    if size > LARGEST_ARRAYS:
        raise UserError(f"{path}: its arrays hold {size / 2**30:.0f} GiB unpacked, more than any recording")
