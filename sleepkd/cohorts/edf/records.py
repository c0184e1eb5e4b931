"""The data records of an EDF, EDF+ or BDF file: samples by channel, annotations, and when each record begins."""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.edf.header import read_header
from sleepkd.cohorts.remarks import WARNING
from sleepkd.errors import UserError

_TAL = re.compile(rb"([+-]?\d+(?:[.,]\d*)?)(?:\x15(\d*(?:[.,]\d*)?))?\x14(.*)", re.DOTALL)
"""EDF+'s time-stamped annotation list: onset, perhaps a duration, texts that each end with \\x14."""
_RECORD_TIME = re.compile(rb"([+-]?\d+(?:[.]\d*)?)\x14\x14\0")
BLOCK_BYTES = 1 << 20
LEAST_GAP = 0.05
"""A record that begins so many seconds after the end of the one before is after a gap. Record times are never exact:
they are rounded, or sums of floats."""


class Annotation(NamedTuple):
    """A text of an EDF+ file. onset_s: from the header's time; duration_s: 0 if the file gives none."""

    onset_s: float
    duration_s: float
    text: str


class Gap(NamedTuple):
    """An interruption. record: the first one after it. start_s, end_s: from the first sample."""

    record: int
    start_s: float
    end_s: float


class EdfRecords:
    """An EDF, EDF+ or BDF file: its header, and its complete records.

    remarks: what is odd but harmless. Raises UserError: no EDF, damaged, cut off, no record.
    """

    def __init__(self, path: Path):
        self.path, self.header = path, read_header(path)
        self.remarks: list[str] = []
        self.count = self._count()
        header = self.header
        widths = [header.sample_bytes * channel.samples for channel in header.channels]
        self._first = np.concatenate([[0], np.cumsum(widths)])

    @property
    def seconds_per_record(self) -> float:
        """The duration of a record. Raises UserError if the header states none."""
        if self.header.record_seconds is None:
            raise UserError(f"{self.path}: is damaged: its header gives records no duration, so signals have no rate")
        return self.header.record_seconds

    def samples(self, channel: int) -> np.ndarray:
        """The stored numbers of a channel, (records * samples per record,): int16, of a BDF int32."""
        raw = self._part(channel)
        if self.header.sample_bytes == 2:
            return raw.view("<i2").ravel()
        wide = np.zeros((raw.size // 3, 4), dtype=np.uint8)
        wide[:, 1:] = raw.reshape(-1, 3)
        return wide.view("<i4").ravel() >> 8

    @cached_property
    def annotations(self) -> list[Annotation]:
        """All texts of all annotation channels, in the order of the file; UTF-8 or, if it is not, Latin-1."""
        return [
            Annotation(_seconds(onset), _seconds(duration or b"0"), _decoded(text))
            for record in range(self.count)
            for onset, duration, texts in self._lists(record)
            for text in texts.split(b"\x14")
            if text
        ]

    @cached_property
    def record_onsets(self) -> np.ndarray | None:
        """When each record begins, s from the header's time, (records,); NaN for a record without a time; None: all.

        It is the onset of a record's first list, whose first text is empty.
        """
        times = np.full(self.count, np.nan)
        if not self._texts:
            return None
        first, width = self._text_parts[0].tobytes(), self._text_parts[0].shape[1]
        for record in range(self.count):
            usual = _RECORD_TIME.match(first, record * width, (record + 1) * width)
            if usual:  # a pattern for all of them takes a quarter of the time of `_lists`
                times[record] = float(usual[1])
                continue
            found = next(self._lists(record), None)
            if found and (not found[2] or found[2].startswith(b"\x14")):
                times[record] = _seconds(found[0])
        return None if np.isnan(times).all() else times

    @property
    def unreadable(self) -> int:
        """The number of invalid annotation lists: no onset, a negative duration."""
        pieces = (piece for part in self._text_parts for record in part for piece in record.tobytes().split(b"\0"))
        return sum(bool(piece) and not _TAL.fullmatch(piece) for piece in pieces)

    @property
    def start(self) -> Start:
        """Date and time of the header, and the delay of the first sample after them."""
        return Start(self.header.date, self.header.time, self._begin())

    def gaps(self) -> list[Gap]:
        """The interruptions of the recording, whether or not its header states any.

        Raises UserError for records that overlap.
        """
        onsets = self.record_onsets
        if onsets is None:
            return []
        step, tolerance = self.seconds_per_record, self._tolerance()
        found: list[Gap] = []
        begin, anchor, skipped = self._begin(), 0, 0.0
        late = onsets - begin - step * np.arange(len(onsets))
        while True:
            off = np.flatnonzero(np.abs(late[anchor:] - skipped) > tolerance)
            if not len(off):
                return found
            anchor += int(off[0])
            if late[anchor] < skipped:
                raise UserError(
                    f"{self.path}: its records overlap: number {anchor + 1} begins {skipped - late[anchor]:.3g} s "
                    "before the one before it ends"
                )
            end = float(onsets[anchor] - begin)
            found.append(Gap(anchor, end - float(late[anchor] - skipped), end))
            skipped = late[anchor]

    def _begin(self) -> float:
        """When the first record begins, s from the header's time, by the first record with a time."""
        onsets = self.record_onsets
        if onsets is None:
            return 0.0
        first = int(np.flatnonzero(np.isfinite(onsets))[0])
        before = first * self.seconds_per_record if first else 0.0
        return float(onsets[first]) - before

    @cached_property
    def _texts(self) -> list[int]:
        return [i for i, channel in enumerate(self.header.channels) if channel.is_annotations]

    @cached_property
    def _text_parts(self) -> list[np.ndarray]:
        return [self._part(channel) for channel in self._texts]

    def _tolerance(self) -> float:
        """The tolerance of record times, s, by the number of digits that they are written with."""
        digits = 0
        for record in range(0, self.count, max(1, self.count // 100)):
            found = next(self._lists(record), None)
            digits = max(digits, len(found[0].replace(b",", b".").partition(b".")[2]) if found else 0)
        resolution = 10.0**-digits
        exact = abs(self.seconds_per_record / resolution - round(self.seconds_per_record / resolution)) < 1e-9
        return LEAST_GAP if exact else max(LEAST_GAP, resolution)

    def _part(self, channel: int) -> np.ndarray:
        """The bytes of a channel, (records, bytes), read in blocks: a mapped file would stay in memory."""
        first, last = self._first[channel], self._first[channel + 1]
        out = np.empty((self.count, last - first), dtype=np.uint8)
        block = max(1, BLOCK_BYTES // self.header.record_bytes)
        with self.path.open("rb") as file:
            file.seek(self.header.bytes)
            for start in range(0, self.count, block):
                some = min(block, self.count - start)
                raw = np.frombuffer(file.read(some * self.header.record_bytes), dtype=np.uint8)
                out[start : start + some] = raw.reshape(some, -1)[:, first:last]
        return out

    def _lists(self, record: int) -> Iterator[tuple[bytes, bytes | None, bytes]]:
        """Onset, duration and texts of each annotation list of a record."""
        for part in self._text_parts:
            for piece in part[record].tobytes().split(b"\0"):
                if piece and (match := _TAL.fullmatch(piece)):
                    yield match[1], match[2], match[3]

    def _count(self) -> int:
        """The number of complete records by the size of the file. Raises UserError if the header states more."""
        header = self.header
        if min(channel.samples for channel in header.channels) < 0 or header.record_bytes < 1:
            raise UserError(f"{self.path}: is damaged: its header says that a record holds nothing")
        whole, tail = divmod(self.path.stat().st_size - header.bytes, header.record_bytes)
        if whole < 1 and not tail and header.records < 1:
            raise UserError(f"{self.path}: holds no data record")
        if whole < max(header.records, 1):
            raise UserError(
                f"{self.path}: is cut off: its header says {header.records} data records, it holds {whole}; "
                "fetch or copy it again"
            )
        if header.records == -1:
            self.remarks.append(f"the header says -1 data records, the file holds {whole}: used")
        elif whole > header.records:
            self.remarks.append(
                f"{WARNING}the header says {header.records} data records, the file holds {whole}: all are used"
            )
        return whole


def _seconds(text: bytes) -> float:
    return float(text.replace(b",", b".") or b"0")


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8").strip()
    except UnicodeDecodeError:
        return text.decode("latin1").strip()
