"""Kappa of students of each sensor as PNG: without and with an EEG teacher, a line per sensor."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.evaluation.pictures.drawing import new_figure
from sleepkd.palette import FAINT_INK, INK, MODEL_COLOURS

Score = Mapping[str, Any]
"""{value, low, high}; low and high None where the interval is undefined."""


class SensorScore(NamedTuple):
    """Kappa of a student of a sensor without and with a teacher, None where it was not trained."""

    name: str
    alone: Score | None
    taught: Score | None

    @property
    def best(self) -> float:
        """The higher of the two kappas; 0 without one."""
        return max((float(score["value"]) for score in (self.alone, self.taught) if _is_drawn(score)), default=0.0)


def sensor_figure(scores: Sequence[SensorScore], teacher: Score | None, path: str | Path) -> None:
    """Draw kappa with intervals, a line per sensor, the highest on top; the teacher is a vertical line."""
    ranked = sorted(scores, key=lambda score: score.best)
    with new_figure(path, 7.2, 1.6 + 0.42 * len(ranked)) as figure:
        axes = figure.add_subplot()
        for label, colour, marker, offset, drawn in (
            ("without a teacher", FAINT_INK, "o", -0.12, [x.alone for x in ranked]),
            ("taught", MODEL_COLOURS[0], "D", 0.12, [x.taught for x in ranked]),
        ):
            named = label
            for y, score in enumerate(drawn):
                if not _is_drawn(score):
                    continue
                axes.plot(score["value"], y + offset, marker, color=colour, label=named)
                named = ""  # once in the legend
                if score["low"] is not None and score["high"] is not None:
                    axes.plot([score["low"], score["high"]], [y + offset] * 2, color=colour, lw=1.4)
        if _is_drawn(teacher):
            axes.axvline(teacher["value"], color=INK, lw=1, ls="--", label="the teacher")
        axes.set_yticks(range(len(ranked)), [_label(x.name) for x in ranked])
        axes.set(xlabel="kappa by night, 95 % interval over subjects")
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside upper center", ncols=3)


def _is_drawn(score: Score | None) -> TypeGuard[Score]:
    return score is not None and score["value"] is not None


def _label(name: str) -> str:
    """The sensors of a student in words."""
    return " + ".join(SIGNAL_KINDS[kind].label if kind in SIGNAL_KINDS else kind for kind in name.split("+"))
