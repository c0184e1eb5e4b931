"""Signals that a program holds: the channels of an mne.io.Raw or a wfdb.Record, as those of a file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.signals import SignalFile
from sleepkd.cohorts.signals.signal_file import ChannelSamples
from sleepkd.data.signal_kinds import SignalKind
from sleepkd.errors import UserError
from sleepkd.prediction.memory.arrays import checked_samples

if TYPE_CHECKING:
    import mne
    import wfdb

VOLTAGES = frozenset({"eeg", "ecg", "eog", "emg", "ecog", "seeg", "dbs", "bio"})
"""Types of channels that MNE holds in volts."""


class SignalsInMemory(SignalFile):
    """Channels that a program holds.

    path: their name in messages. read: the samples (n,) of a channel by its index, NaN where they are missing.
    units: of each channel, "" if unknown. start: when the recording starts. among: pattern of the names of channels to
    choose from; "" for those that are named like the kind of signal.
    """

    def __init__(
        self,
        path: Path,
        labels: Sequence[str],
        rates: Sequence[float],
        units: Sequence[str],
        read: Callable[[int], np.ndarray],
        start: Start | None = None,
        among: str = "",
    ):
        if not labels:
            raise UserError(f"{path}: holds no channel to read")
        self.path, self.labels, self.rates, self.read = path, labels, rates, read
        self._units, self._start, self.among = units, start, among

    def channel(self, index: int) -> ChannelSamples:
        """The samples of a channel, straight lines where they are missing. Raises UserError if all are."""
        what = f"{self.path}: {self.labels[index]}"
        unit = self._units[index]
        return ChannelSamples(checked_samples(self.read(index), self.rates[index], what).samples, unit, bool(unit))

    def start(self) -> Start | None:
        """When the recording starts."""
        return self._start


def signals_of_raw(raw: "mne.io.BaseRaw", kind: SignalKind, channel: str = "") -> SignalsInMemory:
    """The channels of an mne.io.Raw among which to choose one of a kind.

    Samples within annotations that begin with "BAD" are missing. Unless `channel` names one, channels that are marked
    bad are left out, and so are those of other types if some have the type "ecg" and an ECG is looked for.
    """
    names, types = list(raw.ch_names), raw.get_channel_types()
    chosen, typed = list(range(len(names))), []
    if not channel:
        chosen = [k for k in chosen if names[k] not in raw.info["bads"]]
        typed = [k for k in chosen if types[k] == "ecg" and kind.has_heartbeats]
    chosen = typed or chosen
    rate_hz, first_s, marks = float(raw.info["sfreq"]), float(raw.first_time), raw.annotations
    bad = [
        ((onset - first_s) * rate_hz, duration * rate_hz, of_channels)
        for onset, duration, text, of_channels in zip(
            marks.onset, marks.duration, marks.description, marks.ch_names, strict=True
        )
        if text.upper().startswith("BAD")
    ]

    def read(index: int) -> np.ndarray:
        name = names[chosen[index]]
        samples = raw.get_data(picks=[chosen[index]], verbose=False)[0]
        for first, count, of_channels in bad:
            if not of_channels or name in of_channels:
                samples[max(0, round(first)) : max(0, round(first + count))] = np.nan
        return samples

    files = [file for file in raw.filenames if file is not None]
    measured = raw.info["meas_date"]  # MNE labels it as UTC, whatever clock the file has
    return SignalsInMemory(
        Path(files[0]) if files else Path("Raw"),
        [names[k] for k in chosen],
        [rate_hz] * len(chosen),
        ["V" if types[k] in VOLTAGES else "" for k in chosen],
        read,
        None if measured is None else Start(measured.date(), measured.time(), first_s),
        among=".*" if typed else "",
    )


def signals_of_record(record: "wfdb.Record") -> SignalsInMemory:
    """The channels of a wfdb.Record, digital ones in physical units. Raises UserError for a record without samples."""
    path = Path(record.record_name or "Record")
    samples, frames = record.p_signal, [1] * (record.n_sig or 0)
    if samples is None and record.d_signal is not None:
        samples = record.dac()
    if samples is None:
        expanded = record.e_p_signal if record.e_d_signal is None else record.dac(expanded=True)
        if expanded is None:
            raise UserError(f"{path}: holds no samples, as a header; read it by wfdb.rdrecord")
        columns, frames = expanded, record.samps_per_frame
    else:
        columns = samples.T
    time = record.base_time
    return SignalsInMemory(
        path,
        [name or f"signal {k}" for k, name in enumerate(record.sig_name, 1)],
        [float(record.fs * count) for count in frames],
        [unit or "" for unit in record.units],
        lambda index: np.asarray(columns[index], dtype=np.float64),
        None if time is None else Start(record.base_date, time.replace(microsecond=0), time.microsecond / 1e6),
    )
