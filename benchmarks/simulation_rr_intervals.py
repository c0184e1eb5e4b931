"""What the heartbeat tells of sleep: measures and features of RR intervals, from beats alone.

The judges of `benchmarks/simulation.py` hold them against the table of real nights, and stage sleep by them.
"""

import numpy as np
from scipy.ndimage import median_filter

EPOCH = 30


def heart_rate_features(beats: np.ndarray, onset: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For `count` times 30 s from `onset` s: the table's measures (n, 5), features of the 30 s, and of 10 min around.

    Intervals that differ from the local median by more than 25 % are left out (ectopic or missed beats).
    """
    intervals = np.diff(beats)
    middle = median_filter(intervals, 11, mode="nearest")
    good = (np.abs(intervals / middle - 1) < 0.25) & (intervals > 0.3) & (intervals < 2.2)
    times, intervals = beats[1:][good], intervals[good]
    series = np.interp(np.arange(0, beats[-1], 0.25), times, intervals)
    night_median = np.median(60 / intervals)
    measures, alone, around = [], [], []
    for centre in onset + EPOCH * (np.arange(count) + 0.5):
        heart_rate, sdnn, rmssd, *_ = _time_domain(times, intervals, centre, EPOCH)
        vlf, lf, hf = _bands(*_spectrum(series, centre, 150))
        measures.append([heart_rate / night_median, sdnn, rmssd, lf / hf, vlf / (lf + hf)])
        windows = [_window_features(times, intervals, series, centre, seconds) for seconds in (EPOCH, 120, 300, 600)]
        alone.append(windows[0])
        around.append(np.concatenate(windows))
    return np.array(measures), np.array(alone), np.array(around)


def _window_features(
    times: np.ndarray, intervals: np.ndarray, series: np.ndarray, centre: float, seconds: float
) -> list[float]:
    """Features of a window (Task Force 1996, Circulation 93:1043), among them the place and width of the HF peak."""
    f, power = _spectrum(series, centre, seconds)
    breathing = (f >= 0.15) & (f < 0.4)
    weight = power[breathing] / max(power[breathing].sum(), 1e-12)
    peak = (weight * f[breathing]).sum()
    width = np.sqrt((weight * (f[breathing] - peak) ** 2).sum())
    spectral = [*np.log(np.array(_bands(f, power)) + 1e-9), peak, width]
    return [*_time_domain(times, intervals, centre, seconds), *spectral]


def _time_domain(times: np.ndarray, intervals: np.ndarray, centre: float, seconds: float) -> list[float]:
    """Heart rate per minute, SDNN and RMSSD in ms, three quantiles of RR in ms, the largest step, the trend."""
    rows = slice(*np.searchsorted(times, [centre - seconds / 2, centre + seconds / 2]))
    rr, ends = intervals[rows] * 1000, times[rows]
    if len(rr) < 0.4 * seconds:
        return [np.nan] * 8
    steps = np.diff(rr)[np.diff(ends) < 1.3 * intervals[rows][1:]]  # only of intervals that share a beat
    rmssd = np.sqrt(np.mean(steps**2)) if len(steps) else np.nan
    largest, trend = np.abs(steps).max(initial=0), np.polyfit(ends - centre, rr, 1)[0]
    return [60000 / rr.mean(), rr.std(ddof=1), rmssd, *np.percentile(rr, [5, 50, 95]), largest, trend]


def _spectrum(series: np.ndarray, centre: float, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and power of the 4-Hz RR series under a Hann window; at the ends of the night, of what there is."""
    piece = series[max(round((centre - seconds / 2) * 4), 0) : round((centre + seconds / 2) * 4)]
    if len(piece) < 40:
        return np.array([0.01, 0.1, 0.3]), np.full(3, np.nan)
    piece = (piece - piece.mean()) * np.hanning(len(piece))
    return np.fft.rfftfreq(len(piece), 0.25), np.abs(np.fft.rfft(piece)) ** 2 / len(piece)


def _bands(f: np.ndarray, power: np.ndarray) -> tuple[float, float, float]:
    """VLF, LF and HF power."""
    return tuple(power[(f >= low) & (f < high)].sum() for low, high in ((0.007, 0.04), (0.04, 0.15), (0.15, 0.4)))
