"""RR intervals or heart rates of a FIT file: activities and daily monitoring of Garmin, Suunto, Polar, Wahoo, Coros."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.cohorts.beats.beat_layout import BeatLayout, BeatTimes, ordered_beats
from sleepkd.cohorts.beats.interval_chain import beats_of_chain
from sleepkd.cohorts.clock import Start, start_of
from sleepkd.data.averaged_rate import beats_of_rate
from sleepkd.data.heart_rate_input import rate_cadence
from sleepkd.errors import UserError
from sleepkd.extras import require_extra

SINCE_1989 = datetime(1989, 12, 31, tzinfo=UTC)
"""FIT counts seconds from here."""
ENOUGH_INTERVALS = 0.5
"""RR intervals are read if they cover so much of the time of the heart rates. A watch often records none."""
NO_INTERVAL_S = 65.535


def read_fit(path: Path, layout: BeatLayout) -> BeatTimes:
    """The beats of the RR intervals (messages `hrv`) of a FIT file, or else of its heart rates, s from the first.

    The intervals follow one another; the times of the messages between them show the gaps.
    Raises UserError: no FIT file, a damaged one, one without heart rate; fitdecode is not installed.
    """
    _check_header(path)
    require_extra("fitdecode", "devices", f"{path}: FIT files")
    import fitdecode

    messages = _Messages()
    try:
        with fitdecode.FitReader(
            path, check_crc=fitdecode.CrcCheck.RAISE, error_handling=fitdecode.ErrorHandling.IGNORE
        ) as reader:
            for frame in reader:
                if frame.frame_type == fitdecode.FIT_FRAME_DATA:
                    messages.add(frame.name, {field.name: field.value for field in frame.fields})
    except fitdecode.FitError as error:
        raise UserError(f"{path}: is a damaged FIT file ({error}); export it again") from None
    except Exception as error:  # whatever odd bytes make the library raise
        raise UserError(f"{path}: is a FIT file that fitdecode cannot read ({type(error).__name__})") from None
    return messages.beats(path)


def _check_header(path: Path) -> None:
    """Raise UserError for a file that does not begin as FIT, or is cut off."""
    try:
        with path.open("rb") as file:
            head = file.read(14)
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(head) < 12 or head[8:12] != b".FIT" or head[0] not in (12, 14):
        raise UserError(f"{path}: has not the format of a FIT file, a header of 12 or 14 bytes with .FIT")
    if size < head[0] + int.from_bytes(head[4:8], "little") + 2:
        raise UserError(f"{path}: is a FIT file that is cut off; export it again")


class _Messages:
    """What is kept of the messages of a file, in order. Times are s since 1989."""

    def __init__(self) -> None:
        self.now = float("nan")
        self.intervals: list[tuple[float, float]] = []  # and the last time before
        self.rates: list[tuple[float, float]] = []  # time, per minute
        self.ahead: timedelta | None = None  # local time - UTC
        self.kind = "unknown"

    def add(self, name: str, fields: dict[str, Any]) -> None:
        """Take a message."""
        moment, short = fields.get("timestamp"), fields.get("timestamp_16")
        if isinstance(moment, datetime):
            self.now = (moment - SINCE_1989).total_seconds()
            local = fields.get("local_timestamp")
            if isinstance(local, datetime):  # it is written as if it were UTC
                self.ahead = local.replace(tzinfo=UTC) - moment
        elif isinstance(short, int) and np.isfinite(self.now):  # the last 16 bits of the time
            self.now += (short - int(self.now)) & 0xFFFF
        if name == "file_id":
            self.kind = str(fields.get("type"))
        elif name == "hrv":
            values = fields.get("time")
            values = values if isinstance(values, list | tuple) else [values]
            known = [float(x) for x in values if x is not None and 0 < x < NO_INTERVAL_S]
            self.intervals += [(self.now, x) for x in known]
        elif name in ("record", "monitoring") and fields.get("heart_rate"):
            self.rates.append((self.now, float(fields["heart_rate"])))

    def beats(self, path: Path) -> BeatTimes:
        """The beats, s from the first. Raises UserError without any."""
        if not self.intervals and not self.rates:
            raise UserError(
                f"{path}: holds no RR interval and no heart rate (its kind of file: {self.kind}); export an activity "
                "or the daily monitoring"
            )
        times, rates = np.array(self.rates).reshape(-1, 2).T
        clock, intervals = np.array(self.intervals).reshape(-1, 2).T
        cadence_s: float | None = 0.0
        if intervals.sum() >= ENOUGH_INTERVALS * (np.ptp(times) if len(times) else 0.0):
            beats = beats_of_chain(intervals, clock)
        else:
            beats, cadence_s = beats_of_rate(times, rates), rate_cadence(times, rates)
        if len(beats) < 2:
            raise UserError(f"{path}: holds no heartbeats")
        found = ordered_beats(path, beats - beats.min(), cadence_s)
        return found._replace(start=self._start(float(beats.min())))

    def _start(self, seconds: float) -> Start | None:
        """Local date and time, or UTC if the file does not state the local time; None for intervals without a clock."""
        if not np.isfinite(self.now):
            return None
        moment = (SINCE_1989 + timedelta(seconds=seconds)).replace(tzinfo=None)
        start = start_of(moment + (self.ahead or timedelta()))
        return start if self.ahead is not None else Start(start.date, start.time, start.offset_s, "UTC")
