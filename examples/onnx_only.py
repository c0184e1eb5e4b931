"""Sleep staging with an exported ONNX model: an EDF file or heartbeats in, a hypnogram out. Does not need sleepkd.

    python onnx_only.py model.onnx night.edf > hypnogram.csv
    python onnx_only.py model.onnx beats.csv > hypnogram.csv     # RR intervals, or a heartbeat per line

Requires numpy, scipy and onnxruntime; copy this file and the model to the machine that stages. R peaks are detected by
a simple rule; if a device reports its heartbeats, use those. Sleep epochs without usable heartbeats are "unscored".
"""

import argparse
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.signal import butter, find_peaks, resample_poly, sosfiltfilt

EPOCH_SECONDS = 30.0
INTERVAL, TIME = r"rr|r-r|ibi|nn|pp", r"time|t\b|phone timestamp|unix|seconds|beat"
RATE = r"hr|heart.?rate|bpm|pulse"
MISSING, DATE = r"(na|nan|n/a|null|none|-)?", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*"
SLOWEST_HZ = 50
GAP_S, SHORTEST_S, LONGEST_S, USABLE = 2.5, 600.0, 36 * 3600.0, 0.5


def main() -> None:
    """Stage one file and print its hypnogram as CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="ONNX file of sleepkd export")
    parser.add_argument("recording", type=Path, metavar="FILE", help="EDF file with an ECG, or CSV of heartbeats, s")
    args = parser.parse_args()
    session = onnxruntime.InferenceSession(args.model)
    metadata = session.get_modelmeta().custom_metadata_map
    ecg: np.ndarray | None = None
    rate = 0.0
    if args.recording.suffix.lower() in (".edf", ".rec"):
        ecg, rate = read_ecg(args.recording)
        ecg = ecg * polarity(ecg, rate)
        beats, seconds = r_peaks(ecg, rate), len(ecg) / rate
    else:
        try:
            beats = read_beats(args.recording.read_bytes().decode("utf-8-sig"))
        except (ValueError, OSError) as error:
            sys.exit(f"error: {args.recording}: {error}")
        seconds = float(beats[-1])
    if not SHORTEST_S <= seconds <= LONGEST_S:
        sys.exit(f"error: {args.recording}: lasts {seconds / 3600:.2f} h: give one night, of 10 min to 36 h")
    tokens = 3 * int(np.ceil(seconds / EPOCH_SECONDS - 1e-9))
    inputs, specs = {}, json.loads(metadata["inputs"])
    if "beats" not in specs and ("ecg" not in specs or ecg is None):
        sys.exit(f"error: {args.recording}: the model needs {' or '.join(specs)}")
    for name, spec in specs.items():
        samples = spec["samples_per_token"] * tokens
        if name == "beats":
            x = beat_series(beats, spec["rate"], samples)[None, None]
        elif name != "ecg" or ecg is None:  # a missing input is zero
            x = np.zeros((1, 1, *([spec["channels"]] if spec["channels"] > 1 else []), samples), np.float32)
        else:
            x = scaled(ecg, rate, spec["rate"], spec["clip"], samples)[None, None]
        x[..., int(seconds / 10 + 1e-6) * spec["samples_per_token"] :] = 0  # so is a token that outlasts the recording
        inputs[name] = x
    (logits,) = session.run(None, inputs)
    whole = int(seconds / EPOCH_SECONDS + 1e-6)
    per_epoch = logits[0].reshape(-1, 3, logits.shape[-1]).mean(axis=1)[:whole] / float(metadata["temperature"])
    p = np.exp(per_epoch - per_epoch.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    names = json.loads(metadata["classes"])
    print("onset,stage," + ",".join(f"p_{name}" for name in names))
    for k, (row, share) in enumerate(zip(p, quality(beats, whole), strict=True)):
        stage = names[row.argmax()] if share >= USABLE else "unscored"
        print(f"{EPOCH_SECONDS * k:g},{stage}," + ",".join(f"{x:.4f}" for x in row))


def read_beats(text: str) -> np.ndarray:
    """Times of heartbeats (beats,), s from the first, from the text of a CSV.

    RR intervals (ms or s), perhaps with the time at which each ends, or beat times. Raises ValueError for other columns
    and units. The rules of reader_cases.json.
    """
    names, rows = read_table(text)
    rr, time, rate = ([k for k, name in enumerate(names) if re.match(p, name)] for p in (INTERVAL, TIME, RATE))
    if len(rr) > 1:
        raise ValueError(f"several columns of RR intervals: {', '.join(names[k] for k in rr)}")
    if names and not rr and (rate or not time):
        why = "holds a heart rate, not heartbeats: use sleepkd predict" if rate else "no column is named rr or time"
        raise ValueError(f"{why} ({', '.join(names)})")
    if not names:
        wide, first = max(len(cells) for _, cells in rows), column(rows, 0)
        rises = len(first) > 2 and bool((np.diff(first) > 0).all())
        if wide > 2 or (wide == 2 and not rises):
            raise ValueError(f"{wide} columns without names: name them; with decimal commas, separate them by ;")
        rr, time = ([1], [0]) if wide == 2 else ([], [0]) if rises else ([0], [])
    if not rr:
        times = column(rows, time[0])
        if len(times) < 3 or (np.diff(times) <= 0).any():
            raise ValueError("the beat times do not rise")
        beats = (times - times[0]) * unit_of(np.diff(times))
    elif not time:
        intervals = column(rows, rr[0])
        beats = np.concatenate([[0.0], np.cumsum(intervals * unit_of(intervals))])
    else:
        known = [not any(re.fullmatch(MISSING, cell(row, k), re.I) for k in (rr[0], time[0])) for row in rows]
        full = [row for row, is_known in zip(rows, known, strict=True) if is_known]
        intervals, after_missing = column(full, rr[0]), ~np.array([True, *known[:-1]])[known]
        beats = place(intervals * unit_of(intervals), column(full, time[0]), after_missing)
    if beats[-1] > LONGEST_S:
        raise ValueError(f"lasts {beats[-1] / 3600:.0f} h: give one night, and times in s or ms")
    return beats


Row = tuple[int, list[str]]


def read_table(text: str) -> tuple[list[str], list[Row]]:
    """Names of columns (small letters; [] without), and rows with their line numbers."""
    if "\0" in text:
        raise ValueError("is not text in UTF-8")
    lines = [(k, line.strip()) for k, line in enumerate(re.split(r"\r\n|\n|\r", text), 1)]
    lines = [(k, line) for k, line in lines if line and not line.startswith("#")]
    stated = re.fullmatch(r'"?sep=(.)"?', lines[0][1], re.IGNORECASE) if lines else None
    lines = lines[1:] if stated else lines
    if not lines:
        raise ValueError("the file is empty")
    mark = stated[1] if stated else next((m for m in "\t;," if m in lines[0][1]), ",")
    rows = [(k, [part.strip().strip('"').strip() for part in line.split(mark)]) for k, line in lines]
    if mark != ",":
        rows = [(k, [re.sub(r"^([-+]?\d*),(\d+)$", r"\1.\2", part) for part in cells]) for k, cells in rows]
    no_name = f"{MISSING}|{DATE}|[-+.\\d]+(e[-+]?\\d+)?"
    if not any(re.search("[a-z]", part, re.I) and not re.fullmatch(no_name, part, re.I) for part in rows[0][1]):
        return [], rows
    names = [name.lower() for name in rows[0][1]]
    if not rows[1:]:
        raise ValueError("the file holds names of columns and nothing else")
    for k, cells in rows[1:]:
        if any(cells[len(names) :]):
            raise ValueError(f"line {k}: {len(cells)} cells, but {len(names)} columns: decimal commas? Separate by ;")
    return names, rows[1:]


def cell(row: Row, k: int) -> str:
    """A cell, "" where the row is shorter."""
    return row[1][k] if k < len(row[1]) else ""


def column(rows: list[Row], k: int) -> np.ndarray:
    """A column as numbers; dates as s since 1970."""
    values = []
    for row in rows:
        text = cell(row, k)
        try:
            if re.fullmatch(DATE, text):
                moment = datetime.fromisoformat(re.sub(r" (?=[-+])", "", text))
                values.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
            else:
                values.append(float(text))
        except ValueError:
            values.append(np.nan)
        if not np.isfinite(values[-1]):
            raise ValueError(f"line {row[0]}: {text or 'a blank'} is not a number")
    return np.array(values)


def unit_of(intervals: np.ndarray) -> float:
    """1 for RR intervals in s, 0.001 for ms."""
    usual = float(np.median(intervals))
    if not (0.2 <= usual <= 3 or 200 <= usual <= 3000):
        raise ValueError(f"the intervals have a median of {usual:g}: no RR intervals in s or ms")
    return 1.0 if usual <= 3 else 1e-3


def place(intervals: np.ndarray, times: np.ndarray, after_missing: np.ndarray) -> np.ndarray:
    """Beats of RR intervals (s) that end at times: they follow one another, unless the times show a gap.

    after_missing: whether the row before held no interval.
    """
    steps = np.diff(times)
    if (steps < 0).any():
        raise ValueError(f"times go back at row {int(np.argmax(steps < 0)) + 2} of the data: sort them")
    ratios = (steps / intervals[1:])[steps > 0]
    unit = 1000.0 ** max(0, round(np.log10(np.median(ratios)) / 3)) if len(ratios) else 1.0  # s, ms, us or ns
    beats: list[float] = []
    ends = np.flatnonzero(np.diff(times, append=np.inf) > 0)  # of packets, whose intervals have one time
    for first, last in zip([0, *(ends[:-1] + 1)], ends, strict=True):
        packet, end = intervals[first : last + 1], (times[last] - times[0]) / unit
        if not beats or after_missing[first] or abs(end - (beats[-1] + packet.sum())) > GAP_S:
            if beats and end - packet.sum() < beats[-1]:
                raise ValueError(f"the intervals before row {last + 1} of the data last longer than their times")
            beats.append(end - packet.sum())
        beats.extend(beats[-1] + np.cumsum(packet))
    return np.array(beats) - beats[0]


def read_ecg(path: Path) -> tuple[np.ndarray, float]:
    """The first channel named ECG or EKG of an EDF file, in the file's unit, and its samples per second."""
    raw = path.read_bytes()
    if raw[192:197] == b"EDF+D":
        sys.exit(f"error: {path}: may be interrupted (EDF+D), which is not read here: use sleepkd predict")
    count = int(raw[252:256])

    def field(start: int, width: int) -> list[str]:
        first = 256 + start * count
        return [raw[first + width * k : first + width * (k + 1)].decode("latin1").strip() for k in range(count)]

    labels, in_record = field(0, 16), np.array(field(216, 8), dtype=int)
    low, high, least, most = (np.array(field(start, 8), dtype=float) for start in (104, 112, 120, 128))
    rates = in_record / float(raw[244:252])
    named = [i for i, label in enumerate(labels) if re.search("ECG|EKG", label, re.IGNORECASE)]
    k = next((i for i in named if rates[i] >= SLOWEST_HZ), -1)  # "ECG HR" at 1 Hz is not an ECG
    if k < 0:
        sys.exit(f"error: {path}: no channel named ECG or EKG of {SLOWEST_HZ} Hz or more: {', '.join(labels)}")
    data = np.frombuffer(raw[int(raw[184:192]) :], dtype="<i2")
    records = data[: len(data) // in_record.sum() * in_record.sum()].reshape(-1, in_record.sum())
    first = in_record[:k].sum()
    digital = records[:, first : first + in_record[k]].ravel().astype(float)
    physical = (digital - least[k]) * (high[k] - low[k]) / (most[k] - least[k]) + low[k]
    return physical, float(rates[k])


def band(ecg: np.ndarray, rate: float, low: float, high: float) -> np.ndarray:
    """The ECG band-pass filtered between two frequencies, Hz."""
    return sosfiltfilt(butter(2, (low, min(high, 0.45 * rate)), "bandpass", fs=rate, output="sos"), ecg)


def polarity(ecg: np.ndarray, rate: float) -> int:
    """1 for R waves that point up, -1 for down, by the median over blocks of 2 s."""
    length = round(2 * rate)
    blocks = band(ecg, rate, 1, 25)[: len(ecg) // length * length].reshape(-1, length)
    high, low = blocks.max(axis=1), -blocks.min(axis=1)
    return -1 if np.median((high - low) / np.maximum(high + low, 1e-12)) < 0 else 1


def r_peaks(ecg: np.ndarray, rate: float) -> np.ndarray:
    """Times of R peaks (beats,), s: peaks of the squared slope above a third of its 98th percentile in that minute."""
    slope = np.gradient(band(ecg, rate, 5, 25)) ** 2
    width = max(1, round(0.1 * rate))
    energy = np.convolve(slope, np.ones(width) / width, mode="same")
    found, length = [], round(60 * rate)
    for start in range(0, len(energy), length):
        minute = energy[start : start + length]
        peaks, _ = find_peaks(minute, distance=max(1, round(0.3 * rate)), height=np.percentile(minute, 98) / 3)
        for peak in peaks:
            first = max(0, start + peak - width)
            found.append((first + int(np.argmax(ecg[first : start + peak + width]))) / rate)
    return np.unique(found)


def scaled(ecg: np.ndarray, rate: float, wanted: float, clip: float, samples: int) -> np.ndarray:
    """The ECG at the model's rate, minus its median, divided by its interquartile range, clipped: (samples,)."""
    up, down = (round(1000 * x) for x in (wanted, rate))
    x = resample_poly(ecg - np.median(ecg), up // np.gcd(up, down), down // np.gcd(up, down), padtype="edge")
    low, middle, high = np.percentile(x, (25, 50, 75))
    x = np.clip((x - middle) / (high - low), -clip, clip)
    return np.pad(x, (0, max(0, samples - len(x))))[:samples].astype(np.float32)


def plausible_intervals(beats: np.ndarray) -> np.ndarray:
    """Which RR intervals are plausible: 0.3 to 2 s, within 20 % of the median of their 11 neighbours."""
    intervals = np.diff(beats)
    possible = (intervals >= 0.3) & (intervals <= 2.0)
    padded = np.pad(np.where(possible, intervals, np.nan), 5, constant_values=np.nan)
    with np.errstate(invalid="ignore"):
        around = np.lib.stride_tricks.sliding_window_view(padded, 11)
        usual = np.array([np.nanmedian(row) if np.isfinite(row).any() else np.nan for row in around])
        return possible & (np.abs(intervals - usual) <= 0.2 * usual)


def quality(beats: np.ndarray, epochs: int) -> np.ndarray:
    """The share (epochs,) of each sleep epoch that lies within plausible RR intervals."""
    covered = np.concatenate([[0.0], np.cumsum(plausible_intervals(beats) * np.diff(beats))])
    return np.diff(np.interp(EPOCH_SECONDS * np.arange(epochs + 1), beats, covered)) / EPOCH_SECONDS


def beat_series(beats: np.ndarray, rate: float, samples: int) -> np.ndarray:
    """Heartbeats as an input (3, samples): log RR interval relative to the night's median, its fast part, and quality.

    Quality is 1 within a plausible interval, else 0.
    """
    intervals, plausible = np.diff(beats), plausible_intervals(beats)
    if not plausible.any():
        sys.exit("error: no physiologically plausible RR interval")
    series, half = np.zeros((3, samples), np.float32), round(12.5 * rate)
    t = np.arange(-half, samples + half) / rate
    middles = (beats[:-1] + beats[1:])[plausible] / 2
    logs = np.log(intervals[plausible] / np.median(intervals[plausible]))
    relative = np.interp(t, middles, logs)
    mean = np.convolve(relative, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")
    series[0] = relative[half : half + samples] / 0.1
    series[1] = (relative[half : half + samples] - mean) / 0.05
    of = np.searchsorted(beats, t[half : half + samples], side="right") - 1
    within = (of >= 0) & (of < len(plausible))
    series[2, within] = plausible[of[within]]
    return series


if __name__ == "__main__":
    main()
