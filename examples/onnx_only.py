"""Sleep staging with an exported ONNX model: an EDF file or heartbeats in, a hypnogram out. Does not need sleepkd.

    python onnx_only.py model.onnx night.edf > hypnogram.csv
    python onnx_only.py model.onnx beats.csv > hypnogram.csv     # a heartbeat per line, s

Requires numpy, scipy and onnxruntime; copy this file and the model to the machine that stages. R peaks are detected by
a simple rule; if a device reports its heartbeats, use those.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.signal import butter, find_peaks, resample_poly, sosfiltfilt

EPOCH_SECONDS = 30.0


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
        beats = np.sort(np.loadtxt(args.recording, ndmin=1))
        seconds = float(beats[-1])
    tokens = 3 * int(np.ceil(seconds / EPOCH_SECONDS - 1e-9))
    inputs = {}
    for name, spec in json.loads(metadata["inputs"]).items():
        samples = spec["samples_per_token"] * tokens
        if name == "beats":
            x = beat_series(beats, spec["rate"], samples)[None, None]
        elif ecg is None:
            x = np.zeros((1, 1, samples), np.float32)  # a missing input is zero
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
    for k, row in enumerate(p):
        print(f"{EPOCH_SECONDS * k:g},{names[row.argmax()]}," + ",".join(f"{x:.4f}" for x in row))


def read_ecg(path: Path) -> tuple[np.ndarray, float]:
    """The first channel named ECG or EKG of an EDF file, in the file's unit, and its samples per second."""
    raw = path.read_bytes()
    count = int(raw[252:256])

    def field(start: int, width: int) -> list[str]:
        first = 256 + start * count
        return [raw[first + width * k : first + width * (k + 1)].decode("latin1").strip() for k in range(count)]

    labels, in_record = field(0, 16), np.array(field(216, 8), dtype=int)
    low, high, least, most = (np.array(field(start, 8), dtype=float) for start in (104, 112, 120, 128))
    k = next((i for i, label in enumerate(labels) if re.search("ECG|EKG", label, re.IGNORECASE)), -1)
    if k < 0:
        sys.exit(f"error: {path}: no channel named ECG or EKG: {', '.join(labels)}")
    data = np.frombuffer(raw[int(raw[184:192]) :], dtype="<i2")
    records = data[: len(data) // in_record.sum() * in_record.sum()].reshape(-1, in_record.sum())
    first = in_record[:k].sum()
    digital = records[:, first : first + in_record[k]].ravel().astype(float)
    physical = (digital - least[k]) * (high[k] - low[k]) / (most[k] - least[k]) + low[k]
    return physical, in_record[k] / float(raw[244:252])


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


def beat_series(beats: np.ndarray, rate: float, samples: int) -> np.ndarray:
    """Heartbeats as an input (3, samples): log RR interval relative to the night's median, its fast part, and quality.

    Quality is 1 within a plausible interval (0.3 to 2 s, within 20 % of the median of its 11 neighbours), else 0.
    """
    intervals = np.diff(beats)
    possible = (intervals >= 0.3) & (intervals <= 2.0)
    padded = np.pad(np.where(possible, intervals, np.nan), 5, constant_values=np.nan)
    with np.errstate(invalid="ignore"):
        around = np.lib.stride_tricks.sliding_window_view(padded, 11)
        usual = np.array([np.nanmedian(row) if np.isfinite(row).any() else np.nan for row in around])
        plausible = possible & (np.abs(intervals - usual) <= 0.2 * usual)
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
