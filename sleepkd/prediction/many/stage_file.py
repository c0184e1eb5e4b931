"""Stage the nights of one file: rows for tables, and a folder for each night if asked. Any error is its reason."""

import gc
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sleepkd.errors import UserError
from sleepkd.prediction.chosen_nights import ChosenNight, WhichNights, chosen_nights
from sleepkd.prediction.judged import given_input
from sleepkd.prediction.many.file_state import FileState, checksum_of, file_state, weights_checksum
from sleepkd.prediction.many.night_rows import NightRows, Row, StagedWith, epochs_of, failed_row, origin_row, staged_row
from sleepkd.prediction.many.work_list import ListedRecording
from sleepkd.prediction.model import Model, load_model
from sleepkd.prediction.recorded import opened

if TYPE_CHECKING:
    from sleepkd.prediction.outputs import NightReport


@dataclass(frozen=True)
class StagingSettings:
    """What holds for all recordings of a run.

    checkpoint: as for `load_model`. weights: `weights_checksum`. nights, abstain_below, debug: options of the command.
    tables: rows are made, and the checksum of the file, which its whole content is read for.
    threads: of torch in a process; None leaves them as they are.
    """

    checkpoint: Path | None = None
    weights: str = ""
    nights: WhichNights = "last"
    abstain_below: float = 0.0
    debug: bool = False
    tables: bool = False
    threads: int | None = None

    def options_text(self, listed: ListedRecording) -> str:
        """The options that a recording was staged with, in a line; rows of other options are staged again."""
        options = listed.options
        stated = {
            "channel": options.channel,
            "fs": options.rate_hz,
            "beats": options.beats,
            "start": options.start_s,
            "nights": self.nights,
            "abstain_below": self.abstain_below,
        }
        return " ".join(f"{name}={value}" for name, value in stated.items() if value)


@dataclass
class StagedRecording:
    """The result of one file. error: why it, or some of its nights, were not staged, "" if all were.

    messages: lines for stderr. reports: of the nights that have a folder. rows: of the tables.
    """

    name: str
    messages: list[str] = field(default_factory=list)
    reports: list["NightReport"] = field(default_factory=list)
    rows: NightRows = field(default_factory=NightRows)
    error: str = ""


_held: dict[tuple[Path | None, str], Model] = {}


def hold_model(settings: StagingSettings, model: Model) -> None:
    """Use a loaded model for the recordings of a run in this process."""
    _held.clear()
    _held[settings.checkpoint, settings.weights] = model


def model_of(settings: StagingSettings) -> Model:
    """The model of a run, loaded once in a process. Raises UserError if this process finds other weights."""
    key = settings.checkpoint, settings.weights
    if key not in _held:
        model = load_model(settings.checkpoint)
        if weights_checksum(model) != settings.weights:
            raise UserError(f"{model.trained.path}: has other weights here than where the command was started")
        hold_model(settings, model)
    return _held[key]


def stage_recording(settings: StagingSettings, listed: ListedRecording) -> StagedRecording:
    """Stage the chosen nights of a file. An exception becomes the error of the result, but for one of `model_of`."""
    model = model_of(settings)
    result, started = StagedRecording(listed.name), time.perf_counter()
    if settings.threads is not None:
        _set_up_process(settings)
    made = StagedWith("", settings.options_text(listed), FileState(0, 0), "")
    try:
        if settings.tables:  # before the file is read: one that changes meanwhile is staged again
            made = _made(settings, listed)
        failed = _stage_nights(settings, listed, model, made, result)
        result.error = "; ".join(failed)
    except Exception as error:  # whatever a damaged file raises, it is the result of this file alone
        if settings.debug:
            result.messages.append(traceback.format_exc().rstrip())
        result.error = reason_of(error).removeprefix(f"{listed.path}: ")
        if settings.tables:
            result.rows.nights.append(failed_row(_origin(listed, 0, made), result.error))
    if result.error:
        result.messages.append(f"error: {listed.path}: {result.error}")
    seconds = round((time.perf_counter() - started) / max(1, len(result.rows.nights)), 3)
    result.rows.nights = [{**row, "seconds": seconds} for row in result.rows.nights]
    return result


@lru_cache(maxsize=1)
def _set_up_process(settings: StagingSettings) -> None:
    """Once in a process that stages many recordings: its threads; what it has loaded is never garbage."""
    import torch

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    gc.collect()
    gc.freeze()  # a collection visits torch's half a million objects otherwise, a quarter of the time of a night


def failed_recording(settings: StagingSettings, listed: ListedRecording, reason: str) -> StagedRecording:
    """The result of a file whose process ended."""
    made = _made(settings, listed) if settings.tables else StagedWith("", "", FileState(0, 0), "")
    rows = NightRows([failed_row(_origin(listed, 0, made), reason)] if settings.tables else [])
    return StagedRecording(listed.name, [f"error: {listed.path}: {reason}"], rows=rows, error=reason)


def reason_of(error: Exception) -> str:
    """Why a file was not staged, in a line. An error that no one foresaw is named as a fault of sleepkd."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"could not be staged, a fault of sleepkd ({what[:200]}); --debug shows where, please report it"


def _made(settings: StagingSettings, listed: ListedRecording) -> StagedWith:
    state = file_state(listed.path)
    return StagedWith(settings.weights, settings.options_text(listed), state, checksum_of(listed.path))


def _origin(listed: ListedRecording, night: int, made: StagedWith) -> Row:
    return origin_row(listed.name, night, str(listed.path), made)


def _stage_nights(
    settings: StagingSettings, listed: ListedRecording, model: Model, made: StagedWith, result: StagedRecording
) -> list[str]:
    """Stage each chosen night of a file; returns why some of several were not. Raises what the only one raises."""
    failed = []
    for night in chosen_nights(listed.path, model.trained.inputs, listed.options, settings.nights):
        try:
            _stage_night(settings, listed, night, model, made, result)
        except UserError as error:
            if settings.nights != "all":
                raise
            reason = str(error).removeprefix(f"{listed.path}: ")
            failed.append(f"{night.when}: {reason}")
            if settings.tables:
                result.rows.nights.append(failed_row(_origin(listed, night.number, made), reason))
    return failed


def _stage_night(
    settings: StagingSettings,
    listed: ListedRecording,
    chosen: ChosenNight,
    model: Model,
    made: StagedWith,
    result: StagedRecording,
) -> None:
    """Stage one night with the network that fits its input best; append its rows, and write its folder if asked."""
    from sleepkd.prediction.outputs import summary_of, write_night  # imports edfio

    recording, path = chosen.recording, listed.path
    notes: Sequence[str] = recording.beat_report.notes if recording.beat_report else ()
    result.messages += [f"{path}: {note}" for note in notes]
    given = given_input(recording)
    model = model.best_for(given)
    night = opened(recording, model.trained.inputs, listed.options.start_s)
    staged = model.stage(night.night, settings.abstain_below)
    judged = model.judged(given)
    when = f"{chosen.when}; " if chosen.when else ""
    result.messages.append(
        f"WARNING: {path}: {when}{judged.warning}" if judged.warning else f"{path}: {when}{judged.text}"
    )
    if listed.folder is not None:
        name = chosen.folder_name(listed.name) if settings.nights == "all" else listed.name
        about = {**chosen.facts, "source": path.name, "model": model.trained.path.name, "about": model.about}
        result.reports.append(write_night(listed.folder.with_name(name), staged, night, judged, about, chosen.when))
    if settings.tables:
        beats = night.night.beats() if night.night.info.beats else None
        origin = _origin(listed, chosen.number, made)
        result.rows.nights.append(
            staged_row(origin, chosen, staged, judged, model.trained.path.name, summary_of(staged))
        )
        result.rows.epochs.append(epochs_of(listed.name, chosen.number, staged, beats, night.lost))
