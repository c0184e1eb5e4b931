"""Features of RR intervals, for the checks of `benchmarks/simulation.py`."""

import numpy as np
from scipy.ndimage import median_filter

EPOCH = 30
"""Sleep epoch in seconds."""


def heart_rate_features(beats: np.ndarray, onset: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of `count` sleep epochs of 30 s from `onset` seconds on.

    Returns features of each sleep epoch (n, 13), and of 30 s, 2, 5 and 10 minutes around its centre (n, 52).
    RR intervals that differ from the local median by more than 25 % are left out (ectopic or missed beats).
    """
    intervals = np.diff(beats)
    middle = median_filter(intervals, 11, mode="nearest")
    good = (np.abs(intervals / middle - 1) < 0.25) & (intervals > 0.3) & (intervals < 2.2)
    times, intervals = beats[1:][good], intervals[good]
    series = np.interp(np.arange(0, beats[-1], 0.25), times, intervals)
    of_epoch, of_context = [], []
    for centre in onset + EPOCH * (np.arange(count) + 0.5):
        windows = [_window_features(times, intervals, series, centre, seconds) for seconds in (EPOCH, 120, 300, 600)]
        of_epoch.append(windows[0])
        of_context.append(np.concatenate(windows))
    return np.array(of_epoch), np.array(of_context)


def _window_features(
    times: np.ndarray, intervals: np.ndarray, series: np.ndarray, centre: float, seconds: float
) -> list[float]:
    """HRV features of one window (Task Force 1996, Circulation 93:1043), and frequency and width of the HF peak."""
    f, power = _spectrum(series, centre, seconds)
    breathing = (f >= 0.15) & (f < 0.4)
    weight = power[breathing] / max(power[breathing].sum(), 1e-12)
    peak = (weight * f[breathing]).sum()
    width = np.sqrt((weight * (f[breathing] - peak) ** 2).sum())
    spectral = [*np.log(np.array(_bands(f, power)) + 1e-9), peak, width]
    return [*_time_domain(times, intervals, centre, seconds), *spectral]


def _time_domain(times: np.ndarray, intervals: np.ndarray, centre: float, seconds: float) -> list[float]:
    """Heart rate, SDNN, RMSSD, 5th, 50th and 95th percentile of RR, largest successive difference, and trend of RR.

    Heart rate is per minute, the trend in ms per second, the others in ms.
    """
    inside = slice(*np.searchsorted(times, [centre - seconds / 2, centre + seconds / 2]))
    rr, ends = intervals[inside] * 1000, times[inside]
    if len(rr) < 0.4 * seconds:
        return [np.nan] * 8
    steps = np.diff(rr)[np.diff(ends) < 1.3 * intervals[inside][1:]]  # only of intervals that share a beat
    rmssd = np.sqrt(np.mean(steps**2)) if len(steps) else np.nan
    largest, trend = np.abs(steps).max(initial=0), np.polyfit(ends - centre, rr, 1)[0]
    return [60000 / rr.mean(), rr.std(ddof=1), rmssd, *np.percentile(rr, [5, 50, 95]), largest, trend]


def _spectrum(series: np.ndarray, centre: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and power of the 4-Hz RR series in a Hann window, shorter at the ends of the night."""
    window = series[max(round((centre - seconds / 2) * 4), 0) : round((centre + seconds / 2) * 4)]
    if len(window) < 40:
        return np.array([0.01, 0.1, 0.3]), np.full(3, np.nan)
    window = (window - window.mean()) * np.hanning(len(window))
    return np.fft.rfftfreq(len(window), 0.25), np.abs(np.fft.rfft(window)) ** 2 / len(window)


def _bands(f: np.ndarray, power: np.ndarray) -> tuple[float, float, float]:
    """VLF, LF and HF power."""
    vlf, lf, hf = (power[(f >= low) & (f < high)].sum() for low, high in ((0.007, 0.04), (0.04, 0.15), (0.15, 0.4)))
    return vlf, lf, hf
