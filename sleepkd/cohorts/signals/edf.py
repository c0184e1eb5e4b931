"""The signals of an EDF, EDF+ or BDF file."""

from pathlib import Path

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.edf.patient import patient_sleeper
from sleepkd.cohorts.edf.records import EdfRecords
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.signals.signal_file import ChannelSamples, SignalFile
from sleepkd.cohorts.sleeper import Sleeper
from sleepkd.errors import UserError

# MNE 1.13 (mne/io/edf/edf.py) converts units that it knows to volts. `channel` does so too, and back, so that the
# samples equal those of MNE to the last bit.
_BY_WAY_OF_VOLTS = {"uV": 1e-6, "\xb5V": 1e-6, "\x83\xcaV": 1e-6, "mV": 1e-3}


class EdfFile(SignalFile):
    """An opened, complete EDF, EDF+ or BDF file. Channels go by their index, because two may have one name.

    seconds: from the first sample to the last, gaps included. gaps: (start, end), s; the signals are straight lines
    there. Raises UserError for a file that is damaged or cut off.
    """

    def __init__(self, path: Path):
        self.path = path
        self._records = records = EdfRecords(path)
        channels = records.header.channels
        self._channels = [i for i, channel in enumerate(channels) if not channel.is_annotations]
        if not self._channels:
            raise UserError(f"{path}: holds annotations and no signal")
        self.labels = [channels[i].label for i in self._channels]
        self.rates = [channels[i].samples / records.seconds_per_record for i in self._channels]
        self._gaps = records.gaps()
        self.gaps = [(gap.start_s, gap.end_s) for gap in self._gaps]
        recorded = records.count * records.seconds_per_record
        self.seconds = recorded + sum(end - start for start, end in self.gaps)
        self.remarks = list(records.remarks)
        if records.header.interrupted and records.record_onsets is None:
            self.remarks.append(
                f"{WARNING}is marked as interrupted (EDF+D) without the times of its records, read as continuous"
            )

    def start(self) -> Start:
        """When the recording starts, to the fraction of a second that EDF+ adds to the time of the header."""
        return self._records.start

    def sleeper(self) -> Sleeper:
        """Age and sex by the patient field of EDF+ and BDF+."""
        header = self._records.header
        return patient_sleeper(header.patient, header.date, self.path.name)

    def _in_time(self, samples: np.ndarray, rate: float) -> np.ndarray:
        """Samples at the times of their records, with a straight line over each gap, which readers mask."""
        if not self._gaps:
            return samples
        per_record = round(rate * self._records.seconds_per_record)
        out = np.empty(round(self.seconds * rate))
        parts = np.split(samples, [gap.record * per_record for gap in self._gaps])
        out[: len(parts[0])] = parts[0]
        end = len(parts[0])
        for gap, part in zip(self._gaps, parts[1:], strict=True):
            begin = min(round(gap.end_s * rate), len(out) - len(part))
            out[end:begin] = np.linspace(out[end - 1], part[0], begin - end + 2)[1:-1]
            out[begin : begin + len(part)] = part
            end = begin + len(part)
        out[end:] = out[end - 1]
        return out

    def channel(self, index: int) -> ChannelSamples:
        """The physical numbers of a channel; the stored ones if its header has no range."""
        channel = self._records.header.channels[self._channels[index]]
        values = self._records.samples(self._channels[index]).astype(np.float64)
        known = channel.has_range
        if known:
            (low, high), (lowest, highest) = channel.physical, channel.digital  # type: ignore[misc]
            step = (high - low) / (highest - lowest)
            values *= step
            values += low - lowest * step
            volts = _BY_WAY_OF_VOLTS.get(channel.unit, 1.0)
            if volts != 1:
                values *= volts
                values /= volts
        remark = "" if known else f"{WARNING}{channel.label} has no range (physical or digital min and max)"
        return ChannelSamples(self._in_time(values, self.rates[index]), channel.unit, known, remark)
