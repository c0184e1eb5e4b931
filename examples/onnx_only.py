"""From an EDF file or a list of beats to a hypnogram, by an exported model, with numpy, scipy and onnxruntime alone.

    python onnx_only.py model.onnx night.edf > hypnogram.csv
    python onnx_only.py model.onnx beats.csv > hypnogram.csv     # one beat time, s, a line

Copy this file and the model to where sleep is to be staged: nothing else of this project is needed. R peaks are found
here by a simple rule; a device that has beats of its own should give those.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.signal import butter, find_peaks, resample_poly, sosfiltfilt

EPOCH = 30.0


def main() -> None:
    """Stage one file."""
    model, source = sys.argv[1:3]
    session = onnxruntime.InferenceSession(model)
    facts = session.get_modelmeta().custom_metadata_map
    wanted = json.loads(facts["inputs"])
    if Path(source).suffix.lower() in (".edf", ".rec"):
        ecg, rate = read_ecg(source)
        ecg = ecg * polarity(ecg, rate)
        beats, seconds = r_peaks(ecg, rate), len(ecg) / rate
    else:
        ecg, rate, beats = None, 0.0, np.sort(np.loadtxt(source, ndmin=1))
        seconds = float(beats[-1])
    tokens = 3 * int(np.ceil(seconds / EPOCH - 1e-9))
    inputs = {}
    for name, of in wanted.items():
        samples = of["samples_per_token"] * tokens
        if name == "beats":
            inputs[name] = beat_series(beats, of["rate"], samples)[None, None]
        elif ecg is None:
            inputs[name] = np.zeros((1, 1, samples), np.float32)  # absent
        else:
            inputs[name] = scaled(ecg, rate, of["rate"], of["clip"], samples)[None, None]
    for name, of in wanted.items():  # a token that outlasts the recording is absent, too
        inputs[name][..., int(seconds / 10 + 1e-6) * of["samples_per_token"] :] = 0
    (logits,) = session.run(None, inputs)
    whole = int(seconds / EPOCH + 1e-6)
    by_epoch = logits[0].reshape(-1, 3, logits.shape[-1]).mean(axis=1)[:whole] / float(facts["temperature"])
    p = np.exp(by_epoch - by_epoch.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    names = json.loads(facts["classes"])
    print("onset,stage," + ",".join(f"p_{name}" for name in names))
    for k, row in enumerate(p):
        print(f"{EPOCH * k:g},{names[row.argmax()]}," + ",".join(f"{x:.4f}" for x in row))


def read_ecg(path: str) -> tuple[np.ndarray, float]:
    """The first channel called ECG or EKG of an EDF file, in its own unit, and its samples per second."""
    raw = Path(path).read_bytes()
    count = int(raw[252:256])

    def field(start: int, width: int) -> list[str]:
        first = 256 + start * count
        return [raw[first + width * k : first + width * (k + 1)].decode("latin1").strip() for k in range(count)]

    labels, in_record = field(0, 16), np.array(field(216, 8), dtype=int)
    low, high, least, most = (np.array(field(start, 8), dtype=float) for start in (104, 112, 120, 128))
    k = next(i for i, label in enumerate(labels) if re.search("ECG|EKG", label, re.IGNORECASE))
    data = np.frombuffer(raw[int(raw[184:192]) :], dtype="<i2")
    records = data[: len(data) // in_record.sum() * in_record.sum()].reshape(-1, in_record.sum())
    first = in_record[:k].sum()
    digital = records[:, first : first + in_record[k]].ravel().astype(float)
    physical = (digital - least[k]) * (high[k] - low[k]) / (most[k] - least[k]) + low[k]
    return physical, in_record[k] / float(raw[244:252])


def band(ecg: np.ndarray, rate: float, low: float, high: float) -> np.ndarray:
    """The ECG between two frequencies."""
    return sosfiltfilt(butter(2, (low, min(high, 0.45 * rate)), "bandpass", fs=rate, output="sos"), ecg)


def polarity(ecg: np.ndarray, rate: float) -> int:
    """1 where R waves point up, -1 where down, by majority over pieces of 2 s."""
    length = round(2 * rate)
    pieces = band(ecg, rate, 1, 25)[: len(ecg) // length * length].reshape(-1, length)
    high, low = pieces.max(axis=1), -pieces.min(axis=1)
    return -1 if np.median((high - low) / np.maximum(high + low, 1e-12)) < 0 else 1


def r_peaks(ecg: np.ndarray, rate: float) -> np.ndarray:
    """Times of R peaks, s: peaks of the squared slope above a third of what is usual in their minute."""
    slope = np.gradient(band(ecg, rate, 5, 25)) ** 2
    width = max(1, round(0.1 * rate))
    energy = np.convolve(slope, np.ones(width) / width, mode="same")
    found, block = [], round(60 * rate)
    for start in range(0, len(energy), block):
        piece = energy[start : start + block]
        peaks, _ = find_peaks(piece, distance=max(1, round(0.3 * rate)), height=np.percentile(piece, 98) / 3)
        for peak in peaks:
            first = max(0, start + peak - width)
            found.append((first + int(np.argmax(ecg[first : start + peak + width]))) / rate)
    return np.unique(found)


def scaled(ecg: np.ndarray, rate: float, wanted: float, clip: float, samples: int) -> np.ndarray:
    """The ECG at the model's rate, less its median, over its interquartile range."""
    up, down = (round(1000 * x) for x in (wanted, rate))
    x = resample_poly(ecg - np.median(ecg), up // np.gcd(up, down), down // np.gcd(up, down), padtype="edge")
    low, middle, high = np.percentile(x, (25, 50, 75))
    x = np.clip((x - middle) / (high - low), -clip, clip)
    return np.pad(x, (0, max(0, samples - len(x))))[:samples].astype(np.float32)


def beat_series(beats: np.ndarray, rate: float, samples: int) -> np.ndarray:
    """(3, samples): log interval over the night's median, its fast part, and 1 within an interval to be believed."""
    intervals = np.diff(beats)
    possible = (intervals >= 0.3) & (intervals <= 2.0)
    padded = np.pad(np.where(possible, intervals, np.nan), 5, constant_values=np.nan)
    with np.errstate(invalid="ignore"):
        around = np.lib.stride_tricks.sliding_window_view(padded, 11)
        usual = np.array([np.nanmedian(row) if np.isfinite(row).any() else np.nan for row in around])
        believed = possible & (np.abs(intervals - usual) <= 0.2 * usual)
    series, half = np.zeros((3, samples), np.float32), round(12.5 * rate)
    t = np.arange(-half, samples + half) / rate
    middles = (beats[:-1] + beats[1:])[believed] / 2
    logs = np.log(intervals[believed] / np.median(intervals[believed]))
    relative = np.interp(t, middles, logs)
    mean = np.convolve(relative, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")
    series[0] = relative[half : half + samples] / 0.1
    series[1] = (relative[half : half + samples] - mean) / 0.05
    of = np.searchsorted(beats, t[half : half + samples], side="right") - 1
    within = (of >= 0) & (of < len(believed))
    series[2, within] = believed[of[within]]
    return series


if __name__ == "__main__":
    main()
