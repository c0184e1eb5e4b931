"""The figure of a staged night: hypnogram, stage probabilities, heart rate, input and its kappa."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from sleepkd.data.beats import plausible_intervals
from sleepkd.data.hypnogram import UNSCORED
from sleepkd.evaluation.pictures.hypnogram_figure import HOUR, draw_density, draw_hypnogram
from sleepkd.palette import FAINT_INK, INK, NEGATIVE, display_order
from sleepkd.prediction.judged import JudgedInput
from sleepkd.prediction.staged import StagedNight

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE_LENGTH = 150
"""Letters in a line below the figure."""


def figure_size(beats: np.ndarray | None) -> tuple[float, float]:
    """Width and height of the figure, inches, with a row for heart rate if there are heartbeats."""
    return 11, 1.7 * (2 if beats is None else 3) + 0.9


def draw_night(
    figure: "Figure", staged: StagedNight, beats: np.ndarray | None, judged: JudgedInput, when: str = ""
) -> None:
    """Draw hypnogram, stage probabilities and heart rate over hours from the start of the recording.

    beats: (beats,) s; None: the heart rate is not drawn. judged: the input of the recording. when: its date. The figure
    states both.
    """
    night, order = staged.as_scored(), display_order(staged.class_names)
    axes = figure.subplots(2 if beats is None else 3, 1, sharex=True)
    draw_hypnogram(axes[0], night, staged.stages, staged.class_names, order)
    draw_density(axes[1], night, staged.class_names, order)
    if beats is not None:
        rate = np.where(plausible_intervals(beats), 60 / np.maximum(np.diff(beats), 1e-3), np.nan)
        axes[2].plot(beats[1:] / HOUR, rate, color=INK, linewidth=0.4)
        axes[2].set_ylabel("heart rate, 1/min", color=FAINT_INK)
    for row in axes:
        row.tick_params(length=0)
        row.spines[["left", "bottom"]].set_visible(False)
    axes[-1].set_xlabel("hours from the start of the recording", color=FAINT_INK)
    axes[0].set_xlim(night.onset_s[0] / HOUR, (night.onset_s[-1] + night.duration_s[-1]) / HOUR)
    share = f"{(staged.stages != UNSCORED).mean():.0%} of sleep epochs staged"
    axes[0].set_title(night.recording)
    axes[0].set_title(share, fontsize=9.5, fontweight="normal", color=FAINT_INK, loc="right")
    facts = [*filter(None, [when]), judged.text, *([f"WARNING: {judged.warning}"] if judged.warning else [])]
    lines = [line for fact in facts for line in textwrap.wrap(fact, LINE_LENGTH)]
    color = NEGATIVE if judged.warning else FAINT_INK
    figure.supxlabel("\n".join(lines), fontsize=9, color=color, x=0.01, ha="left")
