"""Write a staged night: hypnogram.csv and other files of stages, summary.json, night.png; index.html of all nights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.errors import UserError
from sleepkd.evaluation.pages import page
from sleepkd.evaluation.pictures.drawing import Picture, new_figure
from sleepkd.evaluation.scores.sleep_medicine import REM_LATENCY
from sleepkd.evaluation.scores.summary import json_safe
from sleepkd.files import write_text_atomically
from sleepkd.prediction.hypnogram_files import date_note
from sleepkd.prediction.judged import JudgedInput
from sleepkd.prediction.night_figure import draw_night, figure_size
from sleepkd.prediction.predicted_night import PredictedNight
from sleepkd.prediction.recorded import OpenedRecording
from sleepkd.prediction.regularity import SleepTimes, sleep_regularity
from sleepkd.prediction.staged import StagedNight
from sleepkd.progress import print_beside

STATISTICS = {
    "TST": "total sleep time, min",
    "SE": "sleep efficiency, %",
    "WASO": "wake after sleep onset, min",
    "SOL": "sleep onset latency, min",
    REM_LATENCY: "REM latency from sleep onset, min",
}
"""Sleep statistics in the table of index.html, by their name in summary.json."""
TEXT_FILES = ("hypnogram.csv", "hypnogram.annot", "hypnogram.ids")


@dataclass(frozen=True)
class NightReport:
    """What index.html shows of a staged night: name, content of summary.json, input and its kappa, and figure.

    when: its date, and which night of the file it is; "" if unknown. source: the file. sleep_times: see
    `sleep_regularity`.
    """

    name: str
    summary: Mapping[str, Any]
    judged: JudgedInput
    picture: Picture
    when: str
    source: Path
    sleep_times: SleepTimes


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
    night, name = PredictedNight(staged, recording, judged, about.get("about", ())), staged.predicted.recording
    for file in TEXT_FILES:
        night.to_csv(folder / file)
    night.to_bids(folder / "hypnogram")
    night.to_edf(folder / "hypnogram.edf")
    summary = {"recording": name, **judged.facts, **summary_of(staged), **about}
    if sensors := night.sensor_quality:
        summary["sensor_quality"] = {kind: round(float(share.mean()), 3) for kind, share in sensors.items()}
    if note := date_note(recording.start):
        summary["date_note"] = note
        print_beside(f"{name}: {note}")
    write_text_atomically(folder / "summary.json", json.dumps(json_safe(summary), indent=1) + "\n")
    with new_figure(folder / "night.png", *figure_size(night.beats)) as figure:
        draw_night(figure, staged, night.beats, judged, when)
    rate = ", heart rate" if night.beats is not None else ""
    caption = f"{name}: hypnogram, stage probabilities{rate}. Gaps in the hypnogram are unscored."
    picture = Picture(folder / "night.png", caption)
    return NightReport(folder.name, summary, judged, picture, when, recording.night.folder, night.sleep_times)


def summary_of(staged: StagedNight) -> dict[str, Any]:
    """Sleep epochs by stage, shares of the stages, mean confidence, and sleep statistics."""
    scored = staged.stages != UNSCORED
    confidence = staged.predicted.probabilities.max(axis=1)[scored]
    return {
        "sleep_epochs": len(scored),
        "staged": int(scored.sum()),
        "stages": {name: int((staged.stages == k).sum()) for k, name in enumerate(staged.class_names)},
        "stage_shares": staged.stage_shares(),
        "mean_confidence": float(confidence.mean()) if len(confidence) else None,
        "sleep_statistics": staged.statistics(),
    }


def regularity_lines(nights: Sequence[NightReport]) -> list[str]:
    """The Sleep Regularity Index of each file with several nights that follow each other, as sentences."""
    of_file: dict[Path, list[NightReport]] = {}
    for night in nights:
        of_file.setdefault(night.source, []).append(night)
    lines = []
    for path, found in of_file.items():
        try:
            index, count, hours = sleep_regularity(found)
        except UserError:  # one night, or no dates
            continue
        lines.append(
            f"Sleep Regularity Index of {path.name}: {index:.0f} ({count} nights, {hours:.0f} hours compared with "
            "those a day later; the time between nights counts as wake, so naps are not seen)."
        )
    return lines


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
    body.append(page.table(["night", "start", "sleep epochs staged", *STATISTICS.values()], rows, (0,)))
    body += [page.paragraph(line, "quiet") for line in regularity_lines(nights)]
    if rejected:
        body += [page.heading("Not staged"), page.table(["file", "reason"], list(rejected.items()), (1,))]
    for night in nights:
        warning, text = night.judged.warning, "; ".join(filter(None, [night.when, night.judged.text]))
        body += [page.heading(night.name), page.paragraph(f"{text}.", "quiet")]
        body += [page.paragraph(f"WARNING: {warning}.", "note")] if warning else []
        body.append(page.pictures([night.picture]))
    return page.page("Staged nights", body)
