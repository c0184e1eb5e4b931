"""Where an ECG holds a signal: stretches without lost electrodes, missing samples, silence and loud artefacts.

A beat detector adapts to the amplitude that it sees. After a stretch without a heartbeat it takes T waves or noise for
beats, for minutes, and after a loud artefact it misses beats. So it runs on each of these stretches alone.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.signal import butter, sosfiltfilt

from sleepkd.data.beats import MAX_RR_S
from sleepkd.data.mask_runs import mask_runs

QRS_HZ = (5.0, 25.0)
"""The band of QRS complexes."""
FILLED_SECONDS = 0.25
"""A straight line at least this long is no recorded ECG. It is replaced by one that joins the samples around it."""
LOST_SECONDS = 1.0
"""A straight line at least this long ends a stretch."""
COARSE_SHARE, COARSE_SECONDS = 0.25, 2.0
"""If lines of less than two seconds fill a larger share, they are pauses between the beats of a coarsely digitized ECG
of a slow heart, and end no stretch."""
ROUNDING = 1e-6
"""A signal is straight if it differs from a line by a smaller share of its own size: single precision."""
SAMPLED = 8
"""Of a straight line, so many samples are looked at first."""
LOUD, QUIET = 5.0, 8.0
"""What is so many times louder or quieter than the typical R wave is not of the same ECG. R waves, premature ones too,
vary by a factor of two to three."""
LEAST_SECONDS = 3.0
"""Of a stretch; a shorter one has too few beats to adapt to."""
LEAST_OTHER_SECONDS = 10.0
"""Of a stretch at another amplitude than its surroundings."""
LEVEL_SECONDS = 1 / 32
"""Resolution of where an ECG is quiet."""
BEFORE_A_BEAT = 0.25
"""A stretch begins so many seconds before its first R wave, and ends as late after its last."""


@dataclass(frozen=True)
class EcgStretch:
    """A part of an ECG at one amplitude: its first sample, and its samples (samples,)."""

    first: int
    samples: np.ndarray


def bridged_ecg(ecg: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """An ECG (samples,) with straight lines for what is missing or filled, and where it is lost, bool (samples,).

    NaN counts as missing. An ECG that is missing as a whole stays as it is.
    """
    runs = _straight_lines(ecg, FILLED_SECONDS * rate_hz)
    seconds = (runs[:, 1] - runs[:, 0]) / rate_hz
    filled = ~np.isfinite(ecg)
    for first, last in runs.tolist():
        filled[first:last] = True
    short = seconds[(seconds >= LOST_SECONDS) & (seconds < COARSE_SECONDS)]
    coarse = short.sum() > COARSE_SHARE * len(ecg) / rate_hz
    least = COARSE_SECONDS if coarse else LOST_SECONDS
    lost = np.zeros(len(ecg), dtype=bool)
    if not filled.any():
        return ecg, lost
    for first, last in mask_runs(filled).tolist():
        lost[first:last] = (last - first) / rate_hz >= least
    if filled.all():
        return ecg, lost
    at = np.arange(len(ecg))
    return np.where(filled, np.interp(at, at[~filled], ecg[~filled]), ecg), lost


def ecg_stretches(bridged: np.ndarray, lost: np.ndarray, rate_hz: float) -> list[EcgStretch]:
    """The stretches of an ECG that hold a signal, in order: of one without any fault, all of it.

    bridged, lost: (samples,), as `bridged_ecg` gives them, or every n-th sample of both.
    """
    found: list[EcgStretch] = []
    for first, last in mask_runs(~lost).tolist():
        if last - first >= LEAST_SECONDS * rate_hz:
            found += _at_one_level(bridged, first, last, rate_hz)
    return found


def qrs_band(ecg: np.ndarray, rate_hz: float) -> np.ndarray:
    """An ECG (samples,) between 5 and 25 Hz, zero-phase."""
    return np.asarray(sosfiltfilt(_qrs_filter(rate_hz), ecg))


@lru_cache
def _qrs_filter(rate_hz: float) -> np.ndarray:
    high = min(QRS_HZ[1], 0.45 * rate_hz)
    return np.asarray(butter(2, (QRS_HZ[0], high), btype="bandpass", fs=rate_hz, output="sos"))


def _straight_lines(ecg: np.ndarray, least: float) -> np.ndarray:
    """Runs of at least so many samples on one line, to rounding, (runs, 2): the first, and the one after the last."""
    apart = max(1, int(least - 2) // SAMPLED)
    if not (np.diff(mask_runs(_on_a_line(ecg, apart))) >= int(least - 2) // apart).any():  # as of most ECGs
        return np.zeros((0, 2), dtype=int)
    runs = mask_runs(_on_a_line(ecg, 1)) + np.array([0, 2])
    return runs[runs[:, 1] - runs[:, 0] >= least]


def _on_a_line(ecg: np.ndarray, apart: int) -> np.ndarray:
    """Whether a sample and the two after it lie on one line, to rounding: bool, of samples so far apart."""
    first, second, third = (ecg[i : len(ecg) - 2 + i : apart] for i in range(3))
    bend = np.abs((third - second) - (second - first))
    return np.asarray(bend <= ROUNDING * (np.abs(first) + 2 * np.abs(second) + np.abs(third)))


def _at_one_level(ecg: np.ndarray, first: int, last: int, rate_hz: float) -> list[EcgStretch]:
    """The parts from sample `first` to `last` at the typical amplitude of it, and likewise those of what is left."""
    band = np.abs(qrs_band(ecg[first:last], rate_hz))
    level = _level(band, rate_hz)
    typical = float(np.median(level))
    quiet_blocks = level < typical / QUIET
    if level.max() <= LOUD * typical and not quiet_blocks.any():
        return [EcgStretch(first, ecg[first:last])]
    half = max(1, round(MAX_RR_S / 2 * rate_hz))
    near = 2 * round(BEFORE_A_BEAT * rate_hz) + 1
    loud = maximum_filter1d(band > LOUD * typical, near)
    quiet = _widened(np.repeat(quiet_blocks, _level_block(rate_hz))[: len(band)], half - near // 2)
    found: list[EcgStretch] = []
    for begin, end in mask_runs(~loud & ~quiet).tolist():
        if end - begin >= LEAST_SECONDS * rate_hz:
            found.append(EcgStretch(first + begin, ecg[first + begin : first + end]))
    for other in (_joined(loud, half), quiet):
        for begin, end in mask_runs(other).tolist():
            if LEAST_OTHER_SECONDS * rate_hz <= end - begin < last - first:
                found += _at_one_level(ecg, first + begin, first + end, rate_hz)
    return sorted(found, key=lambda stretch: stretch.first)


def _level(band: np.ndarray, rate_hz: float) -> np.ndarray:
    """The largest value within half of the longest RR interval, in which an ECG has an R wave: (blocks,)."""
    block = _level_block(rate_hz)
    largest = np.maximum.reduceat(band, np.arange(0, len(band), block))
    return np.asarray(maximum_filter1d(largest, max(1, round(MAX_RR_S * rate_hz / block))))


def _level_block(rate_hz: float) -> int:
    """Samples of a block of `_level`."""
    return max(1, round(LEVEL_SECONDS * rate_hz))


def _widened(mask: np.ndarray, by: int) -> np.ndarray:
    return np.asarray(maximum_filter1d(mask, 2 * by + 1)) if by > 0 else mask


def _joined(mask: np.ndarray, gap: int) -> np.ndarray:
    """A mask without gaps of less than twice `gap`."""
    return ~_widened(~_widened(mask, gap), gap)
