"""Figures of a student beside its teacher: attention maps, feature spaces, examples, kappa by confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.evaluation.pictures.drawing import new_figure
from sleepkd.evaluation.teacher_student.agreement import DisagreementExample
from sleepkd.palette import (
    FAINT_INK,
    INK,
    MODEL_COLOURS,
    SEQUENTIAL,
    STAGE_COLOURS,
    display_order,
    rgb,
    text_on,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE_STYLE = {"fontsize": 9.5, "fontweight": "normal"}


@dataclass(frozen=True)
class AttentionExample:
    """One sleep epoch of teacher and student: the first input (samples,) and the attention map (any length) of each.

    An attention map is the sum over channels of a feature's squares (`losses.at.attention_map`). seconds: the length of
    the sleep epoch.
    """

    title: str
    teacher_input: np.ndarray
    student_input: np.ndarray
    seconds: float
    teacher_map: np.ndarray
    student_map: np.ndarray


def attention_figure(examples: Sequence[AttentionExample], inputs: tuple[str, str], path: str | Path) -> None:
    """Draw each example as a row to a PNG: inputs over attention maps, the teacher's left, the student's right.

    inputs: the names of the two inputs. Each map is scaled from its minimum (white) to its maximum (blue): it shows
    where within the sleep epoch, not how much.
    """
    with new_figure(path, 12, 0.7 + 1.25 * len(examples)) as figure:
        rows = figure.subplots(len(examples), 2, squeeze=False, sharex=True)
        for (left, right), example in zip(rows, examples, strict=True):
            _draw_attention(left, example.teacher_input, example.teacher_map, example.seconds)
            _draw_attention(right, example.student_input, example.student_map, example.seconds)
            left.set_title(example.title, **_TITLE_STYLE)
        for axes, part, name in zip(rows[0], ("teacher", "student"), inputs, strict=True):
            axes.set_title(f"{part}, {name}", color=FAINT_INK, loc="right", **_TITLE_STYLE)
        for axes in rows[-1]:
            axes.set_xlabel("seconds", color=FAINT_INK)


def _draw_attention(axes: "Axes", signal: np.ndarray, attention: np.ndarray, seconds: float) -> None:
    """A signal (samples,) over its attention map."""
    from matplotlib.colors import LinearSegmentedColormap

    low, high = float(signal.min()), float(signal.max())
    spread = float(np.ptp(attention)) or 1.0
    axes.imshow(
        (attention[None, :] - attention.min()) / spread,
        extent=(0, seconds, low, high),
        aspect="auto",
        cmap=LinearSegmentedColormap.from_list("attention", SEQUENTIAL[:4]),
        vmin=0,
        vmax=1,
    )
    axes.plot(np.linspace(0, seconds, len(signal), endpoint=False), signal, color=INK, linewidth=0.6)
    axes.set_yticks([])
    axes.set_xlim(0, seconds)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def projection_figure(
    points: Mapping[str, np.ndarray], labels: np.ndarray, class_names: Sequence[str], path: str | Path
) -> None:
    """Draw {model: (N, 2)} of `project` side by side to a PNG, coloured by the labels (N,); unscored left out."""
    with new_figure(path, 4.1 * len(points), 4.6) as figure:
        panels = figure.subplots(1, len(points), squeeze=False)[0]
        # Drawn in a random order, or the last class would cover the others.
        order = np.random.default_rng(0).permutation(np.flatnonzero(labels >= 0))
        colours = np.array([STAGE_COLOURS[name] for name in class_names])
        for axes, (name, xy) in zip(panels, points.items(), strict=True):
            axes.scatter(*xy[order].T, s=9, c=colours[labels[order]], linewidths=0, alpha=0.75)
            axes.set_title(name, fontsize=11)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for k in display_order(class_names):
            panels[0].scatter([], [], s=36, c=STAGE_COLOURS[class_names[k]], label=class_names[k])
        figure.legend(loc="outside lower center", ncols=len(class_names), handletextpad=0.2)


def examples_figure(
    examples: Sequence[DisagreementExample],
    signals: Sequence[tuple[np.ndarray, np.ndarray]],
    inputs: tuple[str, str],
    class_names: Sequence[str],
    path: str | Path,
) -> None:
    """Draw each example as a row to a PNG: the inputs of teacher and student, and the probabilities of both models.

    signals: per example the first input (samples,) of the teacher and of the student. inputs: their names.
    """
    order = display_order(class_names)
    with new_figure(path, 12, 0.7 + 1.35 * len(examples)) as figure:
        rows = figure.subplots(len(examples), 3, squeeze=False, width_ratios=(2.2, 2.2, 1.3))
        for row, example, pair in zip(rows, examples, signals, strict=True):
            for axes, signal in zip(row[:2], pair, strict=True):
                axes.plot(np.linspace(0, EPOCH_SECONDS, len(signal), endpoint=False), signal, color=INK, linewidth=0.6)
                axes.set(xlim=(0, EPOCH_SECONDS), yticks=[], xticks=[])
                axes.spines[:].set_visible(False)
            title = f"{example.recording}, {time_of_night(example.onset_s)}: scored {class_names[example.label]}"
            row[0].set_title(title, **_TITLE_STYLE)
            _draw_probabilities(row[2], example, class_names, order)
        for axes, name in zip(rows[0, :2], inputs, strict=True):
            axes.set_title(name, color=FAINT_INK, loc="right", **_TITLE_STYLE)
        rows[0, 2].set_title("probabilities", color=FAINT_INK, **_TITLE_STYLE)


def _draw_probabilities(
    axes: "Axes", example: DisagreementExample, class_names: Sequence[str], order: Sequence[int]
) -> None:
    """Two stacked bars of probabilities, baseline above distilled."""
    for y, probabilities in ((1, example.baseline), (0, example.distilled)):
        left = 0.0
        for k in order:
            share = float(probabilities[k])
            axes.barh(y, share, left=left, height=0.62, color=STAGE_COLOURS[class_names[k]], linewidth=0)
            if share > 0.22:
                ink = text_on(rgb(STAGE_COLOURS[class_names[k]]))
                axes.text(left + share / 2, y, class_names[k], ha="center", va="center", color=ink, fontsize=8.5)
            left += share
    axes.set_yticks([1, 0], ["baseline", "distilled"], fontsize=8.5)
    axes.set(xlim=(0, 1), xticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def time_of_night(seconds: float) -> str:
    """Seconds from the start of the recording as hours:minutes:seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def confidence_figure(rows: Sequence[dict], path: str | Path) -> None:
    """Draw `by_teacher_confidence` to a PNG: kappa of teacher and students, lowest confidence first."""
    with new_figure(path, 6.4, 3.9) as figure:
        axes = figure.add_subplot()
        for name, colour in zip(rows[0]["kappa"], cycle((FAINT_INK, *MODEL_COLOURS)), strict=False):
            axes.plot([row["kappa"][name] for row in rows], marker="o", color=colour, label=name, linewidth=1.8)
        axes.set_xticks(range(len(rows)), [f"{row['low']:.2f} to {row['high']:.2f}" for row in rows], fontsize=8.5)
        axes.set_xlabel("teacher's confidence, in groups of equally many sleep epochs", color=FAINT_INK)
        axes.set_ylabel("kappa against the scoring", color=FAINT_INK)
        axes.legend()
