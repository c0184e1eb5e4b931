"""Which file of a device's folder holds its heartbeats: sessions of Empatica E4, exports of Movesense."""

import re
from pathlib import Path

E4_FILES = frozenset({"acc.csv", "bvp.csv", "eda.csv", "hr.csv", "temp.csv", "tags.csv"})
LEAST_E4_FILES = 2
"""Besides IBI.csv."""
EMPTY_BYTES = 60
"""An IBI.csv of one line: an E4 that moved all the time finds no interval."""
MOVESENSE = re.compile(r"movesense.*?(ecg|hr|rr|imu|acc|gyro|magn|temp).*\.(csv|txt)", re.IGNORECASE)


def device_recording(folder: Path) -> Path | None:
    """The file that is staged of a device's folder, whose other files are no recordings of their own; None: no device.

    Empatica E4: IBI.csv, or HR.csv, the averaged heart rate, if it found no interval. Movesense: the file of RR
    intervals, or else of the ECG.
    """
    files = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}
    if "ibi.csv" in files and len(E4_FILES & files.keys()) >= LEAST_E4_FILES:
        is_empty = files["ibi.csv"].stat().st_size < EMPTY_BYTES
        return files["hr.csv"] if is_empty and "hr.csv" in files else files["ibi.csv"]
    measured = {match[1].lower(): path for path in files.values() if (match := MOVESENSE.search(path.name))}
    if len(measured) > 1:
        return next((measured[name] for name in ("rr", "hr", "ecg") if name in measured), None)
    return None
