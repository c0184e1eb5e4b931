"""Hypnograms as PNG: one night scored and predicted, with the stage probabilities (hypnodensity)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepkd.data.hypnogram import UNSCORED, Hypnogram
from sleepkd.data.mask_runs import mask_runs
from sleepkd.evaluation.pictures.drawing import new_figure
from sleepkd.evaluation.pictures.matrix_figures import score_line
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.palette import FAINT_INK, GRID, STAGE_COLOURS, UNSCORED_FILL, display_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HOUR = 3600.0
"""Seconds in an hour: hypnograms are drawn over hours."""


def hypnogram_figure(night: NightPredictions, class_names: Sequence[str], path: str | Path) -> None:
    """Draw one night to a PNG: scored hypnogram, predicted hypnogram, and the stage probabilities (hypnodensity).

    The time axis is in hours from the start of the recording. Unscored sleep epochs and gaps between sleep epochs stay
    empty. Raises ValueError for a night without sleep epochs.
    """
    if not len(night):
        raise ValueError(f"{night.recording}: no sleep epoch to draw")
    order = display_order(class_names)
    with new_figure(path, 11, 2.2 + 0.62 * len(class_names)) as figure:
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
        hour_ticks(density_axes)
        density_axes.set_xlim(night.onset_s[0] / HOUR, (night.onset_s[-1] + night.duration_s[-1]) / HOUR)
        scored_axes.set_title(night.recording)
        line = "   ".join(part for part in (night.subset, night.standard, score_line(night.confusion)) if part)
        scored_axes.set_title(line, fontsize=9.5, fontweight="normal", color=FAINT_INK, loc="right")


def hour_ticks(axes: "Axes") -> None:
    """At most 12 ticks at round hours or fractions of an hour on the time axis of a night."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 5, 10]))


def draw_hypnogram(
    axes: "Axes", night: NightPredictions | Hypnogram, stages: np.ndarray, class_names: Sequence[str], order: list[int]
) -> None:
    """Draw sleep stages (N,) as a step line over hours, each stage in its colour; -1 (unscored) stays empty.

    order: class indices from top to bottom, see `display_order`.
    """
    level = np.empty(len(order))
    level[order] = np.arange(len(order))
    start, end = night.onset_s / HOUR, (night.onset_s + night.duration_s) / HOUR
    changed = stages[1:] != stages[:-1]
    # One line per run of equal stages: a line per sleep epoch would show its seams.
    breaks = np.flatnonzero(changed | _gap_follows(night)) + 1
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
    # A vertical line joins two neighbours in time that are both scored and differ.
    joined = changed & ~_gap_follows(night) & (stages[1:] != UNSCORED) & (stages[:-1] != UNSCORED)
    before, after = level[stages[:-1][joined]], level[stages[1:][joined]]
    axes.vlines(start[1:][joined], before, after, color=FAINT_INK, linewidth=0.6, zorder=1)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_yticks(range(len(order)), [class_names[k] for k in order])


def _gap_follows(night: NightPredictions | Hypnogram) -> np.ndarray:
    """(N - 1,) bool: more than half a sleep epoch is missing before the next one."""
    gap = night.onset_s[1:] - (night.onset_s + night.duration_s)[:-1]
    return gap > 0.5 * night.duration_s[:-1]


def draw_density(axes: "Axes", night: NightPredictions, class_names: Sequence[str], order: list[int]) -> None:
    """Draw the stage probabilities stacked over hours, the deepest stage at the bottom; gaps in time stay empty."""
    edges = np.stack([night.onset_s, night.onset_s + night.duration_s], axis=1).ravel() / HOUR
    between_gaps = np.split(np.arange(len(edges)), 2 * (np.flatnonzero(_gap_follows(night)) + 1))
    bottom = np.zeros(2 * len(night))
    for k in reversed(order):
        top = bottom + np.repeat(night.probabilities[:, k].astype(np.float64), 2)
        for part in between_gaps:
            axes.fill_between(edges[part], bottom[part], top[part], color=STAGE_COLOURS[class_names[k]], linewidth=0)
        bottom = top
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    axes.set_ylabel("probability", color=FAINT_INK)


def _shade_unscored(axes: "Axes", night: NightPredictions) -> None:
    """A pale band behind every run of unscored sleep epochs."""
    for first, stop in mask_runs(~night.scored):
        end = (night.onset_s[stop - 1] + night.duration_s[stop - 1]) / HOUR
        axes.axvspan(night.onset_s[first] / HOUR, end, color=UNSCORED_FILL, linewidth=0, zorder=-1)
