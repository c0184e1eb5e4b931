"""Draw the figures of one model, of several models side by side, and of a comparison of two."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sleepkd.evaluation.pictures.bland_altman import bland_altman_figure
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.evaluation.pictures.hypnogram_figure import hypnogram_figure
from sleepkd.evaluation.pictures.matrix_figures import (
    confusion_difference_figure,
    confusion_figure,
    transitions_figure,
)
from sleepkd.evaluation.pictures.summary_figures import (
    gains_figure,
    recordings_figure,
    reliability_figure,
    risk_coverage_figure,
)
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import Analysis


def draw_model(analysis: Analysis, folder: str | Path, titles: Mapping[str, str] | None = None) -> list[Picture]:
    """Draw a model's figures into a folder: confusion matrix, hypnograms of the best, middle and worst night by kappa,
    Bland-Altman panels, transitions. Figures that the nights have no data for are left out.

    titles: of hypnograms, by recording; the recording by default.
    """
    folder = Path(folder)
    name, metrics, class_names = analysis.name, analysis.metrics, analysis.class_names
    pictures = [Picture(folder / "confusion.png", f"{name}: scored against predicted sleep epochs, all recordings.")]
    title = f"{name}, {len(analysis.nights)} recordings"
    confusion_figure(np.array(metrics["overall"]["confusion"]), class_names, title, pictures[0].path)
    for rank, night in _ranked_nights(analysis).items():
        picture = Picture(
            folder / f"hypnogram_{rank}.png",
            f"{name}: the {rank} night by kappa. Grey: unscored. Below: the probabilities, stacked.",
        )
        title = (titles or {}).get(night.recording, night.recording)
        hypnogram_figure(replace(night, recording=title), class_names, picture.path)
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
        f"{name}: transitions from one sleep epoch to the next, % of each row.",
    )
    transitions_figure(metrics["sleep_medicine"]["transitions"], picture.path)
    return [*pictures, picture]


def draw_models(analyses: Sequence[Analysis], folder: str | Path) -> list[Picture]:
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
        "Calibration: accuracy against confidence. On the dotted line they are equal; below it, the model is "
        "overconfident.",
    )
    reliability_figure(calibrations, reliability.path)
    coverage = Picture(
        folder / "risk_coverage.png",
        "Selective prediction: kappa of the most confident share of the sleep epochs, the rest left to a person.",
    )
    risk_coverage_figure(calibrations, coverage.path)
    return [recordings, reliability, coverage]


def draw_comparison(
    comparison: dict, names: tuple[str, str], class_names: Sequence[str], folder: str | Path
) -> list[Picture]:
    """Draw a `compare` result of two named models into a folder: gain of each recording, confusion difference."""
    folder, (a, b) = Path(folder), names
    gains = Picture(folder / "gains.png", f"Gain in kappa of {b} over {a}, one bar per recording; band: 95 % interval.")
    gains_figure(comparison, gains.path)
    moved = Picture(
        folder / "moved.png", f"Sleep epochs that moved from {a} to {b}. Blue: for the better; red: for the worse."
    )
    confusion_difference_figure(np.array(comparison["confusion_difference"]), class_names, moved.path)
    return [gains, moved]


def _ranked_nights(analysis: Analysis) -> dict[str, NightPredictions]:
    """The best, middle and worst night by kappa, each night once."""
    kappas = {name: entry["kappa"] for name, entry in analysis.metrics["by_recording"].items()}
    ranked = sorted((kappa, name) for name, kappa in kappas.items() if kappa is not None)
    of_name = {night.recording: night for night in analysis.nights}
    chosen: dict[str, str] = {}
    for rank, position in {"best": -1, "worst": 0, "middle": len(ranked) // 2}.items():
        if ranked and ranked[position][1] not in chosen.values():
            chosen[rank] = ranked[position][1]
    return {rank: of_name[chosen[rank]] for rank in ("best", "middle", "worst") if rank in chosen}
