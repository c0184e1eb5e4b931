"""Conditioning of a signal before it is stored: band, resampling, missing samples, polarity, statistics, int16."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.signal import butter, firwin, kaiserord, resample_poly, sosfiltfilt

from sleepkd.cohorts.missing import at_rate, lasting, missing_samples
from sleepkd.cohorts.signals import DerivedSignal
from sleepkd.cohorts.signals.signal_file import draw_lines
from sleepkd.data.quantiles import quantiles
from sleepkd.data.recording_info import SignalInfo, digest
from sleepkd.data.signal_kinds import SignalKind
from sleepkd.data.store_writing import to_int16
from sleepkd.errors import UserError

QUARTILES = (0.25, 0.5, 0.75)


def stored_signal(
    signal: DerivedSignal,
    kind: SignalKind,
    rate_hz: float | None,
    scored_span: tuple[float, float] | None,
    gaps: Sequence[tuple[float, float]],
    polarity: int,
    where: str,
) -> tuple[np.ndarray, SignalInfo]:
    """A signal as it is stored, (samples,) int16, and its facts. Raises UserError for a flat signal.

    rate_hz: samples per second of the result; None keeps the recorded rate.
    scored_span: from the first to the last sleep epoch with labels, s; None for an unlabelled recording. Only the
    statistics `scored_median` and `scored_iqr` depend on it.
    gaps: (start, end), s, left out of all statistics. where: file and signal, for the message.
    """
    samples, rate = conditioned(signal, kind, rate_hz, where), rate_hz or signal.rate_hz
    scored_median = scored_iqr = None
    if scored_span:
        scored = _known(_without_gaps(samples, gaps, rate, *scored_span), kind)
        if len(scored):
            low, middle, high = quantiles(scored, QUARTILES)
            scored_median, scored_iqr = float(middle), float(high - low)
    whole = _without_gaps(samples, gaps, rate)
    if kind.keeps_missing:
        low, median, high = (float(x) for x in quantiles(_known(whole, kind), QUARTILES))
        iqr = high - low
    else:
        median, iqr = night_statistics(whole, rate)
    stored, scale, offset = to_int16(samples)
    is_flat = (iqr if scored_iqr is None else scored_iqr) < scale
    if kind.stored_as == "counts" or kind.normalisation == "physical":  # most of a night may have one value
        is_flat = bool(np.nanmax(samples) == np.nanmin(samples))
    if is_flat:
        raise UserError(f"{where}: {signal.derivation} is flat")
    return stored, SignalInfo(
        derivation=signal.derivation,
        unit=signal.unit,
        recorded_hz=signal.rate_hz,
        rate_hz=rate,
        samples=len(stored),
        scale=scale,
        offset=offset,
        median=median,
        iqr=iqr,
        scored_median=scored_median,
        scored_iqr=scored_iqr,
        polarity=polarity,
        digest=digest(signal.samples),
        missing_s=float(np.isnan(samples).sum() / rate),
        mean=float(np.mean(_known(whole, kind))) if kind.stored_as == "counts" else None,
    )


def conditioned(signal: DerivedSignal, kind: SignalKind, rate_hz: float | None, where: str) -> np.ndarray:
    """A signal in the band of its kind and at another rate (samples,); NaN where it is missing, if its kind keeps that.

    rate_hz: None keeps the recorded rate. Raises UserError for a signal without any sample in the valid range.
    """
    rate = rate_hz or signal.rate_hz
    if not kind.keeps_missing:
        limited = band_limited(signal.samples, signal.rate_hz, kind)
        return limited if rate_hz is None else resample_night(limited, signal.rate_hz, rate_hz)
    missing = missing_samples(signal, kind)
    if missing.all():
        valid = "" if kind.valid is None else f" from {kind.valid[0]:g} to {kind.valid[1]:g} {kind.unit}"
        raise UserError(f"{where}: {signal.derivation} has no value{valid}")
    if kind.stored_as == "counts":
        return counts_at_rate(np.where(missing, np.nan, signal.samples), signal.rate_hz, rate)
    samples = signal.samples.copy()
    draw_lines(samples, missing)
    samples = band_limited(samples, signal.rate_hz, kind)
    if rate_hz is not None:
        samples = np.array(resample_night(samples, signal.rate_hz, rate_hz))
    samples[at_rate(lasting(missing, signal.rate_hz), signal.rate_hz, rate, len(samples))] = np.nan
    return samples


def band_limited(samples: np.ndarray, rate_hz: float, kind: SignalKind) -> np.ndarray:
    """A signal (samples,) in the band of its kind, zero-phase, second order; limits beyond its rate do not apply."""
    low, high = kind.band_hz
    high = high if high is not None and high < 0.45 * rate_hz else None
    if low is not None and high is not None:
        band = butter(2, (low, high), btype="bandpass", fs=rate_hz, output="sos")
    elif low is not None:
        band = butter(2, low, btype="highpass", fs=rate_hz, output="sos")
    elif high is not None:
        band = butter(2, high, btype="lowpass", fs=rate_hz, output="sos")
    else:
        return samples
    return np.asarray(sosfiltfilt(band, samples, padlen=min(len(samples) - 1, round(10 * rate_hz))))


def counts_at_rate(
    counts: np.ndarray, rate_hz: float, target_hz: float, first_s: float = 0.0, seconds: float | None = None
) -> np.ndarray:
    """Counts (samples,) at another rate: the mean over each new interval, weighted by time; NaN is missing.

    first_s: when the first count begins. seconds: of the result from 0 s; None ends it with the counts. A new interval
    is missing if less than half of it was measured.
    """
    known = np.isfinite(counts)
    edges = first_s + np.arange(len(counts) + 1) / rate_hz
    end_s = edges[-1] if seconds is None else seconds
    new = np.arange(round(end_s * target_hz) + 1) / target_hz
    total = np.interp(new, edges, np.concatenate([[0], np.cumsum(np.where(known, counts, 0.0))]) / rate_hz)
    measured = np.diff(np.interp(new, edges, np.concatenate([[0], np.cumsum(known)]) / rate_hz))
    enough = measured >= 0.5 / target_hz - 1e-9
    return np.where(enough, np.diff(total) / np.where(enough, measured, 1.0), np.nan)


def _known(samples: np.ndarray, kind: SignalKind) -> np.ndarray:
    return samples[~np.isnan(samples)] if kind.keeps_missing else samples


def _without_gaps(
    samples: np.ndarray, gaps: Sequence[tuple[float, float]], rate: float, start: float = 0.0, end: float | None = None
) -> np.ndarray:
    """The samples from `start` to `end`, s, without those in gaps."""
    first, last = max(0, round(start * rate)), len(samples) if end is None else max(0, round(end * rate))
    if not gaps:
        return samples[first:last]
    recorded = np.ones(len(samples), dtype=bool)
    for begin, stop in gaps:
        recorded[round(begin * rate) : round(stop * rate)] = False
    return samples[first:last][recorded[first:last]]


LARGEST_MATRIX = 1 << 18
"""Of the weights of `_filtered`, in numbers: more is no faster than `resample_poly`."""
BLOCKS_AT_A_TIME = 32
"""A product of so few rows runs on one core. OpenBLAS divides larger ones, and its threads take five times the time of
cores when other processes run beside them."""


def resample_night(samples: np.ndarray, rate_hz: float, target_hz: float) -> np.ndarray:
    """A whole signal (samples,) at another rate; sample k lies at k / target_hz seconds, as before at k / rate_hz.

    Zero-phase polyphase filtering: flat up to 90 % of the lower Nyquist frequency, and 60 dB down beyond it, so that
    nothing aliases. The ratio is the simplest fraction that drifts by less than a tenth of a sample over the night.
    """
    exact = Fraction(target_hz).limit_denominator(10**6) / Fraction(rate_hz).limit_denominator(10**6)
    for largest in (10**2, 10**3, 10**4, 10**5):
        ratio = exact.limit_denominator(largest)
        if abs(float(ratio / exact) - 1) * len(samples) * float(exact) < 0.1:
            break
    if ratio == 1:
        return samples
    nyquist = 1 / max(ratio.numerator, ratio.denominator)  # in units of the intermediate rate's Nyquist frequency
    taps, beta = kaiserord(60, 0.1 * nyquist)
    lowpass = firwin(taps | 1, 0.95 * nyquist, window=("kaiser", beta))
    (middle,) = quantiles(samples, (0.5,))  # an offset would carry the filter's ripple
    return _filtered(samples, float(middle), ratio, lowpass)


def _filtered(samples: np.ndarray, middle: float, ratio: Fraction, lowpass: np.ndarray) -> np.ndarray:
    """`resample_poly` of what differs from `middle`, with the filter `lowpass`, (taps,) odd.

    Beyond its ends the signal is held, or it would ring.

    For ratios of small numbers, it is a matrix product, with the same result up to rounding, several times as fast.
    """
    up, down = ratio.numerator, ratio.denominator
    half, count = len(lowpass) // 2, -(-len(samples) * up // down)
    before = half // up + 1  # samples that the first output needs before the first sample
    periods = max(1, 2 * before // down)  # of the pattern of phases, in a block
    rows, width = periods * up, periods * down + 2 * before + 1
    if rows * width > LARGEST_MATRIX:
        return middle + np.asarray(resample_poly(samples - middle, up, down, window=lowpass, padtype="edge"))
    # Output k lies at sample k * down / up: the weight of sample j is up * lowpass[half + k * down - j * up].
    taps = half + np.arange(rows)[:, None] * down - (np.arange(width)[None] - before) * up
    weights = np.where((taps >= 0) & (taps < len(lowpass)), up * lowpass[np.clip(taps, 0, len(lowpass) - 1)], 0.0)
    blocks = -(-count // rows)
    after = max(0, blocks * periods * down + before + 1 - len(samples))
    padded = np.empty(before + len(samples) + after)
    np.subtract(samples, middle, out=padded[before : before + len(samples)])
    padded[:before], padded[before + len(samples) :] = samples[0] - middle, samples[-1] - middle
    windows = np.lib.stride_tricks.sliding_window_view(padded, width)[:: periods * down][:blocks]
    found = np.empty((blocks, rows))
    for first in range(0, blocks, BLOCKS_AT_A_TIME):
        some = slice(first, first + BLOCKS_AT_A_TIME)
        np.matmul(windows[some], weights.T, out=found[some])
    found += middle
    return found.ravel()[:count]


STRETCHES, STRETCH_SECONDS = 16, 300
"""So many stretches of five minutes, spread over the recording, show the shape of its beats."""


def spread_stretches(samples: int, rate_hz: float) -> list[slice]:
    """About `STRETCHES` stretches of five minutes, evenly spread over a recording of so many samples."""
    length = round(STRETCH_SECONDS * rate_hz)
    every = max(1, samples // length // STRETCHES)
    return [slice(start, start + length) for start in range(0, samples, every * length)]


def detect_polarity(ecg: np.ndarray, rate_hz: float) -> int:
    """Polarity of an ECG (samples,): +1 if its R waves point up, -1 if down, by the median over 2-s pieces.

    Of a long ECG, the pieces of `spread_stretches` are taken.

    Between 1 and 25 Hz, without baseline wander, the R wave has the largest amplitude. The vote of a piece is how far
    its maximum exceeds the absolute value of its minimum, relative to their sum.
    """
    band = butter(2, (1, min(25, 0.45 * rate_hz)), btype="bandpass", fs=rate_hz, output="sos")
    ecg = np.concatenate([ecg[stretch] for stretch in spread_stretches(len(ecg), rate_hz)])
    filtered = sosfiltfilt(band, ecg)
    length = min(round(2 * rate_hz), len(ecg))
    pieces = filtered[: len(filtered) // length * length].reshape(-1, length)
    high, low = pieces.max(axis=1), -pieces.min(axis=1)
    vote = (high - low) / np.maximum(high + low, np.finfo(float).tiny)
    return -1 if np.median(vote) < 0 else 1


PIECE_SECONDS = 30.0
TYPICAL = 70
"""Percentile of the pieces' interquartile ranges that counts as typical. It is above the median, because a lost
electrode is quiet for hours, while movement is loud for minutes."""
FAR = 10.0
"""A piece is left out if its interquartile range is so many times larger or smaller than the typical one. That of an
EEG grows about four-fold from wakefulness to slow-wave sleep."""
AT_ITS_ENDS = 0.25
"""A piece is clipped if a larger share of its samples lies at its maximum or minimum; a sine has 4 % there."""
MAINS = -0.5
"""A piece is mains hum if samples half a period of the mains apart have a lower correlation."""
_BLOCK = 64  # pieces at a time


def night_statistics(samples: np.ndarray, rate_hz: float) -> tuple[float, float]:
    """Median and interquartile range of a signal (samples,) over the night, without hours of lost electrodes.

    Of the night's 30-s pieces, those are left out that are flat, clipped, only mains hum, or ten times wider or
    narrower than the typical piece; if none remains, all are used. The thresholds are our own, not from the literature;
    a clean night loses no piece.
    """
    length = min(round(PIECE_SECONDS * rate_hz), len(samples))
    pieces = samples[: len(samples) // length * length].reshape(-1, length)
    # Half a period of 55 Hz: the correlation of 50 Hz, and of 60 Hz, is -0.77 or less there.
    lag = round(rate_hz / 110)
    blocks = [_widths(pieces[k : k + _BLOCK], lag if rate_hz >= 100 else 0) for k in range(0, len(pieces), _BLOCK)]
    width = np.concatenate([widths for widths, _ in blocks])
    live = np.concatenate([alive for _, alive in blocks])
    if live.any():
        typical = np.percentile(width[live], TYPICAL)
        live &= (width >= typical / FAR) & (width <= typical * FAR)
    chosen = pieces[live] if live.any() and not live.all() else pieces
    low, median, high = quantiles(chosen.ravel(), QUARTILES)
    return float(median), float(high - low)


def _widths(pieces: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The interquartile range of each piece, and whether it is neither flat nor clipped nor hum."""
    low, quarter, three_quarters, high = np.percentile(pieces, (0, 25, 75, 100), axis=1)
    width = three_quarters - quarter
    margin = 1e-3 * (high - low)
    at_ends = (pieces >= (high - margin)[:, None]) | (pieces <= (low + margin)[:, None])
    live = (width > 0) & (at_ends.mean(axis=1) <= AT_ITS_ENDS)
    if lag:
        centred = pieces - pieces.mean(axis=1, keepdims=True)
        product = np.einsum("pk,pk->p", centred[:, lag:], centred[:, :-lag])
        live &= product >= MAINS * np.einsum("pk,pk->p", centred, centred)
    return width, live
