"""A night at a glance: hypnogram over heart rate over the EEG's spectrogram, and ten seconds of both signals."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sleepkd.data.beats import plausible_intervals
from sleepkd.data.hypnogram import SLEEP_STAGES
from sleepkd.data.store import Night
from sleepkd.evaluation.pictures.drawing import STYLE, save_png
from sleepkd.evaluation.pictures.hypnogram_figure import HOUR, draw_hypnogram
from sleepkd.evaluation.pictures.palette import (
    FAINT_INK,
    INK,
    NEGATIVE,
    POSITIVE,
    SEQUENTIAL,
    UNSCORED_FILL,
    display_order,
)

COLUMN_SECONDS, PIECE_SECONDS = 30.0, 4.0
HIGHEST_HZ = 25.0
CLOSE_SECONDS = 10.0


def night_picture(night: Night, path: Path) -> None:
    """Draw a recording to a PNG."""
    has_eeg, shown = "eeg" in night.info.signals, [n for n in ("eeg", "ecg") if n in night.info.signals]
    heights = [1.3, 1.0, *([1.5] if has_eeg else []), *[0.8] * len(shown)]
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 1.25 * sum(heights)), layout="constrained")
        rows = figure.subplots(len(heights), 1, height_ratios=heights)
        over_night, close = rows[: len(heights) - len(shown)], rows[len(heights) - len(shown) :]
        order = display_order(SLEEP_STAGES)
        draw_hypnogram(over_night[0], night.hypnogram, night.hypnogram.labels, SLEEP_STAGES, order)
        _heart_rate(over_night[1], night)
        if has_eeg:
            _spectrogram(over_night[2], night)
        for axes in over_night:
            axes.set_xlim(0, night.info.seconds / HOUR)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 5, 10]))
            _shade(axes, night)
        for axes in over_night[:-1]:
            axes.tick_params(labelbottom=False)
        over_night[-1].set_xlabel("hours", color=FAINT_INK, labelpad=1)
        start = _calm_second(night)
        for name, axes in zip(shown, close, strict=True):
            _close_up(axes, night, name, start)
        for axes in close[:-1]:
            axes.tick_params(labelbottom=False)
        if shown:
            clock = f"{int(start // 3600)}:{int(start // 60 % 60):02d}:{int(start % 60):02d}"
            close[-1].set_xlabel(f"seconds after {clock}; dots: R peaks", color=FAINT_INK, labelpad=1)
        for axes in rows:
            axes.tick_params(length=0)
            axes.spines[["left", "bottom"]].set_visible(False)
        save_png(figure, path)


def _shade(axes: Axes, night: Night) -> None:
    """A pale band where nobody scored, a red one where nothing was recorded."""
    hypnogram = night.hypnogram
    for onset, length, label in zip(hypnogram.onset_s, hypnogram.duration_s, hypnogram.labels, strict=True):
        if label < 0:
            axes.axvspan(onset / HOUR, (onset + length) / HOUR, color=UNSCORED_FILL, linewidth=0, zorder=-1)
    for start, end in night.info.gaps:
        axes.axvspan(start / HOUR, end / HOUR, color=NEGATIVE, alpha=0.25, linewidth=0)


def _heart_rate(axes: Axes, night: Night) -> None:
    """The median rate of each 30 s; no line where no beat is plausible."""
    axes.set_ylabel("bpm", color=FAINT_INK)
    if night.info.beats is None:
        axes.text(0.5, 0.5, "no beats", transform=axes.transAxes, ha="center", va="center", color=FAINT_INK)
        axes.set_yticks([])
        return
    beats = np.asarray(night.beats())
    believed = plausible_intervals(beats)
    at, rate = beats[1:][believed], 60 / np.diff(beats)[believed]
    edges = np.arange(0, night.info.seconds + COLUMN_SECONDS, COLUMN_SECONDS)
    place = np.digitize(at, edges) - 1
    medians = np.full(len(edges) - 1, np.nan)
    order = np.argsort(place, kind="stable")
    for k, chunk in zip(*_groups(place[order], rate[order]), strict=True):
        if 0 <= k < len(medians):
            medians[k] = np.median(chunk)
    axes.plot((edges[:-1] + COLUMN_SECONDS / 2) / HOUR, medians, color=POSITIVE, linewidth=0.9)
    if np.isfinite(medians).any():
        low, high = np.nanpercentile(medians, (0.5, 99.5))  # a single odd piece would flatten the night
        axes.set_ylim(low - 5, high + 5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _groups(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    unique, first = np.unique(keys, return_index=True)
    return unique, np.split(values, first[1:])


def _spectrogram(axes: Axes, night: Night) -> None:
    """Log power below 25 Hz, each frequency over its median of the night: slow waves and spindles both show."""
    info = night.info.signals["eeg"]
    piece, per_column = round(PIECE_SECONDS * info.rate_hz), round(COLUMN_SECONDS * info.rate_hz)
    columns = len(night.signal("eeg")) // per_column
    window = np.hanning(piece)
    frequency = np.fft.rfftfreq(piece, 1 / info.rate_hz)
    chosen = (frequency >= 0.5) & (frequency <= min(HIGHEST_HZ, 0.45 * info.rate_hz))
    power = np.empty((int(chosen.sum()), columns))
    for k in range(columns):
        x = night.signal("eeg")[k * per_column : (k + 1) * per_column].astype(np.float32) * info.scale
        pieces = x[: len(x) // piece * piece].reshape(-1, piece)
        spectrum = np.abs(np.fft.rfft((pieces - pieces.mean(axis=1, keepdims=True)) * window, axis=1)) ** 2
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


def _calm_second(night: Night) -> float:
    """Where a sleep epoch with all its beats lies, nearest to the middle of the night, s."""
    hypnogram = night.hypnogram
    if not len(hypnogram):
        return 0.0
    inside = hypnogram.onset_s + CLOSE_SECONDS <= night.info.seconds
    inside &= hypnogram.onset_s >= 0
    quality = np.array(night.beat_quality()) if night.info.beats else np.ones(len(hypnogram))
    good = np.flatnonzero(inside & (quality >= min(0.99, quality[inside].max(initial=0))))
    if not len(good):
        return 0.0
    return float(hypnogram.onset_s[good[np.argmin(np.abs(hypnogram.onset_s[good] - night.info.seconds / 2))]])


def _close_up(axes: Axes, night: Night, name: str, start: float) -> None:
    """Ten seconds of a signal, the ECG the right way up, with its R peaks."""
    info = night.info.signals[name]
    first = max(0, round(start * info.rate_hz))
    stored = night.signal(name)[first : first + round(CLOSE_SECONDS * info.rate_hz)].astype(np.float64)
    values = info.polarity * (stored * info.scale + info.offset)
    t = np.arange(len(values)) / info.rate_hz
    axes.plot(t, values, color=INK, linewidth=0.7)
    axes.set_xlim(0, CLOSE_SECONDS)
    unit = {"uV": "µV"}.get(info.unit, "a.u." if info.unit == "arbitrary" else info.unit)
    axes.set_ylabel(f"{name.upper()}, {unit}", color=FAINT_INK)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
    if name == "ecg" and night.info.beats is not None:
        beats = np.asarray(night.beats()) - first / info.rate_hz
        beats = beats[(beats >= 0) & (beats < len(values) / info.rate_hz)]
        at = np.rint(beats * info.rate_hz).astype(int).clip(0, len(values) - 1)
        axes.plot(beats, values[at], "o", color=NEGATIVE, markersize=4)
