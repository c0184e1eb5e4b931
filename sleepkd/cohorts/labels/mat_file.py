"""Sleep stages as variables of a MATLAB file (.mat): a value per sleep epoch, and when the first begins."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from sleepkd.cohorts.clock import Start
from sleepkd.cohorts.labels.marks import as_sleep_epochs
from sleepkd.cohorts.labels.scored import LabelLayout, Mark, ScoredFile
from sleepkd.errors import UserError

FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d-%b-%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S")
"""Of dates and times, with or without a fraction of a second."""


@dataclass(frozen=True)
class MatLayout(LabelLayout):
    """The section `scoring` of a dataset YAML, of format "mat".

    stages: the variable that holds a value per sleep epoch.
    start: the variable that holds the date and time of the first; "": with the first sample of the recording.
    zone: of these times, such as US/Eastern, for signals whose times count from 1970; "" for the clock of the signals.
    """

    stages: str = "stages"
    start: str = ""
    zone: str = ""


def read_mat(path: Path, layout: MatLayout, epoch_seconds: float) -> ScoredFile:
    """The sleep stages of a MATLAB file of version 4 to 7.2.

    Raises UserError: version 7.3, a missing variable, a value without a sleep stage, a start that is no date.
    """
    from scipy.io import loadmat  # here: slow to import

    try:
        content = loadmat(path, variable_names=[name for name in (layout.stages, layout.start) if name])
    except NotImplementedError:
        raise UserError(f"{path}: is of MATLAB 7.3 (HDF5), which is not read; save it with save -v7") from None
    except (OSError, ValueError, TypeError, KeyError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as a MATLAB file: {error}") from None
    except Exception as error:  # of scipy and zlib, by what is damaged
        raise UserError(f"{path}: is a damaged MATLAB file: {error}") from None
    values = np.asarray(_variable(path, content, layout.stages)).ravel()
    marks = [Mark(k * epoch_seconds, epoch_seconds, _text(value)) for k, value in enumerate(values)]
    for mark in marks:
        if mark.text not in layout.labels:
            raise UserError(f"{path}: {layout.stages}: value {mark.text!r} has no sleep stage in scoring.labels")
    scored = as_sleep_epochs(path, marks, layout, epoch_seconds)
    if not layout.start:
        return scored
    return scored._replace(start=_start(path, _variable(path, content, layout.start), layout))


def _variable(path: Path, content: dict[str, Any], name: str) -> Any:
    if name not in content:
        raise UserError(f"{path}: has no variable {name}")
    return content[name]


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value).strip()


def _start(path: Path, value: Any, layout: MatLayout) -> Start:
    """The date and time of a variable, in UTC if the layout states a zone."""
    text = str(np.asarray(value).ravel()[0]).strip() if np.size(value) else ""
    whole, _, fraction = text.partition(".")
    for form in FORMS:
        try:
            moment = datetime.strptime(whole, form)
            break
        except ValueError:
            continue
    else:
        raise UserError(f"{path}: {layout.start}: {text[:40]!r} is not a date and time")
    if layout.zone:
        try:
            moment = moment.replace(tzinfo=ZoneInfo(layout.zone)).astimezone(UTC)
        except (ZoneInfoNotFoundError, ValueError):
            raise UserError(f"scoring.zone: {layout.zone!r} is not a time zone of this system's database") from None
    offset_s = float(f"0.{fraction}") if fraction.isdigit() else 0.0
    return Start(moment.date(), moment.time(), offset_s, "UTC" if layout.zone else "")
