"""Write a staged night: hypnogram.csv, hypnogram.edf, summary.json and night.png; and index.html of all nights."""

import csv
import io
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edfio
import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.data.beats import plausible_intervals
from sleepkd.data.hypnogram import UNSCORED, UNSCORED_NAME
from sleepkd.errors import UserError
from sleepkd.evaluation.pages import page
from sleepkd.evaluation.pictures.drawing import Picture, new_figure
from sleepkd.evaluation.pictures.hypnogram_figure import HOUR, draw_density, draw_hypnogram
from sleepkd.evaluation.scores.sleep_medicine import hypnograms
from sleepkd.evaluation.scores.summary import json_safe
from sleepkd.files import write_bytes_atomically, write_text_atomically
from sleepkd.palette import FAINT_INK, INK, NEGATIVE, display_order
from sleepkd.prediction.judged import JudgedInput
from sleepkd.prediction.recorded import OpenedRecording
from sleepkd.prediction.staged import StagedNight
from sleepkd.progress import print_beside

QUALITY_COLUMNS = ("quality", "beats", "flat", "clipped")
EDF_STAGES = {"W": "W", "N1": "1", "N2": "2", "N3": "3", "REM": "R", "light": "2", "deep": "3", "NREM": "2"}
"""Texts of EDF+ for each class ("Sleep stage 2"); one of the stages that a merged class holds."""
STATISTICS = {
    "TST": "total sleep time, min",
    "SE": "sleep efficiency, %",
    "WASO": "wake after sleep onset, min",
    "SOL": "sleep onset latency, min",
}
"""Sleep statistics in the table of index.html, by YASA's name."""


EDF_YEARS = (1985, 2084)
"""Of a date in the header of an EDF+ file."""
LINE_LENGTH = 150
"""Letters in a line below night.png."""


@dataclass(frozen=True)
class NightReport:
    """What index.html shows of a staged night: name, content of summary.json, input and its kappa, and figure.

    when: its date, and which night of the file it is; "" if unknown.
    """

    name: str
    summary: Mapping[str, Any]
    judged: JudgedInput
    picture: Picture
    when: str = ""


def write_night(
    folder: Path,
    staged: StagedNight,
    recording: OpenedRecording,
    judged: JudgedInput,
    about: Mapping[str, Any],
    when: str = "",
) -> NightReport:
    """Write the files of a staged night into its folder.

    judged: the input of the recording. about: further entries of summary.json. when: as in `NightReport`.
    """
    beats = recording.night.beats() if recording.night.info.beats else None
    name = staged.predicted.recording
    write_text_atomically(folder / "hypnogram.csv", hypnogram_csv(staged, beats, recording.lost))
    write_bytes_atomically(folder / "hypnogram.edf", hypnogram_edf(staged, recording.start))
    summary = {"recording": name, **judged.facts, **summary_of(staged), **about}
    if note := date_note(recording.start):
        summary["date_note"] = note
        print_beside(f"{name}: {note}")
    write_text_atomically(folder / "summary.json", json.dumps(json_safe(summary), indent=1) + "\n")
    night_figure(staged, beats, folder / "night.png", judged, when)
    rate = ", heart rate" if beats is not None else ""
    caption = f"{name}: hypnogram, stage probabilities{rate}. Gaps in the hypnogram are unscored."
    return NightReport(folder.name, summary, judged, Picture(folder / "night.png", caption), when)


def hypnogram_csv(staged: StagedNight, beats: np.ndarray | None = None, lost: np.ndarray | None = None) -> str:
    """A CSV with a line per sleep epoch: onset, duration, stage, p_<class> …, quality, beats, flat, clipped.

    beats: (beats,) s, counted per sleep epoch. lost: (N, 2), which shares of the ECG are flat and clipped.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["onset", "duration", "stage", *(f"p_{name}" for name in staged.class_names), *QUALITY_COLUMNS])
    names, night = [*staged.class_names, UNSCORED_NAME], staged.predicted
    ends = night.onset_s + night.duration_s
    counts = None if beats is None else np.searchsorted(beats, ends) - np.searchsorted(beats, night.onset_s)
    for i, stage in enumerate(staged.stages):
        times = [f"{night.onset_s[i]:g}", f"{night.duration_s[i]:g}"]
        probabilities = [f"{p:.4f}" for p in night.probabilities[i]]
        quality = "" if math.isnan(staged.quality[i]) else f"{staged.quality[i]:.3f}"
        count = "" if counts is None else str(counts[i])
        shares = ["", ""] if lost is None else [f"{share:.3f}" for share in lost[i]]
        rows.writerow([*times, names[stage], *probabilities, quality, count, *shares])
    return text.getvalue()


def hypnogram_edf(staged: StagedNight, start: Start | None) -> bytes:
    """An EDF+ file with annotations "Sleep stage W" …; "Sleep stage ?" for unscored sleep epochs.

    start: date and time of the recording, written into the header if known and if EDF+ can hold it: see `date_note`.
    """
    names, night = staged.class_names, staged.predicted
    offset_s = 0.0
    if start is not None:  # EDF+ counts from the header's time, in whole seconds
        offset_s = start.offset_s + (start.time.microsecond / 1e6 if start.time else 0.0)
    annotations = [
        edfio.EdfAnnotation(
            float(onset) + offset_s, float(duration), f"Sleep stage {EDF_STAGES[names[k]] if k >= 0 else '?'}"
        )
        for onset, duration, k in zip(night.onset_s, night.duration_s, staged.stages, strict=True)
    ]
    header: dict[str, Any] = {}
    if start is not None and start.time is not None:
        header["starttime"] = start.time.replace(microsecond=0)
    if start is not None and start.date is not None and not date_note(start):
        header["recording"] = edfio.Recording(startdate=start.date)
    content = io.BytesIO()
    edfio.Edf([], annotations=annotations, **header).write(content)
    return content.getvalue()


def date_note(start: Start | None) -> str:
    """Why hypnogram.edf has no date although the recording has one; "" if it has, or the recording has none."""
    first, last = EDF_YEARS
    if start is None or start.date is None or first <= start.date.year <= last:
        return ""
    return f"hypnogram.edf has no date: EDF+ holds {first} to {last}, the recording is of {start.date}"


def summary_of(staged: StagedNight) -> dict[str, Any]:
    """Sleep epochs by stage, mean confidence, and YASA's sleep statistics ({} for a night with too little sleep)."""
    scored = staged.stages != UNSCORED
    counts = {name: int((staged.stages == k).sum()) for k, name in enumerate(staged.class_names)}
    confidence = staged.predicted.probabilities.max(axis=1)[scored]
    try:
        _, predicted = hypnograms(staged.as_scored(), staged.class_names)
        statistics = predicted.sleep_statistics()
    except (UserError, ValueError, IndexError):
        statistics = {}
    return {
        "sleep_epochs": len(scored),
        "staged": int(scored.sum()),
        "stages": counts,
        "mean_confidence": float(confidence.mean()) if len(confidence) else None,
        "sleep_statistics": {name: float(value) for name, value in statistics.items()},
    }


def night_figure(
    staged: StagedNight, beats: np.ndarray | None, path: Path, judged: JudgedInput, when: str = ""
) -> None:
    """Draw hypnogram, stage probabilities and heart rate over hours from the start of the recording, as a PNG.

    beats: (beats,) s; None: the heart rate is not drawn. judged: the input of the recording. when: its date. The figure
    states both.
    """
    night, order = staged.as_scored(), display_order(staged.class_names)
    rows = 2 if beats is None else 3
    with new_figure(path, 11, 1.7 * rows + 0.9) as figure:
        axes = figure.subplots(rows, 1, sharex=True)
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


def index_page(nights: Sequence[NightReport], rejected: Mapping[str, str], about: Sequence[str]) -> str:
    """The HTML page of all nights. rejected: the reason by file. about: what every output states of the network."""
    rows = [
        [
            night.name,
            str(night.summary.get("start") or ""),
            f"{night.summary['staged']} of {night.summary['sleep_epochs']}",
            *(page.number(night.summary["sleep_statistics"].get(key), 0) for key in STATISTICS),
        ]
        for night in nights
    ]
    body = [page.heading("Staged nights", 1), *(page.paragraph(line, "quiet") for line in about)]
    body.append(page.table(["night", "start", "sleep epochs staged", *STATISTICS.values()], rows))
    if rejected:
        body += [page.heading("Not staged"), page.table(["file", "reason"], list(rejected.items()), (1,))]
    for night in nights:
        warning, text = night.judged.warning, "; ".join(filter(None, [night.when, night.judged.text]))
        body += [page.heading(night.name, 3), page.paragraph(f"{text}.", "quiet")]
        body += [page.paragraph(f"WARNING: {warning}.", "note")] if warning else []
        body.append(page.pictures([night.picture]))
    return page.page("Staged nights", body)
