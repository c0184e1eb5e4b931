"""Figures of many nights as PNG: kappa per recording, paired differences, calibration, selective prediction."""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import numpy as np

from sleepkd.evaluation.pictures.drawing import legend_inches, new_figure
from sleepkd.palette import FAINT_INK, GRID, INK, MODEL_COLOURS, NEGATIVE, POSITIVE

_MIN_SLEEP_EPOCHS = 10


def recordings_figure(kappas: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Draw the kappa of each recording, (R,) per model, as dots with median and quartiles to a PNG; NaN left out."""
    with new_figure(path, 6.4, 1.3 + 0.75 * len(kappas)) as figure:
        axes = figure.add_subplot()
        jitter = np.random.default_rng(0)
        for y, (kappa, colour) in enumerate(zip(kappas.values(), cycle(MODEL_COLOURS), strict=False)):
            values = kappa[~np.isnan(kappa)]
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
        axes.set_xlabel("kappa of each recording; below the dots: median and quartiles", color=FAINT_INK)


def gains_figure(comparison: dict, path: str | Path, score: str = "kappa") -> None:
    """Draw the paired differences of a `compare` result to a PNG, one bar per recording, from worst to best.

    The dashed line is the mean difference, the band its interval.
    """
    values = np.array([entry[score]["difference"] for entry in comparison["by_recording"].values()], dtype=np.float64)
    values = np.sort(values[~np.isnan(values)])
    mean = comparison["difference"]["mean"][score]
    with new_figure(path, 6.4, 3.8) as figure:
        axes = figure.add_subplot()
        axes.bar(range(len(values)), values, color=np.where(values < 0, NEGATIVE, POSITIVE), width=0.8)
        if np.isfinite([mean["low"], mean["high"]]).all():
            axes.axhspan(mean["low"], mean["high"], color=INK, alpha=0.1, linewidth=0)
        axes.axhline(mean["value"], color=INK, linewidth=1.2, linestyle="dashed")
        axes.axhline(0, color=FAINT_INK, linewidth=0.8)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel("recordings, from the largest loss to the largest gain", color=FAINT_INK)
        axes.set_ylabel(f"difference in {score.replace('_', ' ')}", color=FAINT_INK)


def reliability_figure(calibrations: Mapping[str, dict], path: str | Path) -> None:
    """Draw a reliability diagram of each model's `calibration_of` to a PNG, with a histogram of confidence below it.

    Bins of fewer than 10 sleep epochs are left out of the curve: their accuracy is noise.
    """
    with new_figure(path, 5.2 + legend_inches(calibrations), 5.4) as figure:
        axes, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=FAINT_INK, linewidth=1, linestyle="dotted")
        for (name, calibration), colour in zip(calibrations.items(), cycle(MODEL_COLOURS), strict=False):
            bins = [entry for entry in calibration["bins"] if entry["n"] >= _MIN_SLEEP_EPOCHS]
            label = f"{name} (ECE {calibration['ece']:.3f})"
            xy = ([entry["confidence"] for entry in bins], [entry["accuracy"] for entry in bins])
            axes.plot(*xy, marker="o", markersize=5, color=colour, label=label, linewidth=1.6)
            edges = [entry["low"] for entry in calibration["bins"]] + [1.0]
            share = [entry["n"] / max(calibration["n"], 1) for entry in calibration["bins"]]
            histogram.stairs(share, edges, color=colour, linewidth=1.6)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_ylabel("accuracy", color=FAINT_INK)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        histogram.set_ylabel("share of\nsleep epochs", color=FAINT_INK)
        histogram.set_xlabel("confidence (largest probability)", color=FAINT_INK)


def risk_coverage_figure(calibrations: Mapping[str, dict], path: str | Path) -> None:
    """Draw selective prediction to a PNG: kappa of the most confident sleep epochs against coverage, the share kept.

    calibrations: each model's `calibration_of`.
    """
    with new_figure(path, 5.2 + legend_inches(calibrations), 3.8) as figure:
        axes = figure.add_subplot()
        for (name, calibration), colour in zip(calibrations.items(), cycle(MODEL_COLOURS), strict=False):
            curve = calibration["risk_coverage"]
            xy = ([100 * point["share"] for point in curve], [point["kappa"] for point in curve])
            axes.plot(*xy, color=colour, label=name, linewidth=2)
        axes.set_xlim(0, 100)
        axes.grid(color=GRID, linewidth=0.6)
        axes.set_xlabel("coverage: most confident sleep epochs kept, %", color=FAINT_INK)
        axes.set_ylabel("kappa of the sleep epochs kept", color=FAINT_INK)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
