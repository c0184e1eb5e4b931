"""Reject signals that are not an ECG, and measure where an ECG is flat or clipped, from the signal alone."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

from sleepkd.cohorts.beats.detect import detect_beats, plausible_share
from sleepkd.cohorts.condition import detect_polarity
from sleepkd.data.beats import plausible_intervals
from sleepkd.errors import UserError

QRS_HZ = (5.0, 25.0)
AROUND_S = 0.12
"""On either side of an R peak: the QRS complex."""
LEAST_LIKENESS = 0.75
"""Of the beats of an ECG: 0.90 in a real ECG of 50 Hz, 1.00 in simulated ones; at most 0.69 in the EEGs recorded beside
the real one, 0.62 in simulated EEG, EOG and EMG, 0.51 in noise."""
STRETCHES = 24
"""Stretches of five minutes, spread over the recording, from which polarity and likeness are computed."""
LEAST_CREST = 2.0
"""How many standard deviations the 99.5th percentile of an ECG between 5 and 25 Hz is high; that of a sine is 1.4."""
LEAST_VARIATION = 0.002
"""Of the intervals between beats: standard deviation over median. A signal generator is more regular than a heart."""
LEAST_SHARE = 0.2
"""Of the night between plausible beats; with less, there is too little to stage."""
AT_ENDS = 0.25
"""Hardly any sample of an ECG lies at its maximum or minimum; half of those of a square wave do."""
FLAT_SECONDS = 0.5
"""An ECG that is constant for so long has lost its electrode."""
USABLE = 0.5
"""Of a sleep epoch between plausible beats; with less, it is left unscored."""


@dataclass(frozen=True)
class EcgBeats:
    """The beats of an ECG (beats,), s, its polarity, and the likeness of its beats, as `likeness` defines it."""

    times: np.ndarray
    polarity: int
    likeness: float


def ecg_beats(ecg: np.ndarray, rate_hz: float, where: str) -> EcgBeats:
    """The beats of an ECG (samples,). Raises UserError, with the reason, for a signal that is rejected as non-ECG.

    where: file and channel, for the message.
    """
    if not np.ptp(ecg) > 0:
        raise UserError(f"{where}: is constant: no electrode was on")
    if _at_ends(ecg, rate_hz) > AT_ENDS:
        raise UserError(f"{where}: is no ECG: it jumps between few values")
    polarity = detect_polarity(np.concatenate([ecg[stretch] for stretch in _spread(ecg, rate_hz)]), rate_hz)
    times = detect_beats(ecg, rate_hz, polarity)
    share = plausible_share(times, len(ecg) / rate_hz) if len(times) > 2 else 0.0
    if share < LEAST_SHARE:
        raise UserError(f"{where}: is no ECG, or a poor one: plausible beats in {share:.0%} of it only")
    intervals = np.diff(times)[plausible_intervals(times)]
    if np.std(intervals) < LEAST_VARIATION * np.median(intervals):
        raise UserError(f"{where}: is no ECG: its beats are as regular as a clock's")
    alike, crest = likeness(ecg, rate_hz, times)
    if crest < LEAST_CREST:
        raise UserError(f"{where}: is no ECG: nothing in it stands out as a beat does")
    if alike < LEAST_LIKENESS:
        raise UserError(f"{where}: is no ECG: what looks like beats has no common shape (likeness {alike:.2f})")
    return EcgBeats(times, polarity, alike)


def likeness(ecg: np.ndarray, rate_hz: float, times: np.ndarray) -> tuple[float, float]:
    """The median correlation of beats with the median beat of their five minutes, and the crest, from 5 to 25 Hz."""
    band = butter(2, (QRS_HZ[0], min(QRS_HZ[1], 0.45 * rate_hz)), btype="bandpass", fs=rate_hz, output="sos")
    half = max(2, round(AROUND_S * rate_hz))
    found, crests = [], []
    for part in _spread(ecg, rate_hz):
        start, piece = part.start, ecg[part]
        if len(piece) < 4 * half or not np.ptp(piece) > 0:
            continue
        filtered = sosfiltfilt(band, piece)
        crests.append(np.percentile(np.abs(filtered), 99.5) / max(filtered.std(), 1e-12))
        centre = np.rint((times - start / rate_hz) * rate_hz).astype(int)
        centre = centre[(centre >= half) & (centre < len(piece) - half)]
        if len(centre) < 10:
            continue
        beats = filtered[centre[:, None] + np.arange(-half, half + 1)]
        beats = beats - beats.mean(axis=1, keepdims=True)
        shape = np.median(beats, axis=0)
        size = np.linalg.norm(beats, axis=1) * np.linalg.norm(shape)
        found.append(beats @ shape / np.maximum(size, 1e-12))
    return (float(np.median(np.concatenate(found))), float(np.median(crests))) if found else (0.0, 0.0)


def flat_or_clipped(ecg: np.ndarray, rate_hz: float, onset_s: np.ndarray, duration_s: np.ndarray) -> np.ndarray:
    """(N, 2): the share of each sleep epoch in which an ECG is constant, and in which it is clipped at its extremes."""
    low, high, length = ecg.min(), ecg.max(), max(2, round(FLAT_SECONDS * rate_hz))
    shares = np.zeros((len(onset_s), 2))
    for i, (onset, duration) in enumerate(zip(onset_s, duration_s, strict=True)):
        piece = ecg[max(0, round(onset * rate_hz)) : round((onset + duration) * rate_hz)]
        if len(piece) < length:
            continue
        edges = np.flatnonzero(np.concatenate([[True], piece[1:] != piece[:-1], [True]]))
        runs, values = np.diff(edges), piece[edges[:-1]]
        flat = runs >= length
        clipped = ~flat & (runs >= 2) & ((values == low) | (values == high))
        shares[i] = runs[flat].sum() / len(piece), runs[clipped].sum() / len(piece)
    return shares


def _spread(ecg: np.ndarray, rate_hz: float) -> list[slice]:
    """About `STRETCHES` stretches of five minutes, evenly spread over a recording."""
    block = round(300 * rate_hz)
    every = max(1, len(ecg) // block // STRETCHES)
    return [slice(start, start + block) for start in range(0, len(ecg), every * block)]


def _at_ends(signal: np.ndarray, rate_hz: float) -> float:
    """The share of samples at the maximum or minimum: the median over 30-s pieces that are not flat."""
    length = min(round(30 * rate_hz), len(signal))
    pieces = signal[: len(signal) // length * length].reshape(-1, length)
    low, high = pieces.min(axis=1, keepdims=True), pieces.max(axis=1, keepdims=True)
    live = (high > low)[:, 0]
    pieces, low, high = pieces[live], low[live], high[live]
    margin = 0.02 * (high - low)
    return float(np.median(((pieces >= high - margin) | (pieces <= low + margin)).mean(axis=1)))
