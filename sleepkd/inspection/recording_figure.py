"""Figure of a stored night: hypnogram, heart rate and EEG spectrogram, and ten seconds of each signal."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepkd.data.beats import plausible_intervals
from sleepkd.data.hypnogram import SLEEP_STAGES
from sleepkd.data.recording_info import MISSING
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.store import Night
from sleepkd.evaluation.pictures.drawing import new_figure
from sleepkd.evaluation.pictures.hypnogram_figure import HOUR, draw_hypnogram, hour_ticks
from sleepkd.palette import (
    FAINT_INK,
    INK,
    NEGATIVE,
    POSITIVE,
    SEQUENTIAL,
    UNSCORED_FILL,
    display_order,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN_SECONDS, FOURIER_SECONDS = 30.0, 4.0
MAX_HZ = 25.0
CLOSE_UP_SECONDS = 10.0


def recording_figure(night: Night, path: Path) -> None:
    """Draw a recording to a PNG. Raises UserError where matplotlib is not installed."""
    has_eeg, names = "eeg" in night.info.signals, [name for name in SIGNAL_KINDS if name in night.info.signals]
    heights = [1.3, 1.0, *([1.5] if has_eeg else []), *[0.8] * len(names)]
    with new_figure(path, 11, 1.25 * sum(heights)) as figure:
        rows = figure.subplots(len(heights), 1, height_ratios=heights)
        over_night, close_ups = rows[: len(heights) - len(names)], rows[len(heights) - len(names) :]
        order = display_order(SLEEP_STAGES)
        draw_hypnogram(over_night[0], night.hypnogram, night.hypnogram.labels, SLEEP_STAGES, order)
        _draw_heart_rate(over_night[1], night)
        if has_eeg:
            _draw_spectrogram(over_night[2], night)
        for axes in over_night:
            axes.set_xlim(0, night.info.seconds / HOUR)
            hour_ticks(axes)
            _shade(axes, night)
        for axes in over_night[:-1]:
            axes.tick_params(labelbottom=False)
        over_night[-1].set_xlabel("hours from the start of the recording", color=FAINT_INK, labelpad=1)
        start = _close_up_start(night)
        for name, axes in zip(names, close_ups, strict=True):
            _draw_close_up(axes, night, name, start)
        for axes in close_ups[:-1]:
            axes.tick_params(labelbottom=False)
        if names:
            clock = f"{int(start // 3600)}:{int(start // 60 % 60):02d}:{int(start % 60):02d}"
            close_ups[-1].set_xlabel(f"seconds after {clock}; dots: R peaks", color=FAINT_INK, labelpad=1)
        for axes in rows:
            axes.tick_params(length=0)
            axes.spines[["left", "bottom"]].set_visible(False)


def _shade(axes: "Axes", night: Night) -> None:
    """A pale band behind unscored sleep epochs, a red one behind interruptions of the recording."""
    hypnogram = night.hypnogram
    for onset, duration, label in zip(hypnogram.onset_s, hypnogram.duration_s, hypnogram.labels, strict=True):
        if label < 0:
            axes.axvspan(onset / HOUR, (onset + duration) / HOUR, color=UNSCORED_FILL, linewidth=0, zorder=-1)
    for start, end in night.info.gaps:
        axes.axvspan(start / HOUR, end / HOUR, color=NEGATIVE, alpha=0.25, linewidth=0)


def _draw_heart_rate(axes: "Axes", night: Night) -> None:
    """Draw the median heart rate of each 30 s; no line where no RR interval is plausible."""
    axes.set_ylabel("heart rate, bpm", color=FAINT_INK)
    if night.info.beats is None:
        axes.text(0.5, 0.5, "no heartbeats", transform=axes.transAxes, ha="center", va="center", color=FAINT_INK)
        axes.set_yticks([])
        return
    from matplotlib.ticker import MaxNLocator

    edges = np.arange(0, night.info.seconds + COLUMN_SECONDS, COLUMN_SECONDS)
    medians = _median_heart_rate(np.asarray(night.beats()), edges)
    axes.plot((edges[:-1] + COLUMN_SECONDS / 2) / HOUR, medians, color=POSITIVE, linewidth=0.9)
    if np.isfinite(medians).any():
        low, high = np.nanpercentile(medians, (0.5, 99.5))  # a single outlier would flatten the night
        axes.set_ylim(low - 5, high + 5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _median_heart_rate(beats: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Median heart rate, per minute, between each two edges, s; NaN where no RR interval is plausible."""
    plausible = plausible_intervals(beats)
    ends, rate = beats[1:][plausible], 60 / np.diff(beats)[plausible]
    column = np.digitize(ends, edges) - 1
    medians = np.full(len(edges) - 1, np.nan)
    for k in np.unique(column[(column >= 0) & (column < len(medians))]):
        medians[k] = np.median(rate[column == k])
    return medians


def _draw_spectrogram(axes: "Axes", night: Night) -> None:
    """Draw EEG power below 25 Hz, dB, relative to the median of each frequency over the night.

    Without that normalisation, slow waves would hide spindles.
    """
    from matplotlib.colors import LinearSegmentedColormap

    info = night.info.signals["eeg"]
    per_transform, per_column = round(FOURIER_SECONDS * info.rate_hz), round(COLUMN_SECONDS * info.rate_hz)
    columns = len(night.signal("eeg")) // per_column
    taper = np.hanning(per_transform)
    frequency = np.fft.rfftfreq(per_transform, 1 / info.rate_hz)
    chosen = (frequency >= 0.5) & (frequency <= min(MAX_HZ, 0.45 * info.rate_hz))
    power = np.empty((int(chosen.sum()), columns))
    for k in range(columns):
        x = night.signal("eeg")[k * per_column : (k + 1) * per_column].astype(np.float32) * info.scale
        x = x[: len(x) // per_transform * per_transform].reshape(-1, per_transform)
        spectrum = np.abs(np.fft.rfft((x - x.mean(axis=1, keepdims=True)) * taper, axis=1)) ** 2
        power[:, k] = 10 * np.log10(np.median(spectrum[:, chosen], axis=0) + 1e-9)
    power -= np.median(power, axis=1, keepdims=True)
    low, high = np.percentile(power, (3, 97))
    axes.imshow(
        power,
        aspect="auto",
        origin="lower",
        extent=(0, columns * COLUMN_SECONDS / HOUR, frequency[chosen][0], frequency[chosen][-1]),
        cmap=LinearSegmentedColormap.from_list("night", SEQUENTIAL),
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    axes.set_ylabel("EEG, Hz", color=FAINT_INK)


def _close_up_start(night: Night) -> float:
    """Onset, s, of the sleep epoch nearest to the middle of the night whose heartbeats are all plausible.

    Without such a sleep epoch, one of the best quality that the night has; 0 without sleep epochs.
    """
    hypnogram = night.hypnogram
    if not len(hypnogram):
        return 0.0
    inside = hypnogram.onset_s + CLOSE_UP_SECONDS <= night.info.seconds
    inside &= hypnogram.onset_s >= 0
    quality = np.array(night.beat_quality()) if night.info.beats else np.ones(len(hypnogram))
    good = np.flatnonzero(inside & (quality >= min(0.99, quality[inside].max(initial=0))))
    if not len(good):
        return 0.0
    return float(hypnogram.onset_s[good[np.argmin(np.abs(hypnogram.onset_s[good] - night.info.seconds / 2))]])


def _draw_close_up(axes: "Axes", night: Night, name: str, start: float) -> None:
    """Draw ten seconds of a signal with its stored polarity, and R peaks where its kind has heartbeats."""
    from matplotlib.ticker import MaxNLocator

    info, kind = night.info.signals[name], SIGNAL_KINDS[name]
    first = max(0, round(start * info.rate_hz))
    stored = night.signal(name)[first : first + round(CLOSE_UP_SECONDS * info.rate_hz)].astype(np.float64)
    stored[stored == MISSING] = np.nan
    values = info.polarity * (stored * info.scale + info.offset)
    axes.plot(np.arange(len(values)) / info.rate_hz, values, color=INK, linewidth=0.7)
    axes.set_xlim(0, CLOSE_UP_SECONDS)
    unit = {"uV": "µV", "arbitrary": "a.u."}.get(info.unit, info.unit)
    axes.set_ylabel(f"{kind.label}, {unit}" if unit else kind.label, color=FAINT_INK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
    if kind.has_heartbeats and night.info.beats is not None:
        beats = np.asarray(night.beats()) - first / info.rate_hz
        beats = beats[(beats >= 0) & (beats < len(values) / info.rate_hz)]
        samples = np.rint(beats * info.rate_hz).astype(int).clip(0, len(values) - 1)
        axes.plot(beats, values[samples], "o", color=NEGATIVE, markersize=4)
