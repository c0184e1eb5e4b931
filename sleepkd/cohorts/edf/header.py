"""The header of an EDF, EDF+ or BDF file (Kemp et al. 1992, 2003; edfplus.info), field by field."""

import math
import re
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path

from sleepkd.errors import UserError

FIXED_BYTES = PER_CHANNEL_BYTES = 256
MAGIC = {b"0": 2, b"\xffBIOSEMI": 3}
"""The first bytes of a file, and its bytes per sample."""
_NO_EDF = {
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"<?xml": "XML",
    b"version https://git-lfs": "a git-lfs pointer; fetch the file that it stands for",
}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
FIRST_YEAR = 85  # of two digits: 85 is 1985, 84 is 2084
_THREE_NUMBERS = re.compile(r"(\d{1,2})[.:/\-](\d{1,2})[.:/\-](\d{1,2})")
_CHANNEL_FIELDS = (  # name, bytes
    ("label", 16),
    ("transducer", 80),
    ("unit", 8),
    ("physical_min", 8),
    ("physical_max", 8),
    ("digital_min", 8),
    ("digital_max", 8),
    ("prefilter", 80),
    ("samples", 8),
    ("reserved", 32),
)


@dataclass(frozen=True)
class Channel:
    """One channel. samples: per record. physical, digital: (minimum, maximum); None: the header states none."""

    label: str
    unit: str
    physical: tuple[float, float] | None
    digital: tuple[float, float] | None
    samples: int

    @property
    def is_annotations(self) -> bool:
        """Whether the channel holds texts, not samples."""
        return self.label in ("EDF Annotations", "BDF Annotations")

    @property
    def has_range(self) -> bool:
        """Whether both ranges are known and not empty, so that stored numbers have a physical value."""
        return all(r is not None and r[0] != r[1] for r in (self.physical, self.digital))


@dataclass(frozen=True)
class Header:
    """The header of a file.

    sample_bytes: 2, or 3 (BDF). records: as stated; -1 was never filled in. record_seconds: None: no valid duration.
    interrupted: whether the file is marked so (EDF+D). date, time: None: blank, invalid, or removed for anonymity.
    patient: the local patient identification, see patient.py.
    """

    sample_bytes: int
    bytes: int
    records: int
    record_seconds: float | None
    interrupted: bool
    date: date | None
    time: time | None
    patient: str
    channels: tuple[Channel, ...]

    @property
    def record_bytes(self) -> int:
        """Bytes of one record."""
        return self.sample_bytes * sum(channel.samples for channel in self.channels)


def read_header(path: Path) -> Header:
    """The header of a file, whatever the ending of its name. Raises UserError for no EDF, and one that is cut off."""
    try:
        with path.open("rb") as file:
            fixed = file.read(FIXED_BYTES)
            sample_bytes = _sample_bytes(path, fixed)
            count = _whole(path, fixed[252:256], "the number of signals")
            if count < 1:
                raise UserError(f"{path}: is damaged: its header says {count} signals")
            rest = file.read(PER_CHANNEL_BYTES * count)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(rest) < PER_CHANNEL_BYTES * count:
        raise UserError(f"{path}: is cut off within its header")
    seconds = _number(fixed[244:252])
    return Header(
        sample_bytes=sample_bytes,
        bytes=FIXED_BYTES + len(rest),
        records=_whole(path, fixed[236:244], "the number of data records") if _text(fixed[236:244]) else -1,
        record_seconds=seconds if seconds is not None and seconds > 0 else None,
        interrupted=_text(fixed[192:236]).startswith(("EDF+D", "BDF+D")),
        date=start_date(_text(fixed[168:176]), _text(fixed[88:168])),
        time=start_time(_text(fixed[176:184])),
        patient=_text(fixed[8:88]),
        channels=_channels(path, rest, count),
    )


def start_date(field: str, recording: str) -> date | None:
    """The date of a recording: of EDF+'s `Startdate 05-JUN-2012`, else of the header's dd.mm.yy; None if removed."""
    words = recording.split()
    if words[:1] == ["Startdate"] and len(words) > 1:
        if words[1] == "X":
            return None
        if day := written_date(words[1]):
            return day
    numbers = _three_numbers(field)
    if numbers is None:
        return None
    day_number, month_number, two_digits = numbers
    return _date(two_digits + (1900 if two_digits >= FIRST_YEAR else 2000), month_number, day_number)


def written_date(text: str) -> date | None:
    """The date of EDF+'s `05-JUN-2012`; None for another text, and for a day that does not exist."""
    day, _, rest = text.partition("-")
    month, _, year = rest.partition("-")
    if month.upper() not in MONTHS or not (day.isdigit() and year.isdigit()):
        return None
    return _date(int(year), MONTHS.index(month.upper()) + 1, int(day))


def start_time(field: str) -> time | None:
    """The time of day of a header's hh.mm.ss, also written with colons, dashes or slashes."""
    numbers = _three_numbers(field)
    if numbers is None:
        return None
    try:
        return time(*numbers)
    except ValueError:
        return None


def _three_numbers(field: str) -> tuple[int, int, int] | None:
    match = _THREE_NUMBERS.fullmatch(field)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _sample_bytes(path: Path, fixed: bytes) -> int:
    """Bytes per sample, 2 or 3. Raises UserError for a file that is not an EDF or BDF."""
    magic = fixed[:8].rstrip(b" \0")
    if magic in MAGIC:
        if len(fixed) < FIXED_BYTES:
            raise UserError(f"{path}: is cut off within its header")
        return MAGIC[magic]
    if not fixed:
        raise UserError(f"{path}: is not an EDF: it is empty, 0 bytes")
    begin = fixed[:400].lstrip().lower()
    kind = next((what for start, what in _NO_EDF.items() if begin.startswith(start)), None)
    raise UserError(f"{path}: is not an EDF: {kind or 'it begins with ' + repr(fixed[:12].decode('latin1'))}")


def _channels(path: Path, raw: bytes, count: int) -> tuple[Channel, ...]:
    fields: dict[str, list[bytes]] = {}
    begin = 0
    for name, width in _CHANNEL_FIELDS:
        fields[name] = [raw[begin + i * width : begin + (i + 1) * width] for i in range(count)]
        begin += width * count
    return tuple(
        Channel(
            label=_text(fields["label"][i]),
            unit=_text(fields["unit"][i]),
            physical=_range(fields["physical_min"][i], fields["physical_max"][i]),
            digital=_range(fields["digital_min"][i], fields["digital_max"][i]),
            samples=_whole(path, fields["samples"][i], f"the samples per record of signal {i + 1}"),
        )
        for i in range(count)
    )


def _range(low: bytes, high: bytes) -> tuple[float, float] | None:
    least, greatest = _number(low), _number(high)
    return None if least is None or greatest is None else (least, greatest)


def _text(field: bytes) -> str:
    """A field up to its first NUL, without the spaces around it. Latin-1 reads any byte."""
    return field.partition(b"\0")[0].decode("latin1").strip()


def _number(field: bytes) -> float | None:
    """A finite number with a decimal point or comma; None for a field without one."""
    try:
        value = float(_text(field).replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(path: Path, field: bytes, what: str) -> int:
    value = _number(field)
    if value is None or value != int(value):
        raise UserError(f"{path}: is damaged: its header says {_text(field)!r} for {what}")
    return int(value)
