"""What a signal of a cohort is made of: channels, a unit, a rate; and what a reader of signal files offers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.remarks import WARNING

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


class SignalFile(Protocol):
    """What a reader of signal files offers, once it has found its file whole.

    seconds: from the first sample to the last. gaps: (start, end), s, where nothing was recorded; signals run through.
    remarks: what is odd about the file, "WARNING: …" where a person should look at it.
    """

    seconds: float
    gaps: Sequence[tuple[float, float]]
    remarks: Sequence[str]

    def derive(self, choices: Sequence[Derivation], target_unit: TargetUnit) -> DerivedSignal:
        """The signal by the first derivation whose channels this file has; UserError where none fits."""

    def start(self) -> Start | None:
        """When the recording starts, to the fraction of a second, or None where files of this format do not say."""


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
