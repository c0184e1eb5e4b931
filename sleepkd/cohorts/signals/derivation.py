"""What a signal of a cohort is made of: channels, a unit, a rate; and what a reader of signal files offers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import numpy as np

Unit = Literal["header", "uV", "mV", "V", "arbitrary"]
TargetUnit = Literal["uV", "mV"]
VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}


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


class SignalFile(Protocol):
    """What a reader of signal files offers, once it has found its file whole."""

    seconds: float

    def derive(self, choices: Sequence[Derivation], target_unit: TargetUnit) -> DerivedSignal:
        """The signal by the first derivation whose channels this file has; UserError where none fits."""

    def start(self) -> datetime | None:
        """When the recording starts, to the fraction of a second, or None where the file does not say."""


def find_channels(choices: Sequence[Derivation], labels: Sequence[str]) -> tuple[Derivation, list[int]] | None:
    """The first derivation that a file's channels fit, and their indices: plus, then minus if it has one.

    Of several channels of one name it is the first.
    """
    for choice in choices:
        wanted = [choice.plus, choice.minus] if choice.minus else [choice.plus]
        found = [_first(pattern, labels) for pattern in wanted]
        if None not in found:
            return choice, found  # type: ignore[return-value]
    return None


def plain_unit(header: str) -> Unit:
    """A header's unit, whatever its capitals and micro sign: uV, mV, V, or arbitrary where it names none of them."""
    plain = re.sub(r"[^\x00-\x7f]+", "u", header.strip().lower())  # a micro sign, in whatever encoding
    return {"uv": "uV", "mv": "mV", "v": "V"}.get(plain, "arbitrary")  # type: ignore[return-value]


def _first(pattern: str, labels: Sequence[str]) -> int | None:
    return next((i for i, label in enumerate(labels) if re.fullmatch(pattern, label.strip(), re.IGNORECASE)), None)
