"""Small files of every format that is read, and damaged copies of them, by seed."""

import gzip
import json
import re
from collections.abc import Callable
from datetime import date, time
from pathlib import Path

import edfio
import numpy as np
import wfdb

from tests.cohorts.raw import heartbeats

RATE, SECONDS = 64, 700
ABSURD = [b"0", b"-1", b"1e308", b"nan", b"inf", b"99999999", b"1e-300", b"-0", b"1700000000000", b"", b"65536", b"1e9"]


def sound_files(folder: Path) -> list[Path]:
    """A small sound file of each format, written once. A WFDB header has its samples beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    ecg = np.round(heartbeats(SECONDS, RATE, 0) + 0.02 * np.random.default_rng(0).standard_normal(SECONDS * RATE), 3)
    at = np.arange(len(ecg)) / RATE
    signals = [
        edfio.EdfSignal(ecg, RATE, label="ECG", physical_dimension="mV", physical_range=(-3, 3)),
        edfio.EdfSignal(np.ones(SECONDS), 1, label="HR", physical_dimension="bpm", physical_range=(0, 200)),
    ]
    stages = [edfio.EdfAnnotation(30.0 * k, 30, f"Sleep stage {k % 3}") for k in range(20)]
    edfio.Edf(signals, starttime=time(23, 1), recording=edfio.Recording(startdate=date(2020, 1, 2))).write(
        folder / "plain.edf"
    )
    edfio.Edf(signals, annotations=stages).write(folder / "plus.edf")
    columns = {"fs": RATE, "units": ["mV"], "sig_name": ["ECG"], "write_dir": str(folder)}
    wfdb.wrsamp("record", p_signal=ecg[:, None], fmt=["16"], **columns)
    wfdb.wrann("record", "qrs", np.arange(100, 44000, 60), ["N"] * len(range(100, 44000, 60)), write_dir=str(folder))
    rr = np.random.default_rng(1).normal(900, 40, 800).round().astype(int)
    ends = np.cumsum(rr)
    few = slice(0, 4000)
    texts = {
        "ecg.csv": ["time,ecg", *(f"{t:.6f},{x}" for t, x in zip(at[few], ecg[few], strict=True))],
        "clock.csv": [
            "clock;ecg",
            *(f"23:{int(t) // 60:02d}:{t % 60:06.3f};{x}" for t, x in zip(at, ecg, strict=True)),
        ],
        "opensignals.txt": [
            "# OpenSignals Text File Format",
            "# " + json.dumps({"00:07": {"sampling rate": RATE, "column": ["nSeq", "ECG"]}}),
            *(f"{k % 16}\t{x}\t" for k, x in enumerate(ecg[few])),
        ],
        "rr.csv": ["timestamp,rr", *(f"{1_700_000_000_000 + end},{x}" for end, x in zip(ends, rr, strict=True))],
        "hr.csv": ["time;heart rate", *(f"2024-01-31T23:{k // 60:02d}:{k % 60:02d};{60 + k % 7}" for k in range(700))],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "rr.csv.gz").write_bytes(gzip.compress((folder / "rr.csv").read_bytes(), mtime=0))
    records = "\n".join(
        f'<Record type="HKQuantityTypeIdentifierHeartRate" unit="count/min" value="{60 + k % 9}" '
        f'startDate="2024-03-09 {k // 60 % 24:02d}:{k % 60:02d}:00 +0100"/>'
        for k in range(0, 480, 2)
    )
    (folder / "apple.xml").write_text(f'<?xml version="1.0"?>\n<HealthData locale="en">\n{records}\n</HealthData>\n')
    np.savez(folder / "arrays.npz", ecg=ecg, fs=np.array(RATE))
    np.savez_compressed(folder / "packed.npz", ecg=ecg, time=at)
    np.save(folder / "array.npy", ecg)
    return sorted(path for path in folder.iterdir() if path.suffix not in (".dat", ".qrs"))


def mutated(content: bytes, drawn: np.random.Generator) -> bytes:
    """A damaged copy of a file: one to three changes of its bytes, often in its header."""
    for _ in range(drawn.integers(1, 4)):
        content = CHANGES[drawn.integers(len(CHANGES))](content, drawn)
    return content


def _place(content: bytes, drawn: np.random.Generator) -> int:
    """A position, half of them in the first 600 bytes."""
    most = len(content) if drawn.random() < 0.5 else min(len(content), 600)
    return int(drawn.integers(max(1, most)))


def _flip(content: bytes, drawn: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(drawn.integers(1, 20)):
        if changed:
            changed[_place(content, drawn)] = drawn.integers(256)
    return bytes(changed)


def _cut(content: bytes, drawn: np.random.Generator) -> bytes:
    return content[: _place(content, drawn)]


def _drop(content: bytes, drawn: np.random.Generator) -> bytes:
    start = _place(content, drawn)
    return content[:start] + content[start + int(drawn.integers(1, 400)) :]


def _repeat(content: bytes, drawn: np.random.Generator) -> bytes:
    start = _place(content, drawn)
    return content[:start] + content[start : start + 300] * int(drawn.integers(2, 30)) + content[start:]


def _insert(content: bytes, drawn: np.random.Generator) -> bytes:
    start = _place(content, drawn)
    return content[:start] + drawn.bytes(int(drawn.integers(1, 60))) + content[start:]


def _absurd_number(content: bytes, drawn: np.random.Generator) -> bytes:
    """Another number in place of one, padded as it was, which keeps an EDF header in step."""
    numbers = list(re.finditer(rb"-?\d[\d.]*", content[:4000]))
    if not numbers:
        return content
    found = numbers[drawn.integers(len(numbers))]
    new = ABSURD[drawn.integers(len(ABSURD))]
    if drawn.random() < 0.7:
        room = len(found[0]) + len(re.match(rb" *", content[found.end() :])[0])  # type: ignore[index]
        new = new[:room].ljust(room)
        return content[: found.start()] + new + content[found.start() + room :]
    return content[: found.start()] + new + content[found.end() :]


CHANGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    _flip, _cut, _drop, _repeat, _insert, _absurd_number, _absurd_number,
)  # fmt: skip
