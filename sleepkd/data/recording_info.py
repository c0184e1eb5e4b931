"""What a store knows of a recording without reading its signals: recording.json as dataclasses."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

MISSING = -32768
"""The stored value of a missing sample, of kinds that keep them (`SignalKind.keeps_missing`)."""

Sex = Literal["F", "M"]


@dataclass(frozen=True)
class SignalInfo:
    """One stored signal: physical value = scale * stored value + offset, in `unit`; `MISSING` is no value.

    Attributes
    ----------
    derivation
        The channels that it was computed from.
    unit
        Of the physical values.
    recorded_hz, rate_hz
        Samples per second in the file and in the store.
    samples
        Number of stored ones.
    scale, offset
        Of the physical values.
    median, iqr
        Median and interquartile range of the physical signal over the night; no label enters them.
    scored_median, scored_iqr
        The same over the scored part of the night; None for a night without labels.
    polarity
        -1 where the recorded signal is inverted; applied when the signal is read.
    digest
        Of the recorded samples; recordings that share one are the same night. "" in older stores.
    missing_s
        Seconds whose samples are missing.
    mean
        Over the night, of counts of movement; None for other signals.
    """

    derivation: str
    unit: str
    recorded_hz: float
    rate_hz: float
    samples: int
    scale: float
    offset: float
    median: float
    iqr: float
    scored_median: float | None = None
    scored_iqr: float | None = None
    polarity: int = 1
    digest: str = ""
    missing_s: float = 0.0
    mean: float | None = None


@dataclass(frozen=True)
class BeatsInfo:
    """The heartbeats of a recording: source, count, and the median plausible RR interval of the night, s.

    Attributes
    ----------
    source
        The file of the heartbeats, or the name of the R-peak detector.
    count
        Number of heartbeats.
    median_s
        The median plausible RR interval of the night, s.
    digest
        As in `SignalInfo`.
    cadence_s
        Time between two values of the averaged heart rate that the heartbeats were made from, s; 0 for measured
        heartbeats; None in older stores.
    """

    source: str
    count: int
    median_s: float
    digest: str = ""
    cadence_s: float | None = None


@dataclass(frozen=True)
class RecordingInfo:
    """One recording: its subject, its files, how it was scored, its signals by name, its heartbeats.

    Attributes
    ----------
    recording, subject, subset
        Names.
    standard
        Scoring standard, "aasm" or "rk".
    source, scoring
        Names of the files of signals and of labels; scoring is "" for a night without labels.
    seconds
        From the first sample to the last.
    signals
        By kind, such as "ecg".
    ignored_annotations
        {text: count} of annotations of the scoring file that are no sleep stage.
    beats
        The heartbeats; None without.
    gaps
        (start, end), s, of interruptions; nothing that overlaps one is read.
    note
        The line that `prepare` printed.
    other_scorings
        Names of the files of further scorers.
    age
        Of the sleeper, years; None: unknown, as in stores of version 0.1.
    sex
        "F" or "M"; None: unknown.
    start_time
        Time of day of the first sample, "22:30:05"; the date is not kept. "": unknown.
    """

    recording: str
    subject: str
    subset: str
    standard: str
    source: str
    scoring: str
    seconds: float
    signals: dict[str, SignalInfo]
    ignored_annotations: dict[str, int]
    beats: BeatsInfo | None = None
    gaps: tuple[tuple[float, float], ...] = ()
    note: str = ""
    other_scorings: tuple[str, ...] = ()
    age: float | None = None
    sex: Sex | None = None
    start_time: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of its signals and, if it has heartbeats, "beats": keys of `SIGNAL_KINDS`."""
        return (*self.signals, *(["beats"] if self.beats else []))

    @property
    def digests(self) -> frozenset[str]:
        """The digests of its signals and heartbeats: a copy of the recording under another name shares them."""
        beats = [self.beats.digest] if self.beats else []
        return frozenset(filter(None, [*beats, *(signal.digest for signal in self.signals.values())]))

    def clear_of_gaps(self, start_s: np.ndarray, end_s: np.ndarray) -> np.ndarray:
        """Bool, of the shape of start_s: whether the time from start_s to end_s holds no gap."""
        clear = np.ones(np.broadcast(start_s, end_s).shape, dtype=bool)
        for begin, end in self.gaps:
            clear &= (end_s <= begin + 1e-6) | (start_s >= end - 1e-6)
        return clear


def digest(samples: np.ndarray) -> str:
    """A hash of samples (samples,) rounded to float32, which the last bit of a change of unit does not alter."""
    return hashlib.blake2b(np.ascontiguousarray(samples, dtype=np.float32).data, digest_size=12).hexdigest()


def to_json(info: RecordingInfo) -> str:
    """The content of recording.json."""
    return json.dumps(asdict(info), indent=1) + "\n"


def from_json(content: dict[str, Any]) -> RecordingInfo:
    """The recording of a parsed recording.json. Raises KeyError, TypeError or AttributeError where it is damaged."""
    content = dict(content)
    content["signals"] = {name: SignalInfo(**signal) for name, signal in content["signals"].items()}
    content["beats"] = BeatsInfo(**content["beats"]) if content.get("beats") else None
    content["other_scorings"] = tuple(content.get("other_scorings", ()))
    content["gaps"] = tuple((float(start), float(end)) for start, end in content.get("gaps", ()))
    return RecordingInfo(**content)
