"""What every reader of signals offers: channels by index, their rates, gaps, and the start of the recording."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.signals.derivation import (
    ARBITRARY,
    VOLTS,
    Derivation,
    DerivedSignal,
    Unit,
    find_channels,
    is_spelling,
    plain_unit,
)
from sleepkd.cohorts.sleeper import Sleeper
from sleepkd.errors import UserError


class ChannelSamples(NamedTuple):
    """One channel: physical numbers (samples,) float64, and their unit in the words of the file.

    known: whether the numbers have a unit at all. remark: what is odd about them, or "".
    missing: bool (samples,), where the file holds no value and `samples` are straight lines; None: nowhere.
    """

    samples: np.ndarray
    unit: str
    known: bool = True
    remark: str = ""
    missing: np.ndarray | None = None


class SignalFile:
    """An opened, complete file of signals. A format is a subclass that sets these attributes and defines `channel`.

    labels, rates: of each channel, by index, because two channels may have one name. numbers: by which a user names
    each, from 1; () counts the channels. seconds: from the first sample to the last. gaps: (start, end), s, where
    nothing was recorded; the signals run through them. remarks: what is odd about the file, with "WARNING: " before
    what a person should look at. The constructor raises UserError for a file that cannot be read.
    """

    path: Path
    labels: Sequence[str]
    rates: Sequence[float]
    seconds: float
    numbers: Sequence[int] = ()
    gaps: Sequence[tuple[float, float]] = ()
    remarks: Sequence[str] = ()

    def channel(self, index: int) -> ChannelSamples:
        """The samples of one channel."""
        raise NotImplementedError

    def start(self) -> Start | None:
        """When the recording starts, to the fraction of a second. None: the format does not state it."""
        return None

    def sleeper(self) -> Sleeper:
        """Age and sex of the sleeper by the file; unknown where the format does not state them."""
        return Sleeper()

    def derive(self, choices: Sequence[Derivation], target_unit: str) -> DerivedSignal:
        """The signal by the first derivation whose channels this file has, in the unit of its kind.

        Raises UserError: no derivation fits, plus and minus differ in rate or unit, no samples.
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
        given = [self.channel(i) for i in channels]
        samples, unit, remarks = self._in_unit(channels[0], given[0], choice.unit, target_unit)
        for i, channel in zip(channels[1:], given[1:], strict=True):
            other, other_unit, more = self._in_unit(i, channel, choice.unit, target_unit)
            remarks += more
            if other_unit != unit:
                raise UserError(f"{self.path}: {names[0]} is in {unit} and {names[1]} in {other_unit}, name their unit")
            samples -= other
        odd = tuple(filter(None, (remark, *remarks)))
        gone = [channel.missing for channel in given if channel.missing is not None]
        missing = np.logical_or.reduce(gone) if gone else None
        return DerivedSignal(samples, self.rates[channels[0]], " - ".join(names), unit, odd, missing)

    def _in_unit(
        self, index: int, channel: ChannelSamples, unit: Unit, target_unit: str
    ) -> tuple[np.ndarray, str, list[str]]:
        """A channel in the target unit if its own is known, its unit then, and remarks."""
        samples, header, known, remark, _ = channel
        stated = header.strip() if unit == "header" else unit
        if not known or stated == ARBITRARY:
            return samples, ARBITRARY, [remark]
        if not stated and not target_unit:
            return samples, ARBITRARY, [remark]
        if not stated:
            odd = f"{WARNING}{self.labels[index]} has no unit: the numbers are taken as they are"
            return samples, ARBITRARY, [remark, odd]
        if not target_unit:
            return samples, stated, [remark]
        if target_unit not in VOLTS:
            if is_spelling(stated, target_unit):
                return samples, target_unit, [remark]
            odd = f"{WARNING}{self.labels[index]} is in {stated!r}, not in {target_unit}: check its unit"
            return samples, stated, [remark, odd]
        voltage = plain_unit(stated)
        if voltage == ARBITRARY:
            odd = f"{WARNING}{self.labels[index]} is in {header!r}, no voltage: the numbers are taken as they are"
            return samples, ARBITRARY, [remark, odd]
        samples *= VOLTS[voltage] / VOLTS[target_unit]
        return samples, target_unit, [remark]


def fill_missing(samples: np.ndarray) -> np.ndarray:
    """Replace missing values (NaN, infinite) by straight lines, in place; returns where they were, bool (samples,).

    At least one value must be there.
    """
    missing = ~np.isfinite(samples)
    draw_lines(samples, missing)
    return missing


def draw_lines(samples: np.ndarray, missing: np.ndarray) -> None:
    """Replace samples (samples,), in place, by straight lines between the others. At least one other must be there."""
    if missing.any():
        at = np.arange(len(samples))
        samples[missing] = np.interp(at[missing], at[~missing], samples[~missing])
