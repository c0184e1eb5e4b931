"""The signals of an EDF or EDF+ file."""

import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import edfio
import mne
import numpy as np

from sleepkd.cohorts.signals.derivation import (
    VOLTS,
    Derivation,
    DerivedSignal,
    TargetUnit,
    Unit,
    find_channels,
    plain_unit,
)
from sleepkd.errors import UserError

# Stores so far were read through MNE 1.13 (mne/io/edf/edf.py), which goes by way of volts where it knows the unit.
# So does `_numbers`, so that a recording prepared anew is the same to the last bit.
_BY_WAY_OF_VOLTS = {"uV": 1e-6, "\xb5V": 1e-6, "\x83\xcaV": 1e-6, "mV": 1e-3}


class EdfFile:
    """The header of an EDF file, read and found complete. Raises UserError where it is damaged or cut off.

    Channels are told apart by their index: nothing keeps a file from having two of one name.
    """

    def __init__(self, path: Path):
        self.path = path
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self._header = edfio.read_edf(path, header_encoding="latin1")
                self._channels = self._header.signals
                self.labels = [channel.label for channel in self._channels]
                self.units = [channel.physical_dimension for channel in self._channels]
                self.rates = [channel.sampling_frequency for channel in self._channels]
                self.seconds = float(self._header.num_data_records * self._header.data_record_duration)
            except Exception as error:  # edfio has no error of its own: damage shows as whatever it stumbles over
                raise self._damaged(error) from None
        cut_off = [str(w.message) for w in caught if "record" in str(w.message) and "data" in str(w.message).lower()]
        if cut_off:
            raise UserError(f"{path}: is cut off: {cut_off[-1].removesuffix(' Updating header.')}")
        if not self._header.num_data_records:
            raise UserError(f"{path}: holds no data record")
        if self._header.reserved.startswith("EDF+D") and not self._header.is_continuous:
            raise UserError(f"{path}: was interrupted (EDF+D): after a gap, no sample lies where its number says")

    def derive(self, choices: Sequence[Derivation], target_unit: TargetUnit) -> DerivedSignal:
        """The signal by the first derivation whose channels this file has; UserError where none fits."""
        found = find_channels(choices, self.labels)
        if found is None:
            wanted = " or ".join(f"{c.plus} minus {c.minus}" if c.minus else c.plus for c in choices)
            raise UserError(f"{self.path}: no channel fits {wanted}; it has {', '.join(self.labels)}")
        choice, channels = found
        names = [self.labels[i] for i in channels]
        if len({self.rates[i] for i in channels}) > 1:
            raise UserError(f"{self.path}: {' and '.join(names)} were recorded at different rates")
        samples, unit = self._read(channels[0], choice.unit, target_unit)
        for i in channels[1:]:
            samples -= self._read(i, choice.unit, target_unit)[0]
        return DerivedSignal(samples, self.rates[channels[0]], " - ".join(names), unit)

    def start(self) -> datetime | None:
        """When the recording starts, as its header says, to the fraction of a second that EDF+ adds to it."""
        try:
            second = mne.io.read_raw_edf(self.path, include=[], encoding="latin1", verbose="error").info["meas_date"]
        except Exception as error:  # as in __init__
            raise self._damaged(error) from None
        try:
            return second and second.replace(microsecond=self._header.starttime.microsecond)
        except ValueError:  # no time in the header, or a first annotation that is not UTF-8
            return second

    def _damaged(self, error: Exception) -> UserError:
        return UserError(f"{self.path}: is damaged or no EDF: {error}")

    def _read(self, index: int, unit: Unit, target_unit: TargetUnit) -> tuple[np.ndarray, str]:
        try:
            values = self._numbers(index)
        except (ValueError, OSError) as error:
            raise self._damaged(error) from None
        if unit == "header":
            unit = plain_unit(self.units[index])
        if unit == "arbitrary":
            return values, "arbitrary"
        values *= VOLTS[unit] / VOLTS[target_unit]
        return values, target_unit

    def _numbers(self, index: int) -> np.ndarray:
        """The numbers that a channel's header makes of its samples; a range that is none counts as 1."""
        channel = self._channels[index]
        # The header's own text: edfio's properties refuse a decimal comma.
        low, high = _number(channel._physical_min), _number(channel._physical_max)
        lowest, highest = _number(channel._digital_min), _number(channel._digital_max)
        step = ((high - low) or 1.0) / ((highest - lowest) or 1.0)
        values = channel.get_digital_slice(0, self.seconds) * step  # .digital would be kept beside it
        values += low - lowest * step
        volts = _BY_WAY_OF_VOLTS.get(self.units[index], 1.0)
        values *= volts
        values /= volts
        return values


def _number(field: bytes) -> float:
    return float(field.decode("latin1").strip("\0 ").replace(",", "."))
