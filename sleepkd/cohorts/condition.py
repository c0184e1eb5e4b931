"""What happens to a signal before it is stored: its rate, its polarity, its statistics. No label enters here."""

from fractions import Fraction

import numpy as np
from scipy.signal import butter, firwin, kaiserord, resample_poly, sosfiltfilt


def resample_night(samples: np.ndarray, rate_hz: float, target_hz: float) -> np.ndarray:
    """A whole signal (samples,) at another rate; sample k lies at k / target_hz seconds, as before at k / rate_hz.

    Polyphase filtering, zero-phase: flat up to 90 % of the highest frequency that both rates can hold, and 60 dB down
    beyond it, so that nothing aliases. The ratio is the simplest fraction that drifts by less than a tenth of a sample
    over the night.
    """
    exact = Fraction(target_hz).limit_denominator(10**6) / Fraction(rate_hz).limit_denominator(10**6)
    for largest in (10**2, 10**3, 10**4, 10**5):
        ratio = exact.limit_denominator(largest)
        if abs(float(ratio / exact) - 1) * len(samples) * float(exact) < 0.1:
            break
    if ratio == 1:
        return samples
    nyquist = 1 / max(ratio.numerator, ratio.denominator)  # in units of that of the signal between the two rates
    taps, beta = kaiserord(60, 0.1 * nyquist)
    lowpass = firwin(taps | 1, 0.95 * nyquist, window=("kaiser", beta))
    middle = np.median(samples)  # without its offset, a signal has none of the filter's ripple on it
    # Beyond its ends a signal is held, not dropped to zero, which would ring.
    return middle + resample_poly(samples - middle, ratio.numerator, ratio.denominator, window=lowpass, padtype="edge")


def detect_polarity(ecg: np.ndarray, rate_hz: float) -> int:
    """Whether an ECG's R waves point up (+1) or down (-1), by majority over the night's 2-s pieces.

    Between 1 and 25 Hz, the wander of the baseline gone, the R wave is the tallest thing: each piece votes with how far
    its highest value exceeds its lowest, in units of their sum.
    """
    band = butter(2, (1, min(25, 0.45 * rate_hz)), btype="bandpass", fs=rate_hz, output="sos")
    filtered = sosfiltfilt(band, ecg)
    length = min(round(2 * rate_hz), len(ecg))
    pieces = filtered[: len(filtered) // length * length].reshape(-1, length)
    high, low = pieces.max(axis=1), -pieces.min(axis=1)
    vote = (high - low) / np.maximum(high + low, np.finfo(float).tiny)
    return -1 if np.median(vote) < 0 else 1


PIECE_SECONDS = 30.0
TYPICAL = 70
"""Percentile of the pieces' interquartile ranges that counts as typical. Above the median, because an electrode that is
off, and quiet then, is off for hours, while movement is loud for minutes."""
FAR = 10.0
"""A piece so many times wider or narrower than the typical one is not the signal. From wakefulness to slow-wave sleep,
an EEG widens about four-fold."""
AT_ITS_ENDS = 0.25
"""A piece is railed where more than this share of its samples lies at its highest or lowest value; a sine has 4 %."""
MAINS = -0.5
"""A piece is hum where samples half a period of the mains apart are correlated less than this."""
_BLOCK = 64  # pieces at a time


def night_statistics(samples: np.ndarray, rate_hz: float) -> tuple[float, float]:
    """Median and interquartile range of a signal (samples,) over the night, hours without electrodes left out.

    The night is cut into 30-s pieces. Those that are flat or railed, that are nothing but mains hum, or that are ten
    times wider or narrower than the typical piece are left out; if nothing remains, nothing is. The thresholds are
    chosen here, not taken from the literature; a clean night loses no piece to them.
    """
    length = min(round(PIECE_SECONDS * rate_hz), len(samples))
    pieces = samples[: len(samples) // length * length].reshape(-1, length)
    lag = round(rate_hz / 110)  # half a period of 55 Hz: 50 Hz and 60 Hz are correlated by -0.77 or less, at any rate
    blocks = [_widths(pieces[k : k + _BLOCK], lag if rate_hz >= 100 else 0) for k in range(0, len(pieces), _BLOCK)]
    width = np.concatenate([widths for widths, _ in blocks])
    live = np.concatenate([alive for _, alive in blocks])
    if live.any():
        typical = np.percentile(width[live], TYPICAL)
        live &= (width >= typical / FAR) & (width <= typical * FAR)
    chosen = pieces[live] if live.any() and not live.all() else pieces
    low, median, high = np.percentile(chosen, (25, 50, 75), overwrite_input=chosen is not pieces)
    return float(median), float(high - low)


def _widths(pieces: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """The interquartile range of each piece, and whether it is neither flat nor railed nor hum."""
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
