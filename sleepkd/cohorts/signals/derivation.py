"""How a dataset YAML derives a signal from the channels of a file: one channel, or one minus another, in a unit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from sleepkd.cohorts.remarks import WARNING

Unit = Literal["header", "uV", "mV", "V", "%", "degC", "arbitrary"]
ARBITRARY: Literal["arbitrary"] = "arbitrary"
VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}
SPELLINGS = {"%": ("%", "percent", "pct", "% sat"), "degC": ("degc", "c", "\xb0c", "deg c", "celsius", "degreec")}
"""How headers spell the units that are no voltages, in small letters."""


@dataclass(frozen=True)
class Derivation:
    """A channel that matches `plus`, minus one that matches `minus` if given.

    plus, minus: regular expressions for the whole channel name, in any capitals.
    unit: of the numbers in the file; "header" takes the unit of the file's header.
    which: of several channels of one name, the first (1), the second, ….
    """

    plus: str
    minus: str = ""
    unit: Unit = "header"
    which: int = 1


@dataclass(frozen=True)
class DerivedSignal:
    """A signal (samples,) float64 at its recorded rate, in the unit of its kind, or in the file's ("arbitrary").

    derivation: the names of its channels. remarks: what is odd about it.
    missing: bool (samples,), where the file holds no value and `samples` are straight lines; None: nowhere.
    """

    samples: np.ndarray
    rate_hz: float
    derivation: str
    unit: str
    remarks: tuple[str, ...] = ()
    missing: np.ndarray | None = None


def find_channels(choices: Sequence[Derivation], labels: Sequence[str]) -> tuple[Derivation, list[int], str] | None:
    """The first derivation that a file's channels fit, their indices (plus, then minus), and a remark or "".

    Of several channels of one name, `which` chooses one; the remark warns that the first was used by default.
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
    """A header's unit of voltage in any capitals and with any micro sign: uV, mV or V; "arbitrary" for any other."""
    plain = re.sub(r"[^\x00-\x7f]+", "u", header.strip().lower())  # a micro sign, in whatever encoding
    return cast(Unit, {"uv": "uV", "mv": "mV", "v": "V"}.get(plain, ARBITRARY))


def is_spelling(header: str, unit: str) -> bool:
    """Whether a header's unit is this one, which is not a voltage."""
    return header.strip().lower() in SPELLINGS.get(unit, (unit.lower(),))


def _fitting(pattern: str, labels: Sequence[str]) -> list[int]:
    """The first channel that a pattern fits, and those of the same name after it."""
    fits = [i for i, label in enumerate(labels) if re.fullmatch(pattern, label.strip(), re.IGNORECASE)]
    return [i for i in fits if labels[i].strip().lower() == labels[fits[0]].strip().lower()]
