"""Everything that can be said of one model's predictions on a set of nights, and its pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sleepkd.errors import UserError
from sleepkd.evaluation.pictures.bland_altman import bland_altman_figure
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.evaluation.pictures.hypnogram_figure import hypnogram_figure
from sleepkd.evaluation.pictures.matrix_figures import confusion_difference_figure, confusion_figure, transitions_figure
from sleepkd.evaluation.pictures.summary_figures import (
    gains_figure,
    recordings_figure,
    reliability_figure,
    risk_coverage_figure,
)
from sleepkd.evaluation.scores.bootstrap import DRAWS, bootstrap_intervals
from sleepkd.evaluation.scores.calibration import calibration_of
from sleepkd.evaluation.scores.groups import by_group
from sleepkd.evaluation.scores.inter_rater_agreement import inter_rater_scores
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.sleep_medicine import sleep_medicine_of
from sleepkd.evaluation.scores.summary import Analysis, confusions_of, json_safe, metrics_of


def analyse(
    name: str,
    nights: Sequence[NightPredictions],
    class_names: Sequence[str],
    *,
    participants: Mapping[str, Mapping[str, str]] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Analysis:
    """Score a set of nights in every way this folder knows.

    metrics: those of `metrics_of`, and intervals (see bootstrap.bootstrap_intervals), groups (groups.by_group), calibration
    (calibration.calibration_of), scorers (inter_rater_agreement.inter_rater_scores) and sleep_medicine (sleep_medicine.sleep_medicine_of,
    with the statistics of each recording under by_recording; or {"missing": why}, since one odd night should not take
    the scores along).
    """
    metrics = metrics_of(nights, class_names)
    subjects = [night.subject for night in nights]
    metrics["intervals"] = bootstrap_intervals(confusions_of(nights, len(class_names)), subjects, draws=draws, seed=seed)
    metrics["groups"] = by_group(nights, class_names, participants, draws=draws, seed=seed)
    metrics["calibration"] = calibration_of(nights)
    metrics["scorers"] = inter_rater_scores(nights)
    statistics = None
    try:
        medicine = sleep_medicine_of(nights, class_names)
        statistics = medicine.pop("statistics")
        by_scorer = {scorer: statistics.loc[scorer].to_dict("index") for scorer in ("scored", "predicted")}
        metrics["sleep_medicine"] = {**medicine, "by_recording": by_scorer}
    except UserError as error:
        metrics["sleep_medicine"] = {"missing": str(error)}
    return Analysis(name, tuple(class_names), nights, json_safe(metrics), statistics)


def draw(analysis: Analysis, folder: str | Path) -> list[Picture]:
    """Draw a model's pictures into a folder: confusion matrix, the best, middle and worst night by kappa, Bland-Altman
    panels, transitions. Those that the nights cannot fill are left out."""
    folder = Path(folder)
    name, metrics, class_names = analysis.name, analysis.metrics, analysis.class_names
    pictures = [Picture(folder / "confusion.png", f"{name}: scored against predicted sleep epochs, all recordings.")]
    title = f"{name}, {len(analysis.nights)} recordings"
    confusion_figure(np.array(metrics["overall"]["confusion"]), class_names, title, pictures[0].path)
    for rank, night in _telling_nights(analysis).items():
        picture = Picture(
            folder / f"hypnogram_{rank}.png",
            f"{name}: the {rank} night by kappa. Grey: unscored. Below: the probabilities, stacked.",
        )
        hypnogram_figure(night, class_names, picture.path)
        pictures.append(picture)
    if analysis.statistics is None:
        return pictures
    picture = Picture(
        folder / "bland_altman.png",
        f"{name}: predicted minus scored sleep statistics, against scored, one dot per night. Solid: bias; dashed: "
        "95 % limits of agreement; bands: their 95 % intervals (drawn by YASA).",
    )
    if bland_altman_figure(analysis.statistics, picture.path):
        pictures.append(picture)
    picture = Picture(
        folder / "transitions.png",
        f"{name}: which stage follows which from one sleep epoch to the next, % of each row.",
    )
    transitions_figure(metrics["sleep_medicine"]["transitions"], picture.path)
    return [*pictures, picture]


def draw_together(analyses: Sequence[Analysis], folder: str | Path) -> list[Picture]:
    """Draw models side by side into a folder: kappa per recording, reliability, kappa against the share kept."""
    folder = Path(folder)
    kappas = {
        analysis.name: np.array(
            [entry["kappa"] for entry in analysis.metrics["by_recording"].values()], dtype=np.float64
        )
        for analysis in analyses
    }
    recordings = Picture(folder / "recordings.png", "Kappa of each recording.")
    recordings_figure(kappas, recordings.path)
    calibrations = {a.name: a.metrics["calibration"] for a in analyses if a.metrics["calibration"]["n"]}
    if not calibrations:
        return [recordings]
    reliability = Picture(
        folder / "reliability.png",
        "Are the probabilities honest? On the dotted line they are; below it, overconfident.",
    )
    reliability_figure(calibrations, reliability.path)
    coverage = Picture(
        folder / "risk_coverage.png", "Kappa when only the surest share is kept and the rest is left to a person."
    )
    risk_coverage_figure(calibrations, coverage.path)
    return [recordings, reliability, coverage]


def draw_comparison(
    comparison: dict, names: tuple[str, str], class_names: Sequence[str], folder: str | Path
) -> list[Picture]:
    """Draw a `compare` result of two named models into a folder: the gain of each recording, and which stages moved."""
    folder, (a, b) = Path(folder), names
    gains = Picture(folder / "gains.png", f"Gain in kappa of {b} over {a}, one bar per recording; band: 95 % interval.")
    gains_figure(comparison, gains.path)
    moved = Picture(
        folder / "moved.png", f"Sleep epochs that moved from {a} to {b}. Blue: for the better; red: for the worse."
    )
    confusion_difference_figure(np.array(comparison["confusion_difference"]), class_names, moved.path)
    return [gains, moved]


def _telling_nights(analysis: Analysis) -> dict[str, NightPredictions]:
    """The best, middle and worst night by kappa (only those there are)."""
    kappas = {name: entry["kappa"] for name, entry in analysis.metrics["by_recording"].items()}
    ranked = sorted((kappa, name) for name, kappa in kappas.items() if kappa is not None)
    of_name = {night.recording: night for night in analysis.nights}
    chosen: dict[str, str] = {}
    for rank, position in {"best": -1, "worst": 0, "middle": len(ranked) // 2}.items():
        if ranked and ranked[position][1] not in chosen.values():
            chosen[rank] = ranked[position][1]
    return {rank: of_name[chosen[rank]] for rank in ("best", "middle", "worst") if rank in chosen}
