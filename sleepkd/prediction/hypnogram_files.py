"""A staged night as text or bytes of a file: CSV, EDF+, BIDS events, and the formats of Luna and U-Sleep."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.data.hypnogram import EPOCH_SECONDS, UNSCORED_NAME
from sleepkd.errors import UserError
from sleepkd.extras import require_extra
from sleepkd.prediction.staged import StagedNight, StageTable

QUALITY_COLUMNS = ("quality", "beats", "flat", "clipped")
EDF_STAGES = {"W": "W", "N1": "1", "N2": "2", "N3": "3", "REM": "R", "light": "2", "deep": "3", "NREM": "2"}
"""Texts of EDF+ for each class ("Sleep stage 2"); one of the stages that a merged class holds."""
EDF_YEARS = (1985, 2084)
"""Of a date in the header of an EDF+ file."""
LUNA_STAGES = {"W": "W", "N1": "N1", "N2": "N2", "N3": "N3", "REM": "R", "light": "N2", "deep": "N3", "NREM": "NR"}
"""Luna's annotations of sleep stages; NR is its sleep of no known NREM stage."""
USLEEP_STAGES = {"W": "W", "N1": "N1", "N2": "N2", "N3": "N3", "REM": "REM", "light": "N2", "deep": "N3", "NREM": "N2"}
LEVELS = {
    "W": "wake",
    "N1": "N1 sleep",
    "N2": "N2 sleep",
    "N3": "N3 sleep",
    "REM": "REM sleep",
    "light": "N1 or N2 sleep",
    "deep": "N3 sleep",
    "NREM": "N1, N2 or N3 sleep",
    UNSCORED_NAME: "no stage: no usable signal, or too low a confidence",
}
"""What each stage is, for the sidecar of BIDS."""


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
        times = [_seconds(night.onset_s[i]), _seconds(night.duration_s[i])]
        probabilities = [f"{p:.4f}" for p in night.probabilities[i]]
        quality = "" if math.isnan(staged.quality[i]) else f"{staged.quality[i]:.3f}"
        count = "" if counts is None else str(counts[i])
        shares = ["", ""] if lost is None else [f"{share:.3f}" for share in lost[i]]
        rows.writerow([*times, names[stage], *probabilities, quality, count, *shares])
    return text.getvalue()


def hypnogram_edf(staged: StagedNight, start: Start | None) -> bytes:
    """An EDF+ file with annotations "Sleep stage W" …; "Sleep stage ?" for unscored sleep epochs.

    start: date and time of the recording, written into the header if known and if EDF+ can hold it: see `date_note`.
    Raises UserError if edfio is not installed.
    """
    require_extra("edfio", "evaluate", "EDF+ files")
    import edfio

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


def bids_events(table: StageTable) -> str:
    """The *_events.tsv of BIDS: onset, duration, trial_type (the sleep stage), p_<class> …, quality; "n/a" for NaN."""
    header = ["onset", "duration", "trial_type", *(f"p_{name}" for name in table.class_names), "quality"]
    lines = ["\t".join(header)]
    for onset, duration, stage, probabilities, quality in zip(*table[:5], strict=True):
        numbers = [*(_number(p, 4) for p in probabilities), _number(quality, 3)]
        lines.append("\t".join([_seconds(onset), _seconds(duration), stage, *numbers]))
    return "\n".join(lines) + "\n"


def bids_sidecar(class_names: Sequence[str], version: str, about: Sequence[str]) -> str:
    """The JSON file beside *_events.tsv, which describes its columns. about: sentences on the network."""
    described: dict[str, Any] = {
        "onset": {"Description": "start of the sleep epoch, from the first sample of the recording", "Units": "s"},
        "duration": {"Description": "length of the sleep epoch", "Units": "s"},
        "trial_type": {
            "LongName": "Sleep stage",
            "Description": "sleep stage predicted by a network, not scored by a person",
            "Levels": {name: LEVELS[name] for name in (*class_names, UNSCORED_NAME)},
        },
        **{f"p_{name}": {"Description": f"probability of {LEVELS[name]}, 0 to 1"} for name in class_names},
        "quality": {"Description": "share of the sleep epoch between plausible heartbeats, 0 to 1"},
        "GeneratedBy": [{"Name": "sleepkd", "Version": version, "Description": " ".join(about)}],
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def luna_annotations(table: StageTable) -> str:
    """An .annot file of Luna: class, instance, channel, start and stop (s from the start of the EDF), meta.

    Classes are `LUNA_STAGES`, and "?" for unscored sleep epochs.
    """
    lines = ["class\tinstance\tchannel\tstart\tstop\tmeta"]
    for onset, duration, stage in zip(*table[:3], strict=True):
        times = f"{_seconds(onset)}\t{_seconds(onset + duration)}"
        lines.append(f"{LUNA_STAGES.get(stage, '?')}\t.\t.\t{times}\t.")
    return "\n".join(lines) + "\n"


def luna_epochs(table: StageTable) -> str:
    """An .eannot file of Luna: a sleep stage per line, for each 30 s from the start of the EDF.

    Raises UserError for sleep epochs that begin later: an .annot file states their times.
    """
    if table.onset_s[0] != 0 or not np.allclose(table.duration_s, EPOCH_SECONDS):
        raise UserError(".eannot: holds sleep epochs of 30 s from the first sample on only; write .annot")
    return "".join(f"{LUNA_STAGES.get(stage, '?')}\n" for stage in table.stages)


def usleep_stages(table: StageTable) -> str:
    """An .ids file of U-Sleep: start (s), duration (s) and stage of each run of equal stages, without a header.

    Stages are `USLEEP_STAGES`, and UNKNOWN for unscored sleep epochs.
    """
    stages = [USLEEP_STAGES.get(stage, "UNKNOWN") for stage in table.stages]
    ends = table.onset_s + table.duration_s
    first = [0, *(k for k in range(1, len(stages)) if stages[k] != stages[k - 1])]
    last = [*(k - 1 for k in first[1:]), len(stages) - 1]
    return "".join(
        f"{_seconds(table.onset_s[a])},{_seconds(ends[b] - table.onset_s[a])},{stages[a]}\n"
        for a, b in zip(first, last, strict=True)
    )


def _seconds(value: float) -> str:
    """Seconds to the millisecond, without zeros at the end."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _number(value: float, digits: int) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"
