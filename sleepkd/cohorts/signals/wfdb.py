"""The signals of a PhysioNet record (WFDB): a header (.hea) that names what lies in its .dat or .mat files."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.signals.derivation import ChannelSamples, SignalFile
from sleepkd.cohorts.text import read_lines
from sleepkd.errors import UserError


class WfdbRecord(SignalFile):
    """A record by its header. Raises UserError where it cannot be read, was interrupted, or holds no signal."""

    def __init__(self, path: Path):
        import wfdb  # here: it brings pandas along, which no other format needs

        self.path = path
        header = self._read(lambda: wfdb.rdheader(str(path.with_suffix("")), rd_segments=True))
        segments = getattr(header, "segments", None) or [header]
        if any(segment is None for segment in segments):  # wfdb reads no record that has one
            raise UserError(f"{path}: was interrupted (a segment ~), which is not read; split it where it was")
        # A record of several segments says in each what its channels are; the first may be a layout without samples.
        first = next((segment for segment in segments if segment.sig_name), None)
        if not header.sig_len or not header.fs or first is None:
            raise UserError(f"{path}: says nothing of signals")
        self.labels = [name or f"signal {k}" for k, name in enumerate(first.sig_name, 1)]
        self._units = list(first.units)
        self._calibrated = _calibrated(path.with_name(f"{first.record_name}.hea"))
        frames = first.samps_per_frame or [1] * len(self.labels)
        self.rates = [float(header.fs * count) for count in frames]
        self.seconds = header.sig_len / header.fs
        self._date, self._time = header.base_date, header.base_time

    def start(self) -> Start | None:
        """The header's base date and time."""
        if self._time is None:
            return None
        return Start(self._date, self._time.replace(microsecond=0), self._time.microsecond / 1e6)

    def channel(self, index: int) -> ChannelSamples:
        """One channel; what has no value in the file is a straight line, and said."""
        import wfdb

        name = str(self.path.with_suffix(""))
        record = self._read(lambda: wfdb.rdrecord(name, channels=[index], smooth_frames=False))
        if record.e_p_signal is not None:
            samples = np.asarray(record.e_p_signal[0], dtype=np.float64)
        else:
            samples = np.asarray(record.p_signal[:, 0], dtype=np.float64)
        missing = ~np.isfinite(samples)
        if missing.all():
            raise UserError(f"{self.path}: {self.labels[index]} has no value")
        label, known = self.labels[index], self._calibrated[index]
        said = [] if known else [f"{label} has no gain in the header, so no unit"]
        if missing.any():
            at = np.arange(len(samples))
            samples[missing] = np.interp(at[missing], at[~missing], samples[~missing])
            said.append(f"{label} has no value for {missing.sum() / self.rates[index]:.4g} s, filled")
        return ChannelSamples(samples, self._units[index], known, WARNING + ", ".join(said) if said else "")

    def _read(self, work: Any) -> Any:
        try:
            return work()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror or error}: {error.filename or ''}") from None
        except Exception as error:  # wfdb has no error of its own
            what = f"{self.path}: cannot be read as a WFDB record, or its signal file is cut off"
            raise UserError(f"{what}: {error}") from None


def _calibrated(path: Path) -> list[bool]:
    """Whether each signal of a header has a gain. Where it is 0 or left out, `wfdb` says 200 per mV all the same."""
    lines = [line.split() for line in read_lines(path) if line.strip() and not line.lstrip().startswith("#")]
    gains = [re.match(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?", fields[2]) if len(fields) > 2 else None for fields in lines[1:]]
    return [gain is not None and float(gain[0]) != 0 for gain in gains]
