"""Is it a heart, and where is it usable? Judged from a signal and its beats alone."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

from sleepkd.cohorts.beats.detect import detect_beats, plausible_share
from sleepkd.cohorts.condition import detect_polarity
from sleepkd.data.beats import plausible_intervals
from sleepkd.errors import UserError

QRS_HZ = (5.0, 25.0)
AROUND_S = 0.12
"""To either side of an R peak: the QRS complex and its foot."""
ALIKE = 0.75
"""The median correlation of beats with their common shape, less in what is no ECG: 0.90 in a real ECG of 50 Hz, 1.00 in
simulated ones; at most 0.69 in the EEGs beside it, 0.62 in simulated EEG, EOG and EMG, 0.51 in noise."""
LOOKED_AT = 24
"""Pieces of five minutes, spread over the recording, that polarity and likeness are judged by."""
CREST = 2.0
"""How far the 99.5th percentile of an ECG between 5 and 25 Hz stands above its spread; a sine's, 1.4 times."""
CLOCKWORK = 0.002
"""The spread of intervals between beats, in parts of their median: no heart keeps time as well, a generator does."""
LEAST_SHARE = 0.2
"""Of the night between plausible beats; less, and there is no heart to stage by."""
AT_ENDS = 0.25
"""Of an ECG, hardly any sample lies at its highest or lowest value; of a square wave, half do."""
FLAT_SECONDS = 0.5
"""An ECG of any unit that does not move for so long has lost its electrode."""
USABLE = 0.5
"""Of a sleep epoch between plausible beats; less, and it is left unscored."""


@dataclass(frozen=True)
class Heart:
    """The beats of an ECG (beats,), s, its polarity, and how alike they are."""

    times: np.ndarray
    polarity: int
    alike: float


def heart_of(ecg: np.ndarray, rate_hz: float, where: str) -> Heart:
    """The beats of an ECG (samples,). Raises UserError, saying why, where it is none."""
    if not np.ptp(ecg) > 0:
        raise UserError(f"{where}: is constant: no electrode was on")
    if _at_ends(ecg, rate_hz) > AT_ENDS:
        raise UserError(f"{where}: is no ECG: it jumps between few values")
    polarity = detect_polarity(np.concatenate([ecg[piece] for piece in _spread(ecg, rate_hz)]), rate_hz)
    times = detect_beats(ecg, rate_hz, polarity)
    share = plausible_share(times, len(ecg) / rate_hz) if len(times) > 2 else 0.0
    if share < LEAST_SHARE:
        raise UserError(f"{where}: is no ECG, or a poor one: plausible beats in {share:.0%} of it only")
    intervals = np.diff(times)[plausible_intervals(times)]
    if np.std(intervals) < CLOCKWORK * np.median(intervals):
        raise UserError(f"{where}: is no ECG: its beats are as regular as a clock's")
    alike, crest = likeness(ecg, rate_hz, times)
    if crest < CREST:
        raise UserError(f"{where}: is no ECG: nothing in it stands out as a beat does")
    if alike < ALIKE:
        raise UserError(f"{where}: is no ECG: what looks like beats has no common shape (likeness {alike:.2f})")
    return Heart(times, polarity, alike)


def likeness(ecg: np.ndarray, rate_hz: float, times: np.ndarray) -> tuple[float, float]:
    """Between 5 and 25 Hz: the median correlation of beats with the median one of their five minutes, and the crest."""
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
    """(N, 2): which share of each stretch of time does not move, and which is cut off at the recording's extremes."""
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
    """At most some LOOKED_AT pieces of five minutes, evenly spread over a recording."""
    block = round(300 * rate_hz)
    every = max(1, len(ecg) // block // LOOKED_AT)
    return [slice(start, start + block) for start in range(0, len(ecg), every * block)]


def _at_ends(signal: np.ndarray, rate_hz: float) -> float:
    """The median over 30-s pieces that are not flat of the share of samples at the highest or lowest value."""
    length = min(round(30 * rate_hz), len(signal))
    pieces = signal[: len(signal) // length * length].reshape(-1, length)
    low, high = pieces.min(axis=1, keepdims=True), pieces.max(axis=1, keepdims=True)
    live = (high > low)[:, 0]
    pieces, low, high = pieces[live], low[live], high[live]
    margin = 0.02 * (high - low)
    return float(np.median(((pieces >= high - margin) | (pieces <= low + margin)).mean(axis=1)))
