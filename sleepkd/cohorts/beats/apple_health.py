"""Heart rates of an export of Apple Health: export.xml, export.zip or .xml.gz, of any length, night by night."""

import gzip
import re
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, cast
from xml.parsers import expat

import numpy as np

from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes
from sleepkd.cohorts.beats.rate_days import RateDays
from sleepkd.errors import UserError

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
PER_MINUTE = {"count/min": 1.0, "count/s": 60.0, "": 1.0}
LONGEST_GAP_S = 20.0 * 60
"""Heart rates farther apart are interrupted. Their median cadence is no guide: a watch measures every few minutes at
night, and every few seconds in sports."""
CHUNK = 1 << 20
ROOT = b"<HealthData"
HEADER_BYTES = 1 << 16
"""Within so many bytes the root of an export begins."""
CUT_OFF = {
    expat.errors.codes[text] for text in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN)
}
CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))
CONTROL_REFERENCE = re.compile(rb"&#(0*([0-8]|1[124-9]|2\d|3[01])|[xX]0*([0-8bBcCeEfF]|1[0-9a-fA-F]));")
"""Control characters, which XML forbids even as references, and iOS writes."""


def read_apple_health(path: Path, layout: BeatLayout) -> BeatTimes:
    """The beats of the last night, s from the first one. Raises UserError as `read_apple_days`, and without a night."""
    days = read_apple_days(path)
    return days.night(path, days.spans(path)[-1]).beats


def read_apple_days(path: Path) -> RateDays:
    """All heart rates of an export. Memory: 21 bytes for each, whatever the size of the file.

    Raises UserError as `read_export` does, and for a file without heart rates.
    """
    rates = _Rates()
    read_export(path, rates.add)
    if not rates.times:
        other = f"; {rates.unreadable} heart rates have no readable date or value" if rates.unreadable else ""
        raise UserError(f"{path}: contains no records of heart rate ({HEART_RATE}){other}")
    return rates.as_days()


def read_export(path: Path, add: Callable[[str, dict[str, str]], None]) -> None:
    """Call `add` with every start tag of an export of Apple Health and its attributes.

    The document type, which is not well formed since iOS 16, is skipped, and so are control characters.
    Raises UserError: not an export of Apple Health, a truncated file.
    """
    parser = expat.ParserCreate()
    parser.StartElementHandler = add
    try:
        with _opened(path) as file:
            for content in _well_formed(path, file):
                parser.Parse(content)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        problem = f"is cut off in line {error.lineno}" if error.code in CUT_OFF else f"is not valid XML: {error}"
        raise UserError(f"{path}: {problem}; export it again") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError) as error:
        raise UserError(f"{path}: cannot be unpacked ({error}); export it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None


class _Rates:
    """The heart rates read so far, as columns of numbers: time (unix s), local time - UTC (s), rate, source."""

    def __init__(self) -> None:
        self.times, self.ahead_s, self.per_minute = array("d"), array("i"), array("d")
        self.source = array("B")
        self.sources: dict[str, int] = {}
        self.unreadable = 0

    def add(self, tag: str, attributes: dict[str, str]) -> None:
        """Take a start tag of the file. A heart rate without a readable date or value is counted."""
        if tag != "Record" or attributes.get("type") != HEART_RATE:
            return
        try:
            moment = apple_moment(attributes.get("startDate", ""))
            rate = float(attributes.get("value", "")) * PER_MINUTE[attributes.get("unit", "")]
        except (ValueError, KeyError):
            self.unreadable += 1
            return
        offset = moment.utcoffset()
        self.times.append(moment.timestamp())
        self.ahead_s.append(round(offset.total_seconds()) if offset else 0)
        self.per_minute.append(rate)
        source = attributes.get("sourceName", "")
        self.source.append(min(self.sources.setdefault(source, len(self.sources)), 255))

    def as_days(self) -> RateDays:
        """In order of time, from the first."""
        times, per_minute = np.frombuffer(self.times), np.frombuffer(self.per_minute)
        local = times + np.frombuffer(self.ahead_s, dtype=np.int32)
        source = np.frombuffer(self.source, dtype=np.uint8)
        days = RateDays(times - times.min(), per_minute, local, source, tuple(self.sources), LONGEST_GAP_S)
        return days.select(np.argsort(times, kind="stable"))


def apple_moment(text: str) -> datetime:
    """A date as Apple writes it: 2024-03-09 23:00:00 +0100, on some phones with a 12-hour clock."""
    try:
        return datetime.fromisoformat(text[:19] + text[20:])
    except ValueError:
        plain = " ".join(text.split())  # there is a narrow space before PM
        return datetime.strptime(plain, "%Y-%m-%d %I:%M:%S %p %z")


def _opened(path: Path) -> IO[bytes]:
    """The XML of an export, perhaps unpacked. Raises UserError for an archive without one."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        return cast(IO[bytes], gzip.open(path)) if compressed else path.open("rb")
    archive = zipfile.ZipFile(path)
    named = [item for item in archive.infolist() if item.filename.lower().endswith(".xml")]
    named = [item for item in named if not item.filename.lower().endswith("_cda.xml")]  # the same for clinics
    if not named:
        raise UserError(f"{path}: is a ZIP archive without the export.xml of Apple Health; unpack it")
    return archive.open(max(named, key=lambda item: item.file_size))


def _well_formed(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """The XML from its root on, without control characters, in parts that end with a tag."""
    head = file.read(HEADER_BYTES)
    root = head.find(ROOT)
    if root < 0:
        what = (
            "the ClinicalDocument of an export of Apple Health: give export.xml" if b"<ClinicalDocument" in head else ""
        )
        raise UserError(f"{path}: is {what or 'no export of Apple Health: it has no element HealthData'}")
    rest = head[root:]
    while more := file.read(CHUNK):
        whole, bracket, rest = (rest + more).rpartition(b">")
        yield _without_controls(whole + bracket)
    yield _without_controls(rest)


def _without_controls(content: bytes) -> bytes:
    return CONTROL_REFERENCE.sub(b"", content.translate(None, CONTROLS))
