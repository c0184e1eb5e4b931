"""Figures of nights, as PNG files. matplotlib's object interface: no global state, no display."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.evaluation.pictures.palette import (
    FAINT_INK,
    GRID,
    INK,
    STAGE_COLOURS,
    UNSCORED_FILL,
    display_order,
    ramp,
    rgb,
    text_on,
)
from sleepkd.evaluation.scores.metrics import batch_scores
from sleepkd.evaluation.scores.night import NightPredictions
from sleepkd.files import write_bytes_atomically

DPI = 160
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": FAINT_INK,
    "ytick.color": FAINT_INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
}
HOUR = 3600.0


@dataclass(frozen=True)
class Picture:
    """A figure on disk and what it shows."""

    path: Path
    caption: str


def confusion_figure(confusion: np.ndarray, class_names: Sequence[str], title: str, path: str | Path) -> None:
    """Draw a (K, K) confusion matrix to a PNG: share of each scored class by colour and percentage, counts below.

    A class that was never scored has a grey row: its shares do not exist.
    """
    confusion = np.asarray(confusion)
    k = len(class_names)
    with rc_context(STYLE):
        figure = Figure(figsize=(1.9 + 0.95 * k, 1.8 + 0.95 * k), layout="constrained")
        axes = figure.add_subplot()
        for i, row in enumerate(confusion):
            for j, count in enumerate(row):
                if total := row.sum():
                    matrix_cell(axes, i, j, ramp(count / total), f"{100 * count / total:.0f} %", f"{count:,}")
                else:
                    matrix_cell(axes, i, j, rgb(UNSCORED_FILL), "", "0")
        rows = [f"{name}\nn = {row.sum():,}" for name, row in zip(class_names, confusion, strict=True)]
        matrix_frame(axes, class_names, "predicted", "scored", rows)
        figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold")
        lines = score_line(confusion).replace("   macro", "\nmacro")  # too long for a narrow figure
        axes.set_title(lines, fontsize=9.5, fontweight="normal", color=FAINT_INK, loc="left")
        save(figure, path)


def matrix_frame(axes: Axes, names: Sequence[str], x: str, y: str, rows: Sequence[str] | None = None) -> None:
    """Axes for a square matrix drawn by `matrix_cell`: names on both sides (or `rows` on the left), x and y what they
    stand for."""
    k = len(names)
    axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(k), names)
    axes.set_yticks(range(k), rows or names)
    axes.set_xlabel(x, color=FAINT_INK)
    axes.set_ylabel(y, color=FAINT_INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def matrix_cell(axes: Axes, i: int, j: int, fill: tuple[int, int, int], text: str, small: str = "") -> None:
    """One cell of a matrix, in row i and column j: a square of colour (0 … 255) with text and smaller text below."""
    colour = tuple(channel / 255 for channel in fill)
    axes.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, facecolor=colour, edgecolor="none"))
    both = bool(text and small)
    axes.text(j, i - 0.08 * both, text, ha="center", va="center", color=text_on(fill), fontsize=12)
    axes.text(j, i + 0.25 * both, small, ha="center", va="center", color=text_on(fill), fontsize=8.5)


def score_line(confusion: np.ndarray) -> str:
    """The scores of a confusion matrix in one short line; what is undefined is left out."""
    arrays = batch_scores(confusion)
    shown = {"kappa": "κ", "accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}
    return "   ".join(f"{text} {arrays[s]:.2f}" for s, text in shown.items() if not np.isnan(arrays[s]))


def hypnogram_figure(night: NightPredictions, class_names: Sequence[str], path: str | Path) -> None:
    """Draw one night to a PNG: scored hypnogram, predicted hypnogram, and the probabilities (hypnodensity), in hours
    from the start of the recording. Unscored sleep epochs and holes between sleep epochs stay gaps."""
    if not len(night):
        raise ValueError(f"{night.recording}: no sleep epoch to draw")
    order = display_order(class_names)
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 2.2 + 0.62 * len(class_names)), layout="constrained")
        rows = figure.subplots(3, 1, sharex=True, height_ratios=(1, 1, 0.8))
        scored_axes, predicted_axes, density_axes = rows
        for axes, stages, name in (
            (scored_axes, night.labels, "scored"),
            (predicted_axes, night.predictions, "predicted"),
        ):
            draw_hypnogram(axes, night, stages, class_names, order)
            axes.set_ylabel(name, color=FAINT_INK)
        draw_density(density_axes, night, class_names, order)
        for axes in rows:
            _shade_unscored(axes, night)
            axes.tick_params(length=0)
            axes.spines[["left", "bottom"]].set_visible(False)
        density_axes.set_xlabel("hours from the start of the recording", color=FAINT_INK)
        density_axes.xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 5, 10]))
        if len(night):
            density_axes.set_xlim(night.onset_s[0] / HOUR, (night.onset_s[-1] + night.duration_s[-1]) / HOUR)
        scored_axes.set_title(night.recording)
        line = "   ".join(part for part in (night.subset, night.standard, score_line(night.confusion)) if part)
        scored_axes.set_title(line, fontsize=9.5, fontweight="normal", color=FAINT_INK, loc="right")
        save(figure, path)


def draw_hypnogram(
    axes: Axes, night: NightPredictions | Hypnogram, stages: np.ndarray, class_names: Sequence[str], order: list[int]
) -> None:
    """Stages (N,) as a step line over hours, each stage in its colour; nothing drawn where a stage is -1."""
    level = np.empty(len(order))
    level[order] = np.arange(len(order))
    start, end = night.onset_s / HOUR, (night.onset_s + night.duration_s) / HOUR
    changed = stages[1:] != stages[:-1]
    # One line per run of equal stages: a line per sleep epoch would show its seams.
    breaks = np.flatnonzero(changed | _holes(night)) + 1
    first, last = np.r_[0, breaks].astype(int), np.r_[breaks, len(stages)].astype(int) - 1
    for k, name in enumerate(class_names):
        axes.axhline(level[k], color=GRID, linewidth=0.6, zorder=0)
        here = stages[first] == k
        axes.hlines(
            np.full(here.sum(), level[k]),
            start[first[here]],
            end[last[here]],
            color=STAGE_COLOURS[name],
            linewidth=5,
            zorder=2,
        )
    # A riser joins two neighbours in time that are both known and differ.
    joined = changed & ~_holes(night) & (stages[1:] != UNSCORED) & (stages[:-1] != UNSCORED)
    before, after = level[stages[:-1][joined]], level[stages[1:][joined]]
    axes.vlines(start[1:][joined], before, after, color=FAINT_INK, linewidth=0.6, zorder=1)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_yticks(range(len(order)), [class_names[k] for k in order])


def _holes(night: NightPredictions | Hypnogram) -> np.ndarray:
    """(N - 1,) bool: where more than half a sleep epoch of time is missing before the next one."""
    gap = night.onset_s[1:] - (night.onset_s + night.duration_s)[:-1]
    return gap > 0.5 * night.duration_s[:-1]


def draw_density(axes: Axes, night: NightPredictions, class_names: Sequence[str], order: list[int]) -> None:
    """Probabilities stacked over time, deepest stage at the bottom; a hole in time stays empty."""
    edges = np.stack([night.onset_s, night.onset_s + night.duration_s], axis=1).ravel() / HOUR
    pieces = np.split(np.arange(len(edges)), 2 * (np.flatnonzero(_holes(night)) + 1))
    bottom = np.zeros(2 * len(night))
    for k in reversed(order):
        top = bottom + np.repeat(night.probabilities[:, k].astype(np.float64), 2)
        for piece in pieces:
            axes.fill_between(edges[piece], bottom[piece], top[piece], color=STAGE_COLOURS[class_names[k]], linewidth=0)
        bottom = top
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    axes.set_ylabel("probability", color=FAINT_INK)


def _shade_unscored(axes: Axes, night: NightPredictions) -> None:
    """A pale band behind every run of unscored sleep epochs."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~night.scored, [False]]).astype(int)))
    for first, stop in edges.reshape(-1, 2):
        end = (night.onset_s[stop - 1] + night.duration_s[stop - 1]) / HOUR
        axes.axvspan(night.onset_s[first] / HOUR, end, color=UNSCORED_FILL, linewidth=0, zorder=-1)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG; the file appears whole or not at all."""
    figure.set_dpi(DPI)
    content = io.BytesIO()
    FigureCanvasAgg(figure).print_png(content)  # savefig would draw it twice
    write_bytes_atomically(path, content.getvalue())
