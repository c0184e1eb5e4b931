"""Label efficiency as PNG: kappa against the number of labelled training nights, one line per model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sleepkd.evaluation.pictures.drawing import new_figure
from sleepkd.palette import FAINT_INK, INK, MODEL_COLOURS

DRAWN = ("student", "kd", "yasa", "ensemble", "self", "sleepecg")
TEACHER = "night_eeg"
"""Rows drawn in colour and named in the legend."""
ZERO_NIGHTS_AT = 2.0
"""Position of 0 labelled nights on the logarithmic axis."""
BESIDE = 1.025
"""Ratio between the places of two rows on the axis, so that their bars do not hide each other."""


def label_efficiency_figure(table: Mapping[int, dict], rows: Sequence[str], path: str | Path) -> None:
    """Draw kappa against the number of labelled nights to a PNG; rows that are not in DRAWN are faint.

    table: {number of labelled nights: {row: {kappa: {mean, sd}}}}, over seeds.
    """
    with new_figure(path, 7.2, 4.4) as figure:
        axes = figure.add_subplot()
        numbers = sorted(table)
        colours = dict(zip(DRAWN, MODEL_COLOURS, strict=False)) | {TEACHER: INK}
        apart = [row for row in rows if row in colours and any(row in of_number for of_number in table.values())]
        for row in rows:
            points = [(max(n, ZERO_NIGHTS_AT), table[n][row]["kappa"]) for n in numbers if row in table[n]]
            if not points:
                continue
            x, means = [n for n, _ in points], [kappa["mean"] for _, kappa in points]
            if row in colours:
                spreads = [kappa["sd"] or 0 for _, kappa in points]
                beside = BESIDE ** (apart.index(row) - (len(apart) - 1) / 2)
                axes.errorbar(
                    [beside * n for n in x], means, spreads, marker="o", capsize=2, color=colours[row], label=row
                )
            elif not row.startswith("night_eeg"):
                axes.plot(x, means, marker=".", lw=0.8, color=FAINT_INK, alpha=0.6)
        axes.set_xscale("log")
        axes.set_xticks([max(n, ZERO_NIGHTS_AT) for n in numbers], [str(n) for n in numbers], minor=False)
        axes.minorticks_off()
        axes.set(xlabel="labelled nights", ylabel="kappa by night, mean over seeds")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
