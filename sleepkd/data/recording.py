"""The signals of one recording: montage, units, polarity, rate."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Literal

import edfio
import mne
import numpy as np
from scipy.signal import butter, firwin, kaiserord, resample_poly, sosfiltfilt

from sleepkd.errors import UserError

Unit = Literal["header", "uV", "mV", "V", "arbitrary"]


@dataclass(frozen=True)
class Derivation:
    """One way to get a signal: the channel that matches `plus`, less the one that matches `minus` if given.

    plus, minus: regular expressions for the whole channel name, upper and lower case alike.
    unit: of the numbers in the file; "header" believes the file's header.
    """

    plus: str
    minus: str = ""
    unit: Unit = "header"


@dataclass(frozen=True)
class DerivedSignal:
    """A signal (samples,) float64 at its recorded rate: in µV or mV, or the file's own numbers (unit arbitrary)."""

    samples: np.ndarray
    rate_hz: float
    derivation: str
    unit: str


VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}
# What MNE 1.13 takes for volts (mne/io/edf/edf.py); it passes other units on unscaled, capital UV and MV among them.
_SCALED_BY_MNE = {"uV": 1e-6, "\xb5V": 1e-6, "\x83\xcaV": 1e-6, "mV": 1e-3}


class EdfFile:
    """The header of an EDF file, read and found complete. Raises UserError where it is damaged or cut off."""

    def __init__(self, path: Path):
        self.path = path
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self._header = edfio.read_edf(path, header_encoding="latin1")
                self.units = {signal.label: signal.physical_dimension for signal in self._header.signals}
                self.rates = {signal.label: signal.sampling_frequency for signal in self._header.signals}
            except Exception as error:  # edfio has no error of its own: damage shows as whatever it stumbles over
                raise UserError(f"{path}: is damaged or no EDF: {error}") from None
        cut_off = [str(w.message) for w in caught if "record" in str(w.message) and "data" in str(w.message).lower()]
        if cut_off:
            raise UserError(f"{path}: is cut off: {cut_off[-1].removesuffix(' Updating header.')}")
        if not self._header.num_data_records:
            raise UserError(f"{path}: holds no data record")
        if self._header.reserved.startswith("EDF+D") and not self._header.is_continuous:
            raise UserError(f"{path}: was interrupted (EDF+D): after a gap, no sample lies where its number says")

    def derive(self, choices: Sequence[Derivation], target_unit: Literal["uV", "mV"]) -> DerivedSignal:
        """The signal by the first derivation whose channels this file has; UserError where none fits."""
        for choice in choices:
            plus = self._find(choice.plus)
            minus = self._find(choice.minus) if choice.minus else None
            if plus and (minus or not choice.minus):
                return self._read(plus, minus, choice.unit, target_unit)
        wanted = " or ".join(f"{c.plus} minus {c.minus}" if c.minus else c.plus for c in choices)
        raise UserError(f"{self.path}: no channel fits {wanted}; it has {', '.join(self.units)}")

    def start(self) -> datetime | None:
        """When the recording starts, as its header says, to the fraction of a second that EDF+ adds to it."""
        second = self._read_raw([]).info["meas_date"]
        try:
            return second and second.replace(microsecond=self._header.starttime.microsecond)
        except ValueError:  # no time in the header, or a first annotation that is not UTF-8
            return second

    def _read_raw(self, labels: list[str]) -> mne.io.BaseRaw:
        try:
            return mne.io.read_raw_edf(self.path, include=labels, encoding="latin1", verbose="error")
        except Exception as error:  # as in __init__
            raise UserError(f"{self.path}: is damaged or no EDF: {error}") from None

    def _find(self, pattern: str) -> str | None:
        return next((label for label in self.units if re.fullmatch(pattern, label.strip(), re.IGNORECASE)), None)

    def _read(self, plus: str, minus: str | None, unit: Unit, target_unit: Literal["uV", "mV"]) -> DerivedSignal:
        labels = [plus] if minus is None else [plus, minus]
        if len({self.rates[label] for label in labels}) > 1:
            raise UserError(f"{self.path}: {plus} and {minus} were recorded at different rates")
        scaled = [self._read_channel(label, unit, target_unit) for label in labels]
        samples, unit_name = scaled[0]
        if minus is not None:
            samples = samples - scaled[1][0]
        return DerivedSignal(samples, self.rates[plus], f"{plus} - {minus}" if minus else plus, unit_name)

    def _read_channel(self, label: str, unit: Unit, target_unit: Literal["uV", "mV"]) -> tuple[np.ndarray, str]:
        volts = self._read_raw([label]).get_data()[0]
        values = volts / _SCALED_BY_MNE.get(self.units[label], 1.0)  # the numbers the file states
        if unit == "header":
            unit = _plain_unit(self.units[label])
        if unit == "arbitrary":
            return values, "arbitrary"
        return values * (VOLTS[unit] / VOLTS[target_unit]), target_unit


def _plain_unit(header: str) -> Unit:
    """A header's unit, whatever its capitals and micro sign: uV, mV, V, or arbitrary where it names none of them."""
    plain = re.sub(r"[^\x00-\x7f]+", "u", header.strip().lower())  # a micro sign, in whatever encoding
    return {"uv": "uV", "mv": "mV", "v": "V"}.get(plain, "arbitrary")  # type: ignore[return-value]


def resample_night(samples: np.ndarray, rate_hz: float, target_hz: float) -> np.ndarray:
    """A whole signal (samples,) at another rate; sample k lies at k / target_hz seconds, as before at k / rate_hz.

    Polyphase filtering, zero-phase: flat up to 90 % of the highest frequency that both rates can hold, and 60 dB down
    beyond it, so that nothing aliases. The ratio is the simplest fraction that drifts by less than a tenth of a sample
    over the night.
    """
    exact = Fraction(target_hz).limit_denominator(10**6) / Fraction(rate_hz).limit_denominator(10**6)
    for largest in (10**2, 10**3, 10**4, 10**5):
        ratio = exact.limit_denominator(largest)
        if abs(float(ratio / exact) - 1) * len(samples) * float(exact) < 0.1:
            break
    if ratio == 1:
        return samples
    nyquist = 1 / max(ratio.numerator, ratio.denominator)  # in units of that of the signal between the two rates
    taps, beta = kaiserord(60, 0.1 * nyquist)
    lowpass = firwin(taps | 1, 0.95 * nyquist, window=("kaiser", beta))
    middle = np.median(samples)  # without its offset, a signal has none of the filter's ripple on it
    # Beyond its ends a signal is held, not dropped to zero, which would ring.
    return middle + resample_poly(samples - middle, ratio.numerator, ratio.denominator, window=lowpass, padtype="edge")


def detect_polarity(ecg: np.ndarray, rate_hz: float) -> int:
    """Whether an ECG's R waves point up (+1) or down (-1), by majority over the night's 2-s pieces.

    Between 1 and 25 Hz, the wander of the baseline gone, the R wave is the tallest thing: each piece votes with how far
    its highest value exceeds its lowest, in units of their sum.
    """
    band = butter(2, (1, min(25, 0.45 * rate_hz)), btype="bandpass", fs=rate_hz, output="sos")
    filtered = sosfiltfilt(band, ecg)
    length = min(round(2 * rate_hz), len(ecg))
    pieces = filtered[: len(filtered) // length * length].reshape(-1, length)
    high, low = pieces.max(axis=1), -pieces.min(axis=1)
    vote = (high - low) / np.maximum(high + low, np.finfo(float).tiny)
    return -1 if np.median(vote) < 0 else 1
