"""What a signal of a cohort is made of: channels, a unit, a rate; and what every file of signals offers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.remarks import WARNING
from sleepkd.errors import UserError

Unit = Literal["header", "uV", "mV", "V", "arbitrary"]
TargetUnit = Literal["uV", "mV"]
VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}


@dataclass(frozen=True)
class Derivation:
    """One way to get a signal: the channel that matches `plus`, less the one that matches `minus` if given.

    plus, minus: regular expressions for the whole channel name, upper and lower case alike.
    unit: of the numbers in the file; "header" believes the file's header. which: of several channels of one name, the
    first (1), the second …
    """

    plus: str
    minus: str = ""
    unit: Unit = "header"
    which: int = 1


@dataclass(frozen=True)
class DerivedSignal:
    """A signal (samples,) float64 at its recorded rate: in µV or mV, or the file's own numbers (unit arbitrary).

    remarks: what is odd about it.
    """

    samples: np.ndarray
    rate_hz: float
    derivation: str
    unit: str
    remarks: tuple[str, ...] = ()


class ChannelSamples(NamedTuple):
    """One channel as its file has it: physical numbers (samples,) float64, their unit in the file's own words.

    known: whether the numbers have a unit at all; remark: what is odd about them, "" where nothing is.
    """

    samples: np.ndarray
    unit: str
    known: bool = True
    remark: str = ""


class SignalFile:
    """A file of signals, opened and found whole. A format is a subclass that fills in what follows, and `channel`.

    labels, rates: of each channel; two may have one name, so channels go by their index. seconds: from the first sample
    to the last. gaps: (start, end), s, where nothing was recorded; signals run through. remarks: what is odd about the
    file, "WARNING: …" where a person should look at it. A file that cannot be read is a UserError of the constructor.
    """

    path: Path
    labels: Sequence[str]
    rates: Sequence[float]
    seconds: float
    gaps: Sequence[tuple[float, float]] = ()
    remarks: Sequence[str] = ()

    def channel(self, index: int) -> ChannelSamples:
        """The samples of one channel."""
        raise NotImplementedError

    def start(self) -> Start | None:
        """When the recording starts, to the fraction of a second, or None where files of this format do not say."""
        return None

    def derive(self, choices: Sequence[Derivation], target_unit: TargetUnit) -> DerivedSignal:
        """The signal by the first derivation whose channels this file has.

        Raises UserError: none fits, plus and minus differ in rate or in what their unit is, no samples.
        """
        found = find_channels(choices, self.labels)
        if found is None:
            wanted = " or ".join(f"{c.plus} minus {c.minus}" if c.minus else c.plus for c in choices)
            raise UserError(f"{self.path}: no channel fits {wanted}; it has {', '.join(self.labels)}")
        choice, channels, remark = found
        names = [self.labels[i] for i in channels]
        if len({self.rates[i] for i in channels}) > 1:
            raise UserError(f"{self.path}: {' and '.join(names)} were recorded at different rates")
        if not self.rates[channels[0]]:
            raise UserError(f"{self.path}: {names[0]} has no samples")
        samples, unit, remarks = self._in_unit(channels[0], choice.unit, target_unit)
        for i in channels[1:]:
            other, other_unit, more = self._in_unit(i, choice.unit, target_unit)
            remarks += more
            if other_unit != unit:
                raise UserError(f"{self.path}: {names[0]} is in {unit} and {names[1]} in {other_unit}, name their unit")
            samples -= other
        said = tuple(filter(None, (remark, *remarks)))
        return DerivedSignal(samples, self.rates[channels[0]], " - ".join(names), unit, said)

    def _in_unit(self, index: int, unit: Unit, target_unit: TargetUnit) -> tuple[np.ndarray, str, list[str]]:
        """A channel in the unit asked for where its own is known, its unit, and what there is to remark on it."""
        samples, header, known, remark = self.channel(index)
        if unit == "header":
            unit = plain_unit(header)
            if unit == "arbitrary" and known:
                odd = f"{WARNING}{self.labels[index]} is in {header!r}, no voltage: the numbers are taken as they are"
                return samples, unit, [remark, odd]
        if unit == "arbitrary" or not known:
            return samples, "arbitrary", [remark]
        samples *= VOLTS[unit] / VOLTS[target_unit]
        return samples, target_unit, [remark]


def find_channels(choices: Sequence[Derivation], labels: Sequence[str]) -> tuple[Derivation, list[int], str] | None:
    """The first derivation that a file's channels fit, their indices (plus, then minus if it has one), and a remark.

    Of several channels of one name it is the one that `which` says, and the remark warns where it says nothing.
    """
    for choice in choices:
        wanted = [choice.plus, choice.minus] if choice.minus else [choice.plus]
        fitting = [_fitting(pattern, labels) for pattern in wanted]
        if all(len(found) >= choice.which for found in fitting):
            chosen = [found[choice.which - 1] for found in fitting]
            twice = [labels[found[0]] for found in fitting if len(found) > 1]
            remark = ""
            if twice and choice.which == 1:
                remark = f"{WARNING}several channels are named {twice[0]}, the first is used; which: 2 takes the second"
            return choice, chosen, remark
    return None


def plain_unit(header: str) -> Unit:
    """A header's unit, whatever its capitals and micro sign: uV, mV, V, or arbitrary where it names none of them."""
    plain = re.sub(r"[^\x00-\x7f]+", "u", header.strip().lower())  # a micro sign, in whatever encoding
    return {"uv": "uV", "mv": "mV", "v": "V"}.get(plain, "arbitrary")  # type: ignore[return-value]


def _fitting(pattern: str, labels: Sequence[str]) -> list[int]:
    """The first channel that a pattern fits, and those of the same name after it."""
    fits = [i for i, label in enumerate(labels) if re.fullmatch(pattern, label.strip(), re.IGNORECASE)]
    return [i for i in fits if labels[i].strip().lower() == labels[fits[0]].strip().lower()]
