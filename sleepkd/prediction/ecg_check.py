"""Reject signals that are not an ECG, and measure where an ECG is flat or clipped, from the signal alone."""

from dataclasses import dataclass

import numpy as np

from sleepkd.cohorts.condition import detect_polarity, spread_stretches
from sleepkd.cohorts.ecg.beat_shape import beat_correlations, beat_likeness
from sleepkd.cohorts.ecg.detect import SLOWEST_HZ, candidate_beats, detect_beats, plausible_share
from sleepkd.cohorts.ecg.ecg_stretches import qrs_band
from sleepkd.data.beats import plausible_intervals
from sleepkd.errors import UserError

LEAST_LIKENESS = 0.75
"""Of the beats of an ECG: 0.90 in a real ECG of 50 Hz, 1.00 in simulated ones; at most 0.69 in the EEGs recorded beside
the real one, 0.62 in simulated EEG, EOG and EMG, 0.51 in noise."""
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
    if rate_hz <= SLOWEST_HZ:
        raise UserError(f"{where}: {rate_hz:g} Hz is too slow for R peaks (more than {SLOWEST_HZ} Hz): no ECG")
    if not np.ptp(ecg) > 0:
        raise UserError(f"{where}: is constant: no electrode was on")
    if _at_ends(ecg, rate_hz) > AT_ENDS:
        raise UserError(f"{where}: is not an ECG: it jumps between few values")
    polarity = detect_polarity(ecg, rate_hz)
    candidates = candidate_beats(ecg, rate_hz, polarity)
    times = candidates.kept
    share = plausible_share(times, len(ecg) / rate_hz) if len(times) > 2 else 0.0
    if share < LEAST_SHARE:
        raise UserError(f"{where}: is not an ECG, or a poor one: plausible beats in {share:.0%} of it only")
    intervals = np.diff(times)[plausible_intervals(times)]
    if np.std(intervals) < LEAST_VARIATION * np.median(intervals):
        raise UserError(f"{where}: is not an ECG: its beats are as regular as a clock's")
    alike, crest = likeness(ecg, rate_hz, candidates.times)
    if crest < LEAST_CREST:
        raise UserError(f"{where}: is not an ECG: nothing in it stands out as a beat does")
    if alike < LEAST_LIKENESS:
        raise UserError(f"{where}: is not an ECG: what looks like beats has no common shape (likeness {alike:.2f})")
    return EcgBeats(times, polarity, alike)


def beats_of_lead(ecg: np.ndarray, rate_hz: float) -> float:
    """How good the beats of minutes of an ECG (samples,) are, 0 to 1: plausible share times likeness."""
    if not np.ptp(ecg) > 0:
        return 0.0
    times = detect_beats(ecg, rate_hz, detect_polarity(ecg, rate_hz))
    alike = beat_likeness(qrs_band(ecg, rate_hz), rate_hz, times)
    return plausible_share(times, len(ecg) / rate_hz) * max(0.0, alike)


def likeness(ecg: np.ndarray, rate_hz: float, times: np.ndarray) -> tuple[float, float]:
    """How alike the beats of an ECG are, and the crest, from 5 to 25 Hz.

    Of each five minutes it is the median correlation of beats with the median beat, and of the recording the upper
    quartile of these: an electrode may have been off for most of the night.
    """
    found, crests = [], []
    for part in spread_stretches(len(ecg), rate_hz):
        start, piece = part.start / rate_hz, ecg[part]
        if len(piece) < rate_hz or not np.ptp(piece) > 0:
            continue
        filtered = qrs_band(piece, rate_hz)
        crests.append(np.percentile(np.abs(filtered), 99.5) / max(filtered.std(), 1e-12))
        alike = beat_correlations(filtered, rate_hz, times[(times >= start) & (times < start + 300)] - start)
        if len(alike) >= 10:
            found.append(np.median(alike))
    return (float(np.percentile(found, 75)), float(np.median(crests))) if found else (0.0, 0.0)


def flat_or_clipped(ecg: np.ndarray, rate_hz: float, onset_s: np.ndarray, duration_s: np.ndarray) -> np.ndarray:
    """(N, 2): the share of each sleep epoch in which an ECG is constant, and in which it is clipped at its extremes."""
    low, high, length = ecg.min(), ecg.max(), max(2, round(FLAT_SECONDS * rate_hz))
    shares = np.zeros((len(onset_s), 2))
    suspect = _perhaps_flat_or_clipped(ecg, low, high, length)
    first = np.maximum(0, np.rint(np.asarray(onset_s) * rate_hz).astype(int))
    last = np.rint((np.asarray(onset_s) + duration_s) * rate_hz).astype(int)
    for i in np.flatnonzero(np.searchsorted(suspect, last) > np.searchsorted(suspect, first)):
        piece = ecg[first[i] : last[i]]
        if len(piece) < length:
            continue
        edges = np.concatenate([[0], 1 + np.flatnonzero(piece[1:] != piece[:-1]), [len(piece)]])
        runs, values = np.diff(edges), piece[edges[:-1]]
        flat = runs >= length
        clipped = ~flat & (runs >= 2) & ((values == low) | (values == high))
        shares[i] = runs[flat].sum() / len(piece), runs[clipped].sum() / len(piece)
    return shares


def _perhaps_flat_or_clipped(ecg: np.ndarray, low: float, high: float, length: int) -> np.ndarray:
    """Samples (samples,), ascending, of which one is in every run of `length` equal samples or at an extreme."""
    half = max(1, length // 2)
    same = ecg[1:] == ecg[:-1]
    blocks = same[: len(same) // half * half].reshape(-1, half)
    inside = np.flatnonzero(blocks.all(axis=1)) * half
    at_extremes = np.flatnonzero((ecg == low) | (ecg == high))
    return np.sort(np.concatenate([inside, at_extremes]))


def _at_ends(signal: np.ndarray, rate_hz: float) -> float:
    """The share of samples at the maximum or minimum: the median over 30-s pieces that are not flat."""
    length = min(round(30 * rate_hz), len(signal))
    pieces = signal[: len(signal) // length * length].reshape(-1, length)
    low, high = pieces.min(axis=1), pieces.max(axis=1)
    live = high > low
    if not live.all():
        pieces, low, high = pieces[live], low[live], high[live]
    margin = 0.02 * (high - low)
    if not live.any():
        return 0.0
    limits = zip(pieces, low + margin, high - margin, strict=True)  # one by one, a piece stays in the cache
    return float(
        np.median([np.count_nonzero((piece <= least) | (piece >= most)) for piece, least, most in limits]) / length
    )
