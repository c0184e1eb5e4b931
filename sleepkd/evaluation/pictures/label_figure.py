"""Kappa over the number of scored nights, a line a row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from sleepkd.evaluation.pictures.figures import STYLE, save
from sleepkd.evaluation.pictures.palette import FAINT_INK, INK, MODEL_COLOURS

DRAWN = ("student", "kd", "yasa", "ensemble", "self", "night_eeg")
NONE_AT = 2.0
"""Where on the logarithmic axis no scored night stands."""


def label_figure(table: Mapping[int, dict], rows: Sequence[str], path: str | Path) -> None:
    """table: {number of scored nights: {row: {kappa: {mean, sd}}}}. The rows of DRAWN are named; others are faint."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes = figure.add_subplot()
        numbers = sorted(table)
        colours = dict(zip(DRAWN, (*MODEL_COLOURS, INK), strict=False))
        for row in rows:
            points = [(max(n, NONE_AT), table[n][row]["kappa"]) for n in numbers if row in table[n]]
            if not points:
                continue
            x, means = [p[0] for p in points], [p[1]["mean"] for p in points]
            if row in colours:
                spreads = [p[1]["sd"] or 0 for p in points]
                axes.errorbar(x, means, spreads, marker="o", capsize=2, color=colours[row], label=row)
            elif not row.startswith("night_eeg"):
                axes.plot(x, means, marker=".", lw=0.8, color=FAINT_INK, alpha=0.6)
        axes.set_xscale("log")
        axes.set_xticks([max(n, NONE_AT) for n in numbers], [str(n) for n in numbers], minor=False)
        axes.minorticks_off()
        axes.set(xlabel="scored nights", ylabel="kappa by night, mean over seeds")
        axes.legend(loc="lower right")
        save(figure, path)
