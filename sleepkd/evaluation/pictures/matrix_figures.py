"""Confusion matrix, difference of two confusion matrices, and stage transitions, as PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepkd.evaluation.pictures.drawing import new_figure
from sleepkd.evaluation.scores.metrics import batch_scores
from sleepkd.palette import DIVERGING, FAINT_INK, UNSCORED_FILL, ramp, rgb, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def confusion_figure(confusion: np.ndarray, class_names: Sequence[str], title: str, path: str | Path) -> None:
    """Draw a (K, K) confusion matrix to a PNG: percentage of each scored class by colour and text, counts below.

    A class that was never scored has a grey row: its percentages are undefined.
    """
    confusion = np.asarray(confusion)
    k = len(class_names)
    with new_figure(path, 1.9 + 0.95 * k, 1.8 + 0.95 * k) as figure:
        axes = figure.add_subplot()
        for i, row in enumerate(confusion):
            for j, count in enumerate(row):
                if total := row.sum():
                    _cell(axes, i, j, ramp(count / total), f"{100 * count / total:.0f} %", f"{count:,}")
                else:
                    _cell(axes, i, j, rgb(UNSCORED_FILL), "", "0")
        rows = [f"{name}\nn = {row.sum():,}" for name, row in zip(class_names, confusion, strict=True)]
        _frame(axes, class_names, "predicted", "scored", rows)
        figure.suptitle(title, x=0.02, ha="left", fontsize=12, fontweight="bold")
        lines = score_line(confusion).replace("   macro", "\nmacro")  # too long for a narrow figure
        axes.set_title(lines, fontsize=9.5, fontweight="normal", color=FAINT_INK, loc="left")


def confusion_difference_figure(difference: np.ndarray, class_names: Sequence[str], path: str | Path) -> None:
    """Draw confusion matrix B minus A, (K, K) counts, to a PNG.

    Blue: B is better (more correct or fewer wrong); red: B is worse; darker: a larger difference.
    """
    difference = np.asarray(difference)
    largest = max(int(np.abs(difference).max()), 1)
    k = len(class_names)
    with new_figure(path, 1.5 + 0.95 * k, 1.1 + 0.95 * k) as figure:
        axes = figure.add_subplot()
        _frame(axes, class_names, "predicted", "scored")
        for (i, j), count in np.ndenumerate(difference):
            better = count if i == j else -count
            fill = ramp(0.5 + 0.5 * better / largest, DIVERGING)
            _cell(axes, i, j, fill, f"{count:+,}".replace("-", "−") if count else "0")


def transitions_figure(transitions: dict, path: str | Path) -> None:
    """Draw the stage transitions of `sleep_medicine_of` to a PNG, scored beside predicted, in % of each row."""
    names = transitions["stages"]
    with new_figure(path, 2.0 + 1.7 * len(names), 1.3 + 0.85 * len(names)) as figure:
        for axes, scorer in zip(figure.subplots(1, 2), ("scored", "predicted"), strict=True):
            counts = np.asarray(transitions[scorer])
            for i, row in enumerate(counts):
                for j, count in enumerate(row):
                    share = count / row.sum() if row.sum() else 0.0
                    _cell(axes, i, j, ramp(share), f"{100 * share:.1f}" if row.sum() else "–")
            _frame(axes, names, "to", "from")
            axes.set_title(f"{scorer}, %", fontsize=10.5)


def score_line(confusion: np.ndarray) -> str:
    """The scores of a confusion matrix in one short line; undefined scores are left out."""
    arrays = batch_scores(confusion)
    shown = {"kappa": "κ", "accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}
    return "   ".join(f"{text} {arrays[s]:.2f}" for s, text in shown.items() if not np.isnan(arrays[s]))


def _frame(axes: "Axes", names: Sequence[str], x: str, y: str, rows: Sequence[str] | None = None) -> None:
    """Set up axes for a square matrix of `_cell`s. names: the classes; rows: other texts on the left; x, y: labels."""
    k = len(names)
    axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(k), names)
    axes.set_yticks(range(k), rows or names)
    axes.set_xlabel(x, color=FAINT_INK)
    axes.set_ylabel(y, color=FAINT_INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _cell(axes: "Axes", i: int, j: int, fill: tuple[int, int, int], text: str, small: str = "") -> None:
    """Draw the matrix cell in row i and column j: a square of colour (0 … 255) with text and smaller text below."""
    from matplotlib.patches import Rectangle

    colour = tuple(channel / 255 for channel in fill)
    axes.add_patch(Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, facecolor=colour, edgecolor="none"))
    both = bool(text and small)
    axes.text(j, i - 0.08 * both, text, ha="center", va="center", color=text_on(fill), fontsize=12)
    axes.text(j, i + 0.25 * both, small, ha="center", va="center", color=text_on(fill), fontsize=8.5)
