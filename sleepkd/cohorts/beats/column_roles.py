"""What a column of a table of heartbeats holds, by its name: RR intervals, heart rate, times, date, person, source."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["interval", "rate", "value", "beat", "sample", "time", "date", "person", "source", "ecg", ""]

INTERVAL = {"rr", "rri", "rrs", "rris", "ibi", "ibis", "nn", "nni", "nns", "nnis", "bbi", "bbis", "pp", "ppi", "ppis"}
INTERVAL_PHRASES = ("r r", "beat to beat", "inter beat", "interbeat", "heart period", "heartbeat interval")
RATE = {"hr", "bpm", "heartrate", "heartrates", "pulse", "pulserate", "pr", "herzfrequenz", "puls"}
RATE_PHRASES = ("heart rate", "beats per", "beats min")
BEAT = {"beat", "beats", "heartbeat", "heartbeats", "peak", "peaks", "rpeak", "rpeaks", "qrs"}
SAMPLE = {"sample", "samples", "rpoint", "rpoints", "sampleindex", "sampleno"}
EXACT_TIME = {"timestamp", "timestamps", "datetime", "isotime", "unix", "unixtime", "epoch", "utc", "isodate"}
TIME = EXACT_TIME | {"time", "times", "seconds", "sec", "secs", "second", "s", "t", "ms", "ns", "elapsed", "clock"}
TIME |= {"start", "uhrzeit", "zeit", "since", "starttime", "timems"}
DATE = {"date", "day", "datum"}
PERSON = {"subject", "participant", "patient", "person", "user", "userid", "subjectid", "participantid", "pid"}
SOURCE = {"source", "device", "sensor", "sourcename", "app", "provider", "deviceid", "metric", "type"}
ABOUT_A_VALUE = {
    "quality", "confidence", "accuracy", "valid", "validity", "flag", "status", "error", "errors", "count", "index",
    "id", "zones", "zone",
    "variability", "hrv", "rmssd", "sdnn", "max", "maximum", "min", "minimum", "resting", "limit",
    "alarm", "std", "sd", "contact", "artifact", "artefact", "annotation", "speed", "steps", "timezone", "offset",
}  # fmt: skip
"""Words that make a column say something about intervals or rates, not list them."""
UNITS = {
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "ms": "ms", "msec": "ms", "msecs": "ms", "millis": "ms", "millisecond": "ms", "milliseconds": "ms",
    "us": "us", "µs": "us", "μs": "us", "microseconds": "us", "ns": "ns", "nanoseconds": "ns",
    "min": "min", "minutes": "min", "1/1024": "1/1024 s", "1/1024 s": "1/1024 s",
}  # fmt: skip
UNIT_CELL = re.compile(
    r"[\[(]?\s*(s|secs?|seconds?|ms|msecs?|milliseconds|[uµμ]s|ns|bpm|beats/min|1/min|/min|count/min|mv|[uµμ]v|v|%|"
    r"yyyy.*|dd.*|hh:mm.*|iso.*|unix.*|utc|datetime)\s*[\])]?",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-zà-ÿµμ]+|\d+")


@dataclass(frozen=True)
class ColumnName:
    """A column's name in lower-case words, and the unit that it states ("s", "ms", "us", "ns", "min"), or ""."""

    words: tuple[str, ...]
    unit: str

    @property
    def text(self) -> str:
        """The words without numbers, for a comparison of two names."""
        return " ".join(word for word in self.words if not word.isdigit())


def column_name(name: str) -> ColumnName:
    """A name taken apart: `RR-interval [ms]`, `rr_ms` and `rrMs` are rr, in ms."""
    bracket = re.search(r"[\[(]([^\])]*)[\])]\s*$", name)
    unit = unit_of(bracket[1]) if bracket else ""
    bare = name[: bracket.start()] if bracket and bracket.start() else name
    words = tuple(word.lower() for word in _WORDS.findall(bare))
    if not unit and words and words[-1] in UNITS and words[-1] != "min" and (len(words) > 1 or len(words[0]) > 1):
        unit = UNITS[words[-1]]
    return ColumnName(words, unit)


def unit_of(text: str) -> str:
    """A unit of time as a key of `time_units.SECONDS_OF`; "" for any other text."""
    return UNITS.get(" ".join(text.strip(" []()").lower().split()), "")


def role_of(name: str) -> Role:
    """What a column of this name holds; "" for none of these."""
    words = column_name(name).words
    known, phrase = set(words), " ".join(words)
    is_rate = bool(known & RATE) or any(text in phrase for text in RATE_PHRASES)
    is_interval = bool(known & INTERVAL) or any(text in phrase for text in INTERVAL_PHRASES)
    if is_rate and not (known & ABOUT_A_VALUE - {"min", "count"} or is_interval or known & EXACT_TIME):
        return "rate" if not known & {"min", "count"} or "beats min" in phrase or "count min" in phrase else ""
    if known & PERSON or words in (("id",), ("name",)):
        return "person"
    if known & SOURCE and not known & (TIME | ABOUT_A_VALUE - {"id"} | RATE) and not (is_rate or is_interval):
        return "source"
    if known & ABOUT_A_VALUE and not known & TIME:
        return ""
    if is_interval and not known & EXACT_TIME and not known & ABOUT_A_VALUE:
        return "interval"
    if known & {"ecg", "ekg"} and not known & (BEAT | TIME):
        return "ecg"
    if (known & SAMPLE or phrase in ("r point", "r points")) and "rate" not in known:
        return "sample"
    if known & TIME and not known & {"zone", "timezone", "offset", "end"}:
        return "time"
    if known & BEAT:
        return "beat"
    if known & DATE:
        return "date"
    return "value" if words[:1] == ("value",) else ""


def names_beats(names: Sequence[str]) -> bool:
    """Whether one of these columns holds RR intervals, heart rates or beats."""
    return any(role_of(name) in ("interval", "rate", "beat") for name in names)


def is_unit_row(cells: Sequence[str]) -> bool:
    """Whether a row below the names holds units."""
    return any(cells) and all(UNIT_CELL.fullmatch(cell) for cell in cells if cell)
