"""Choose the channel of a recording: the one that a user names, else the lead of the ECG whose beats are best."""

import re
from collections.abc import Sequence

import numpy as np

from sleepkd.cohorts.ecg.detect import SLOWEST_HZ
from sleepkd.cohorts.signals import Derivation, SignalFile
from sleepkd.data.signal_kinds import SIGNAL_KINDS, SignalKind
from sleepkd.errors import UserError
from sleepkd.prediction.ecg_check import beats_of_lead

NO_ECG_NAME = re.compile(
    r".*(\b(HR|BPM|rate|freq\w*|imp\w*|resp\w*|EDR|RRI?|quality|SQI|lead.?off|status|temp\w*)\b|impedan).*",
    re.IGNORECASE,
)
"""Names of what is measured beside an ECG."""
NO_ECG_UNITS = frozenset({"bpm", "1/min", "/min", "hz", "ohm", "kohm", "ω", "kω", "%", "degc", "c", "ms", "s", "l/min"})
SAMPLED_STRETCHES, STRETCH_SECONDS = 6, 300
"""Leads are compared by so many stretches of five minutes."""
AS_GOOD = 0.03
"""The first lead is taken of those whose score differs by less."""


def chosen_channel(file: SignalFile, wanted: str, name: str) -> Derivation:
    """The channel to read as a kind of signal, `name` of `SIGNAL_KINDS`.

    wanted: a channel's name, `NAME#2` for the second of one name, its number from 1, or a regular expression; "" takes
    those named like the kind, or the only channel. Of several, the lead whose beats are most plausible and alike.
    Raises UserError, listing the channels, if none fits.
    """
    kind = SIGNAL_KINDS[name]
    found = _named(file, wanted, kind)
    if not found:
        problem = f"no channel {wanted}" if wanted else f"no channel that looks like {kind.label}"
        raise UserError(f"{file.path}: has {problem}; --channel names one of {listed_channels(file)}")
    if kind.has_heartbeats:
        found = _fast_enough(file, found)
    return derivation_of(file, _best(file, found) if kind.has_heartbeats and len(found) > 1 else found[0])


def channels_like(file: SignalFile, name: str) -> list[Derivation]:
    """The first channel that is named like a kind of signal, a key of `SIGNAL_KINDS`; [] without one."""
    pattern = SIGNAL_KINDS[name].channels
    like = [k for k, label in enumerate(file.labels) if re.fullmatch(pattern, label.strip(), re.IGNORECASE)]
    return [derivation_of(file, like[0])] if pattern and like else []


def listed_channels(file: SignalFile) -> str:
    """The names of the channels, NAME#2 for the second of one name."""
    labels = [label.strip() for label in file.labels]
    return ", ".join(f"{x}#{labels[:k].count(x) + 1}" if labels.count(x) > 1 else x for k, x in enumerate(labels))


def derivation_of(file: SignalFile, index: int) -> Derivation:
    """A channel by its index as a derivation."""
    labels = [label.strip().lower() for label in file.labels]
    return Derivation(re.escape(file.labels[index].strip()), which=labels[: index + 1].count(labels[index]))


def _named(file: SignalFile, wanted: str, kind: SignalKind) -> list[int]:
    """The channels that a user names or that are named like a kind, the likeliest first."""
    labels = [label.strip() for label in file.labels]
    if not wanted:
        like = [k for k, label in enumerate(labels) if re.fullmatch(kind.channels, label, re.IGNORECASE)]
        if kind.has_heartbeats:
            like = [k for k in like if not NO_ECG_NAME.fullmatch(labels[k])] or like
        return like or ([0] if len(labels) == 1 else [])
    exact = [k for k, label in enumerate(labels) if label == wanted]
    exact = exact or [k for k, label in enumerate(labels) if label.lower() == wanted.lower()]
    if exact:
        return exact[:1]
    if numbered := re.fullmatch(r"(.+)#(\d+)", wanted):
        same = [k for k, label in enumerate(labels) if label.lower() == numbered[1].strip().lower()]
        return same[int(numbered[2]) - 1 :][:1] if int(numbered[2]) > 0 else []
    if wanted.isdecimal():
        numbers = list(file.numbers) or list(range(1, len(labels) + 1))
        return [k for k, number in enumerate(numbers) if number == int(wanted)]
    try:
        return [k for k, label in enumerate(labels) if re.fullmatch(wanted, label, re.IGNORECASE)]
    except re.error as error:
        raise UserError(
            f"--channel {wanted}: no channel has this name, and as a pattern it is wrong: {error}"
        ) from None


def _fast_enough(file: SignalFile, found: Sequence[int]) -> list[int]:
    """The channels with the sampling rate of an ECG. Raises UserError if none has."""
    fast = [k for k in found if file.rates[k] > SLOWEST_HZ]
    if not fast:
        slow = ", ".join(f"{file.labels[k].strip()} has {file.rates[k]:g} Hz" for k in found)
        raise UserError(
            f"{file.path}: {slow}, too slow for R peaks (more than {SLOWEST_HZ} Hz): a heart rate or other signal, no "
            f"ECG; --channel names one of {listed_channels(file)}"
        )
    return fast


def _best(file: SignalFile, found: Sequence[int]) -> int:
    """The first of the leads whose beats are about as good as the best."""
    scores = []
    for index in found:
        try:
            read = file.channel(index)
        except UserError:  # without a value
            scores.append(0.0)
            continue
        no_voltage = read.unit.strip().lower() in NO_ECG_UNITS
        scores.append(0.0 if no_voltage else lead_score(read.samples, file.rates[index]))
    return next(k for k, score in zip(found, scores, strict=True) if score >= max(scores) - AS_GOOD)


def lead_score(ecg: np.ndarray, rate_hz: float) -> float:
    """How good the beats of an ECG (samples,) are, 0 to 1: plausible share times likeness, a mean over stretches."""
    length = min(len(ecg), round(STRETCH_SECONDS * rate_hz))
    firsts = np.unique(np.linspace(0, len(ecg) - length, SAMPLED_STRETCHES).astype(int))
    return float(np.mean([beats_of_lead(ecg[first : first + length], rate_hz) for first in firsts]))
