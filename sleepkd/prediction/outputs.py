"""The files of a staged night: hypnogram.csv and .edf, summary.json, a figure; and a page of all nights."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edfio import Edf, EdfAnnotation, Recording
from matplotlib import rc_context
from matplotlib.figure import Figure

from sleepkd.cohorts.clock import Start
from sleepkd.data.beats import plausible_intervals
from sleepkd.data.hypnogram import UNSCORED, UNSCORED_NAME
from sleepkd.errors import UserError
from sleepkd.evaluation.pages import page
from sleepkd.evaluation.pictures.figures import HOUR, STYLE, Picture, draw_density, draw_hypnogram, save
from sleepkd.evaluation.pictures.palette import FAINT_INK, INK, display_order
from sleepkd.evaluation.scores.sleep_medicine import hypnograms
from sleepkd.evaluation.scores.summary import json_safe
from sleepkd.files import write_bytes_atomically, write_text_atomically
from sleepkd.prediction.recorded import Recorded
from sleepkd.prediction.staged import Staged

QUALITY = ("quality", "beats", "flat", "clipped")
EDF_NAMES = {"W": "W", "N1": "1", "N2": "2", "N3": "3", "REM": "R", "light": "2", "deep": "3", "NREM": "2"}
"""As EDF+ has sleep stages ("Sleep stage 2"); of a class of several stages, one of them."""


def write_night(folder: Path, staged: Staged, recorded: Recorded, about: dict) -> Picture:
    """Write a night's files; returns its picture."""
    beats = recorded.night.beats() if recorded.night.info.beats else None
    write_text_atomically(folder / "hypnogram.csv", hypnogram_csv(staged, beats, recorded.lost))
    write_bytes_atomically(folder / "hypnogram.edf", hypnogram_edf(staged, recorded.start))
    summary = {"recording": staged.predicted.recording, **summary_of(staged), **about}
    write_text_atomically(folder / "summary.json", json.dumps(json_safe(summary), indent=1) + "\n")
    night_figure(staged, beats, folder / "night.png")
    name = staged.predicted.recording
    return Picture(folder / "night.png", f"{name}: hypnogram, probabilities, heart rate. Gaps: left unscored.")


def hypnogram_csv(staged: Staged, beats: np.ndarray | None = None, lost: np.ndarray | None = None) -> str:
    """onset, duration, stage, p_<class> …, quality, and what there is to judge it by: a line per sleep epoch.

    beats: their times (beats,), s, which are counted. lost: (N, 2) shares flat and clipped.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["onset", "duration", "stage", *(f"p_{name}" for name in staged.class_names), *QUALITY])
    names, night = [*staged.class_names, UNSCORED_NAME], staged.predicted
    ends = night.onset_s + night.duration_s
    counts = None if beats is None else np.searchsorted(beats, ends) - np.searchsorted(beats, night.onset_s)
    for i, stage in enumerate(staged.stages):
        quality = "" if math.isnan(staged.quality[i]) else f"{staged.quality[i]:.3f}"
        probabilities = [f"{p:.4f}" for p in night.probabilities[i]]
        judged = ["" if counts is None else counts[i], *(["", ""] if lost is None else (f"{x:.3f}" for x in lost[i]))]
        times = f"{night.onset_s[i]:g}", f"{night.duration_s[i]:g}"
        rows.writerow([*times, names[stage], *probabilities, quality, *judged])
    return text.getvalue()


def hypnogram_edf(staged: Staged, start: Start | None) -> bytes:
    """An EDF+ file of annotations, "Sleep stage W" …, with the recording's date and time where they are known."""
    names, night = staged.class_names, staged.predicted
    later = start.offset_s if start else 0.0  # EDF+ counts from the header's time
    annotations = [
        EdfAnnotation(float(onset) + later, float(duration), f"Sleep stage {EDF_NAMES[names[k]] if k >= 0 else '?'}")
        for onset, duration, k in zip(night.onset_s, night.duration_s, staged.stages, strict=True)
    ]
    header: dict[str, Any] = {}
    if start is not None and start.time is not None:
        header["starttime"] = start.time
    if start is not None and start.date is not None:
        header["recording"] = Recording(startdate=start.date)
    content = io.BytesIO()
    Edf([], annotations=annotations, **header).write(content)
    return content.getvalue()


def summary_of(staged: Staged) -> dict[str, Any]:
    """How much was staged, and YASA's sleep statistics of it, {} where there is too little sleep for them."""
    scored = staged.stages != UNSCORED
    counts = {name: int((staged.stages == k).sum()) for k, name in enumerate(staged.class_names)}
    try:
        _, predicted = hypnograms(staged.as_scored(), staged.class_names)
        statistics = predicted.sleep_statistics()
    except (UserError, ValueError, IndexError):
        statistics = {}
    return {
        "sleep_epochs": len(scored),
        "staged": int(scored.sum()),
        "stages": counts,
        "mean_confidence": float(staged.predicted.probabilities.max(axis=1)[scored].mean()) if scored.any() else None,
        "sleep_statistics": {name: float(value) for name, value in statistics.items()},
    }


def night_figure(staged: Staged, beats: np.ndarray | None, path: Path) -> None:
    """Hypnogram over probabilities over heart rate, in hours from the start of the recording."""
    night, order = staged.as_scored(), display_order(staged.class_names)
    rows = 2 if beats is None else 3
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 1.7 * rows + 0.6), layout="constrained")
        axes = figure.subplots(rows, 1, sharex=True)
        draw_hypnogram(axes[0], night, staged.stages, staged.class_names, order)
        draw_density(axes[1], night, staged.class_names, order)
        if beats is not None:
            believed = plausible_intervals(beats)
            rate = np.where(believed, 60 / np.maximum(np.diff(beats), 1e-3), np.nan)
            axes[2].plot(beats[1:] / HOUR, rate, color=INK, linewidth=0.4)
            axes[2].set_ylabel("heart rate, 1/min", color=FAINT_INK)
        for row in axes:
            row.tick_params(length=0)
            row.spines[["left", "bottom"]].set_visible(False)
        axes[-1].set_xlabel("hours from the start of the recording", color=FAINT_INK)
        axes[0].set_xlim(night.onset_s[0] / HOUR, (night.onset_s[-1] + night.duration_s[-1]) / HOUR)
        axes[0].set_title(night.recording)
        axes[0].set_title(
            f"{(staged.stages != UNSCORED).mean():.0%} staged", fontsize=9.5, color=FAINT_INK, loc="right"
        )
        save(figure, path)


def index_page(
    nights: Sequence[tuple[str, Mapping[str, Any], Picture]], refused: Mapping[str, str], about: Sequence[str]
) -> str:
    """One page over all nights. nights: (name, summary, picture); refused: why, by file."""
    said = {
        "TST": "asleep, min",
        "SE": "efficiency, %",
        "WASO": "awake after sleep onset, min",
        "SOL": "to fall asleep, min",
    }
    rows = [
        [
            name,
            f"{summary['staged']} of {summary['sleep_epochs']}",
            *(page.number(summary["sleep_statistics"].get(key), 0) for key in said),
        ]
        for name, summary, _ in nights
    ]
    body = [page.heading("Staged nights", 1), *(page.paragraph(line, "quiet") for line in about)]
    body.append(page.grid(["night", "sleep epochs staged", *said.values()], rows))
    if refused:
        body += [page.heading("Not staged"), page.grid(["file", "why"], list(refused.items()), (1,))]
    for name, _, picture in nights:
        body += [page.heading(name, 3), page.pictures([picture])]
    return page.page("Staged nights", body)
