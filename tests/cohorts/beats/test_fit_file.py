"""FIT files made here byte by byte, after the public description of the format."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sleepkd.cohorts.beats import BEATS, BeatTimes, beat_format
from sleepkd.cohorts.clock import moment_of
from sleepkd.errors import UserError

START = int((datetime(2024, 3, 9, 22, 30, tzinfo=UTC) - datetime(1989, 12, 31, tzinfo=UTC)).total_seconds())
FILE_ID, RECORD, ACTIVITY, MONITORING, HRV, MONITORING_INFO = 0, 20, 34, 55, 78, 103
FIELDS = {  # number, size, base type, as struct writes it
    FILE_ID: [(0, 1, 0x00, "B")],
    RECORD: [(253, 4, 0x86, "I"), (3, 1, 0x02, "B")],
    ACTIVITY: [(253, 4, 0x86, "I"), (5, 4, 0x86, "I")],
    MONITORING: [(26, 2, 0x84, "H"), (27, 1, 0x02, "B")],
    MONITORING_INFO: [(253, 4, 0x86, "I"), (0, 4, 0x86, "I")],
    HRV: [(0, 10, 0x84, "5H")],
}
CRC = (
    0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
    0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
)  # fmt: skip


def crc(content: bytes) -> bytes:
    value = 0
    for byte in content:
        for half in (byte, byte >> 4):
            value = (value >> 4) & 0x0FFF ^ CRC[value & 0xF] ^ CRC[half & 0xF]
    return struct.pack("<H", value)


def fit(path: Path, messages: Sequence[tuple[int, Sequence[int]]]) -> Path:
    """Write messages (number, values of its fields)."""
    local = {number: k for k, number in enumerate(FIELDS)}
    data = b""
    for number, fields in FIELDS.items():
        data += struct.pack("<BBBHB", 0x40 | local[number], 0, 0, number, len(fields))
        data += b"".join(struct.pack("BBB", *field[:3]) for field in fields)
    for number, values in messages:
        data += struct.pack("<B" + "".join(field[3] for field in FIELDS[number]), local[number], *values)
    header = struct.pack("<BBHI4s", 14, 0x10, 2132, len(data), b".FIT")
    header += crc(header)
    path.write_bytes(header + data + crc(header + data))
    return path


def read(path: Path) -> BeatTimes:
    pytest.importorskip("fitdecode")
    form = beat_format(path)
    assert form == "fit"
    return BEATS[form].read(path, BEATS[form].layout(files=(path.name,), format=form))


def activity(rr_ms: np.ndarray, paused_s: int = 0) -> list[tuple[int, Sequence[int]]]:
    """A record each second, followed by the intervals that ended in it; a pause after half of the time."""
    ends = np.cumsum(rr_ms) / 1000
    messages: list[tuple[int, Sequence[int]]] = [(FILE_ID, [4])]
    for second in range(int(ends[-1]) + 1):
        clock = START + second + (paused_s if second > ends[-1] / 2 else 0)
        messages.append((RECORD, [clock, 60]))
        ended = rr_ms[(ends > second - 1) & (ends <= second)].tolist()
        if ended:
            messages.append((HRV, [*ended, *[65535] * (5 - len(ended))]))
    return [*messages, (ACTIVITY, [clock, clock + 3600])]


RR = np.rint(np.random.default_rng(0).normal(950, 60, 900)).astype(int)


def test_rr_intervals_follow_one_another_with_the_local_date(tmp_path: Path) -> None:
    found = read(fit(tmp_path / "a.fit", activity(RR)))
    np.testing.assert_allclose(np.diff(found.times), RR[: len(found.times) - 1] / 1000, atol=1e-6)
    assert len(found.times) >= len(RR) and found.cadence_s == 0
    begins = moment_of(found.start)
    assert begins is not None and abs((begins - datetime(2024, 3, 9, 23, 30)).total_seconds()) < 2


def test_a_pause_stays_a_gap(tmp_path: Path) -> None:
    found = read(fit(tmp_path / "a.fit", activity(RR, paused_s=600)))
    assert found.times[-1] == pytest.approx(RR.sum() / 1000 + 600, abs=2)
    assert np.sort(np.diff(found.times))[-1] == pytest.approx(600, abs=2)


def test_heart_rates_without_intervals(tmp_path: Path) -> None:
    messages = [(RECORD, [START + 5 * k, 50]) for k in range(200)]
    found = read(fit(tmp_path / "a.fit", messages))
    assert found.cadence_s == 5
    np.testing.assert_allclose(np.diff(found.times), 1.2, atol=1e-6)
    assert found.start is not None and (found.start.zone, moment_of(found.start)) == (
        "UTC",
        datetime(2024, 3, 9, 22, 30),
    )


def test_few_intervals_beside_heart_rates_are_not_read(tmp_path: Path) -> None:
    messages = [(RECORD, [START + 5 * k, 50]) for k in range(200)]
    found = read(fit(tmp_path / "a.fit", [*messages, (HRV, [900, 65535, 65535, 65535, 65535])]))
    assert found.cadence_s == 5


def test_daily_monitoring_counts_in_16_bits(tmp_path: Path) -> None:
    seconds = [60 * k for k in range(1, 1300)]  # beyond 65536 s
    messages = [(MONITORING, [(START + s) & 0xFFFF, 60 if s < 40000 else 75]) for s in seconds]
    found = read(fit(tmp_path / "a.fit", [(FILE_ID, [32]), (MONITORING_INFO, [START, START - 8 * 3600]), *messages]))
    assert found.cadence_s == 60 and moment_of(found.start) == datetime(2024, 3, 9, 14, 31)
    assert found.times[-1] == pytest.approx(60 * 1298, abs=1)


def test_other_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.fit"
    path.write_bytes(b"\x0e\x10\x00\x00.FIT")
    with pytest.raises(UserError, match=r"a\.fit: has not the format of a FIT file"):
        BEATS["fit"].read(path, BEATS["fit"].layout(files=("a.fit",), format="fit"))
    fit(path, activity(RR))
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(UserError, match=r"a\.fit: is a FIT file that is cut off"):
        read(path)
    path.write_bytes(content[:500] + bytes(50) + content[550:])
    with pytest.raises(UserError, match=r"a\.fit: is a (damaged FIT file|FIT file that fitdecode cannot read)"):
        read(path)
    with pytest.raises(UserError, match=r"holds no RR interval and no heart rate \(its kind of file: settings\)"):
        read(fit(path, [(FILE_ID, [2])]))
