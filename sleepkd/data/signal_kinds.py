"""The kinds of signals (EEG, ECG, heartbeats, …): unit, stored rate, conditioning, normalisation. One entry each.

A kind's name is the name of the signal everywhere: `signals:` of a dataset YAML, the file in the store, `stage.inputs`,
and the key in a batch.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SignalKind:
    """How signals of one kind are stored, conditioned, normalised and printed.

    label: its name in print.
    unit: of the stored physical values; "" keeps the unit of the file.
    rate_hz: samples per second in every store; None is the rate of the store. A signal with a rate of its own is
    resampled over the whole night, whatever the store's `resample`.
    scale: unit of normalisation "physical", in `unit`: of the order of the interquartile range in sleep.
    channels: regular expression for channel names that look like this kind, to guess a channel that no one named.
    has_polarity: whether `prepare` detects an inverted signal and stores its polarity.
    has_heartbeats: whether `prepare` detects R peaks in it.
    on_request: whether `prepare` stores it only if `--signals` names it.
    plausible_iqr, plausible_span: ranges in `unit`, outside of which `prepare` warns of a wrong unit: of the
    interquartile range over the night, and of the span from the 0.5th to the 99.5th percentile.
    stored_as: "samples" are read by `inputs.SignalInput`, "heartbeats" (times of R peaks) by `inputs.BeatsInput`.
    """

    label: str
    unit: str = ""
    rate_hz: float | None = None
    scale: float = 1.0
    channels: str = ""
    has_polarity: bool = False
    has_heartbeats: bool = False
    on_request: bool = False
    plausible_iqr: tuple[float, float] | None = None
    plausible_span: tuple[float, float] | None = None
    stored_as: Literal["samples", "heartbeats"] = "samples"


SIGNAL_KINDS: dict[str, SignalKind] = {
    "eeg": SignalKind(
        label="EEG",
        unit="uV",
        scale=20.0,
        channels=r"(EEG[ _-]?)?(C3|C4|F3|F4|O1|O2|Cz|Fz|Fpz|Pz)\b.*",
        plausible_iqr=(2.0, 200.0),
    ),
    "ecg": SignalKind(
        label="ECG",
        unit="mV",
        scale=0.1,
        channels=r".*(ECG|EKG).*",
        has_polarity=True,
        has_heartbeats=True,
        plausible_span=(0.05, 20.0),
    ),
    "eog": SignalKind(label="EOG", unit="uV", scale=20.0, channels=r".*EOG.*", on_request=True),
    "emg": SignalKind(label="EMG", unit="uV", scale=5.0, channels=r".*(EMG|chin).*", on_request=True),
    "beats": SignalKind(label="heartbeats", stored_as="heartbeats"),
}


def sampled_kinds() -> dict[str, SignalKind]:
    """The kinds that are stored as samples: all but heartbeats."""
    return {name: kind for name, kind in SIGNAL_KINDS.items() if kind.stored_as == "samples"}
