"""The signals of a PhysioNet record (WFDB): a header (.hea), and the .dat or .mat files that it names."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.signals.signal_file import ChannelSamples, SignalFile, fill_missing
from sleepkd.cohorts.sleeper import Sleeper
from sleepkd.cohorts.text import read_lines
from sleepkd.cohorts.wfdb_header import base_start, comments_sleeper
from sleepkd.errors import UserError
from sleepkd.extras import require_extra


class WfdbRecord(SignalFile):
    """A record, opened by its header. Raises UserError for one that is damaged, interrupted, or without signals."""

    def __init__(self, path: Path):
        require_extra("wfdb", "prepare", f"{path}: WFDB records")
        import wfdb  # here: it imports pandas, which no other format needs

        self.path = path
        header = self._read(lambda: wfdb.rdheader(str(path.with_suffix("")), rd_segments=True))
        segments = getattr(header, "segments", None) or [header]
        if any(segment is None for segment in segments):  # wfdb cannot read the samples of such a record
            raise UserError(f"{path}: was interrupted (a segment ~), which is not read; split it where it was")
        # Each segment of a record names its channels; the first segment may be a layout without samples.
        first = next((segment for segment in segments if segment.sig_name), None)
        if not header.sig_len or not header.fs or first is None:
            raise UserError(f"{path}: describes no signals")
        self.labels = [name or f"signal {k}" for k, name in enumerate(first.sig_name, 1)]
        self._units = list(first.units)
        own = path.with_name(f"{first.record_name}.hea")
        self._calibrated = _calibrated(own if own.is_file() else path)
        frames = first.samps_per_frame or [1] * len(self.labels)
        self.rates = [float(header.fs * count) for count in frames]
        self.seconds = header.sig_len / header.fs
        self._start = base_start(header)
        self._comments = [*header.comments, *(first.comments if first is not header else ())]

    def start(self) -> Start | None:
        """The header's base date and time."""
        return self._start

    def sleeper(self) -> Sleeper:
        """Age and sex by the comments of the header."""
        return comments_sleeper(self._comments, self.path.name)

    def channel(self, index: int) -> ChannelSamples:
        """One channel; missing samples are straight lines, which the remark mentions."""
        import wfdb

        name = str(self.path.with_suffix(""))
        record = self._read(lambda: wfdb.rdrecord(name, channels=[index], smooth_frames=False))
        if record.e_p_signal is not None:
            samples = np.asarray(record.e_p_signal[0], dtype=np.float64)
        else:
            samples = np.asarray(record.p_signal[:, 0], dtype=np.float64)
        label, known = self.labels[index], self._calibrated[index]
        if not np.isfinite(samples).any():
            raise UserError(f"{self.path}: {label} has no value")
        odd = [] if known else [f"{label} has no gain in the header, so no unit"]
        missing = fill_missing(samples)
        if missing.any():
            odd.append(f"{label} has no value for {missing.sum() / self.rates[index]:.4g} s, filled")
        return ChannelSamples(samples, self._units[index], known, WARNING + ", ".join(odd) if odd else "", missing)

    def _read(self, work: Any) -> Any:
        try:
            return work()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror or error}: {error.filename or ''}") from None
        except Exception as error:  # wfdb defines no exception
            what = f"{self.path}: cannot be read as a WFDB record, or its signal file is cut off"
            raise UserError(f"{what}: {error}") from None


def _calibrated(path: Path) -> list[bool]:
    """Whether each signal of a header has a gain. `wfdb` assumes 200 per mV for one that is 0 or missing."""
    lines = [line.split() for line in read_lines(path) if line.strip() and not line.lstrip().startswith("#")]
    gains = [re.match(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", fields[2]) if len(fields) > 2 else None for fields in lines[1:]]
    return [gain is not None and float(gain[0]) != 0 for gain in gains]
