"""Pictures of whole sets of nights: spread over recordings, paired gains, calibration, abstention, transitions."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from sleepkd.evaluation.pictures.figures import STYLE, matrix_cell, matrix_frame, save
from sleepkd.evaluation.pictures.palette import (
    DIVERGING,
    FAINT_INK,
    GRID,
    INK,
    MODEL_COLOURS,
    NEGATIVE,
    POSITIVE,
    ramp,
)

_FEWEST = 10


def recordings_figure(kappas: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Draw kappa of each recording, (R,) per model, as dots with median and quartiles to a PNG; NaN left out."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 1.3 + 0.75 * len(kappas)), layout="constrained")
        axes = figure.add_subplot()
        jitter = np.random.default_rng(0)
        for y, ((_, values), colour) in enumerate(zip(kappas.items(), cycle(MODEL_COLOURS), strict=False)):
            values = values[~np.isnan(values)]
            axes.scatter(values, y + jitter.uniform(-0.14, 0.14, len(values)), s=18, color=colour, alpha=0.6, lw=0)
            if len(values):
                q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
                axes.plot([q1, q3], [y + 0.3, y + 0.3], color=colour, linewidth=3, solid_capstyle="round")
                axes.plot(median, y + 0.3, marker="o", color="white", markeredgecolor=colour, markeredgewidth=2)
        axes.set_yticks(range(len(kappas)), list(kappas))
        axes.set_ylim(len(kappas) - 0.4, -0.5)
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_xlabel("kappa of a recording; below the dots their median and quartiles", color=FAINT_INK)
        save(figure, path)


def gains_figure(comparison: dict, path: str | Path, score: str = "kappa") -> None:
    """Draw the paired differences of a `compare` result, one bar per recording from worst to best, with their mean and
    its interval, to a PNG."""
    values = np.array([entry[score]["difference"] for entry in comparison["by_recording"].values()], dtype=np.float64)
    values = np.sort(values[~np.isnan(values)])
    mean = comparison["difference"]["mean"][score]
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        axes.bar(range(len(values)), values, color=np.where(values < 0, NEGATIVE, POSITIVE), width=0.8)
        if np.isfinite([mean["low"], mean["high"]]).all():
            axes.axhspan(mean["low"], mean["high"], color=INK, alpha=0.1, linewidth=0)
        axes.axhline(mean["value"], color=INK, linewidth=1.2, linestyle="dashed")
        axes.axhline(0, color=FAINT_INK, linewidth=0.8)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel("recordings, from the one that lost most to the one that gained most", color=FAINT_INK)
        axes.set_ylabel(f"difference in {score.replace('_', ' ')}", color=FAINT_INK)
        save(figure, path)


def reliability_figure(calibrations: Mapping[str, dict], path: str | Path) -> None:
    """Draw the reliability bins of each model's `calibration_of` above how many sleep epochs they hold, to a PNG.

    Bins of fewer than 10 sleep epochs are left out of the curve: their share right is chance.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(5.2, 5.4), layout="constrained")
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=FAINT_INK, linewidth=1, linestyle="dotted")
        for (name, calibration), colour in zip(calibrations.items(), cycle(MODEL_COLOURS), strict=False):
            bins = [entry for entry in calibration["bins"] if entry["n"] >= _FEWEST]
            label = f"{name} (ECE {calibration['ece']:.3f})"
            xy = ([entry["confidence"] for entry in bins], [entry["accuracy"] for entry in bins])
            axes.plot(*xy, marker="o", markersize=5, color=colour, label=label, linewidth=1.6)
            edges = [entry["low"] for entry in calibration["bins"]] + [1.0]
            share = [entry["n"] / max(calibration["n"], 1) for entry in calibration["bins"]]
            counts.stairs(share, edges, color=colour, linewidth=1.6)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_ylabel("share that was right", color=FAINT_INK)
        axes.legend(loc="upper left")
        counts.set_ylabel("share\nof epochs", color=FAINT_INK)
        counts.set_xlabel("confidence: the largest probability", color=FAINT_INK)
        save(figure, path)


def risk_coverage_figure(calibrations: Mapping[str, dict], path: str | Path) -> None:
    """Draw kappa against the share of sleep epochs kept, the surest first, per model's `calibration_of`, to a PNG."""
    with rc_context(STYLE):
        figure = Figure(figsize=(5.2, 3.8), layout="constrained")
        axes = figure.add_subplot()
        for (name, calibration), colour in zip(calibrations.items(), cycle(MODEL_COLOURS), strict=False):
            curve = calibration["risk_coverage"]
            xy = ([100 * point["share"] for point in curve], [point["kappa"] for point in curve])
            axes.plot(*xy, color=colour, label=name, linewidth=2)
        axes.set_xlim(0, 100)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_xlabel("sleep epochs kept, surest first, %", color=FAINT_INK)
        axes.set_ylabel("kappa of those kept", color=FAINT_INK)
        axes.legend()
        save(figure, path)


def confusion_difference_figure(difference: np.ndarray, class_names: Sequence[str], path: str | Path) -> None:
    """Draw confusion B minus A, (K, K) counts, to a PNG: blue where B is better (more right, fewer wrong), red where
    worse, darker the more sleep epochs moved."""
    difference = np.asarray(difference)
    largest = max(int(np.abs(difference).max()), 1)
    with rc_context(STYLE):
        k = len(class_names)
        figure = Figure(figsize=(1.5 + 0.95 * k, 1.1 + 0.95 * k), layout="constrained")
        axes = figure.add_subplot()
        matrix_frame(axes, class_names, "predicted", "scored")
        for (i, j), moved in np.ndenumerate(difference):
            better = moved if i == j else -moved
            fill = ramp(0.5 + 0.5 * better / largest, DIVERGING)
            matrix_cell(axes, i, j, fill, f"{moved:+,}".replace("-", "−") if moved else "0")
        save(figure, path)


def transitions_figure(transitions: dict, path: str | Path) -> None:
    """Draw stage-to-stage shares, by row, scored beside predicted, of `sleep_medicine_of`'s transitions to a PNG."""
    names = transitions["stages"]
    with rc_context(STYLE):
        figure = Figure(figsize=(2.0 + 1.7 * len(names), 1.3 + 0.85 * len(names)), layout="constrained")
        for axes, scorer in zip(figure.subplots(1, 2), ("scored", "predicted"), strict=True):
            counts = np.asarray(transitions[scorer])
            for i, row in enumerate(counts):
                for j, count in enumerate(row):
                    share = count / row.sum() if row.sum() else 0.0
                    matrix_cell(axes, i, j, ramp(share), f"{100 * share:.1f}" if row.sum() else "–")
            matrix_frame(axes, names, "to", "from")
            axes.set_title(f"{scorer}, %", fontsize=10.5)
        save(figure, path)
