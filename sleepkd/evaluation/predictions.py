"""Predictions as CSV files: one line per sleep epoch."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from sleepkd.data.hypnogram import UNSCORED, UNSCORED_NAME
from sleepkd.data.recording_info import Sex
from sleepkd.errors import UserError
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.files import write_text_atomically

INDEX_NAME = "recordings.csv"
_TIME_COLUMNS = ("onset_s", "duration_s")
_INDEX_COLUMNS = ("recording", "subject", "subset", "standard", "cohort", "input")
_SLEEPER_COLUMNS = ("age", "sex")  # empty where they are not known
_LATER_COLUMNS = ("input", *_SLEEPER_COLUMNS)  # earlier versions did not write them


def write_csv(night: NightPredictions, path: str | Path, class_names: Sequence[str]) -> None:
    """Write onset_s, duration_s, label, prediction (class names; `unscored` for -1) and p_<class> per sleep epoch.

    Numbers are written so that `read_csv` returns the same bits. The file appears whole or not at all.
    """
    if len(class_names) != night.n_classes:
        raise ValueError(f"{len(class_names)} class names for {night.n_classes} classes")
    names = [*class_names, UNSCORED_NAME]  # index -1 reaches the last
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*_TIME_COLUMNS, "label", "prediction", *(f"p_{name}" for name in class_names)])
    rows.writerows(
        [onset, duration, names[label], names[prediction], *probabilities]
        for onset, duration, label, prediction, probabilities in zip(
            night.onset_s.tolist(),
            night.duration_s.tolist(),
            night.labels.tolist(),
            night.predictions.tolist(),
            # str() of a float32 is the shortest text that reads back to the same float32
            night.probabilities.astype(np.float32).astype(str).tolist(),
            strict=True,
        )
    )
    write_text_atomically(path, text.getvalue())


def read_csv(
    path: str | Path,
    *,
    recording: str | None = None,
    subject: str = "",
    subset: str = "",
    standard: str = "",
    cohort: str = "",
    input: str = "",
) -> tuple[NightPredictions, tuple[str, ...]]:
    """Read what `write_csv` wrote: the night and its class names (from the p_<class> columns).

    recording, subject, subset, standard, cohort, input: not in the file; `read_predictions` takes them from the index
    of the folder. recording defaults to the file's name. The `prediction` column is not read: predictions follow from
    the probabilities. Raises UserError where the file is missing or not of this form.
    """
    path = Path(path)
    try:
        header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of predictions") from None
    except ValueError:
        raise UserError(f"{path}: not a CSV of predictions: no header line") from None
    class_names = tuple(column.removeprefix("p_") for column in header[4:])
    if header[:4] != [*_TIME_COLUMNS, "label", "prediction"] or not class_names:
        raise UserError(f"{path}: the header must be onset_s,duration_s,label,prediction,p_<class>…")
    index = {name: k for k, name in enumerate(class_names)} | {UNSCORED_NAME: UNSCORED}
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path}: line {line} has {len(row)} columns, the header {len(header)}")
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    try:
        night = NightPredictions(
            recording=recording or path.stem,
            subject=subject,
            subset=subset,
            standard=standard,
            cohort=cohort,
            input=input,
            onset_s=np.array([*map(float, columns[0])]),
            duration_s=np.array([*map(float, columns[1])]),
            labels=np.array([index[name] for name in columns[2]], dtype=np.int8),
            probabilities=np.array([[*map(float, column)] for column in columns[4:]], dtype=np.float32).T,
        )
    except KeyError as error:
        raise UserError(f"{path}: label {error} is not one of {', '.join(index)}") from None
    except ValueError as error:
        raise UserError(f"{path}: a value is not a number ({error})") from None
    return night, class_names


def write_predictions(
    nights: Sequence[NightPredictions],
    folder: str | Path,
    class_names: Sequence[str],
    held_out: Mapping[str, str] | None = None,
) -> None:
    """Write <folder>/<recording>.csv per night, and the index <folder>/recordings.csv with the subject of each.

    Parameters
    ----------
    nights
        Predictions beside labels.
    folder
        Is made if it does not exist.
    class_names
        The K classes, for the columns p_<class>.
    held_out
        {recording: yes, no (a training night), validation or unknown}, a column of the index where given.
    """
    folder = Path(folder)
    for night in nights:
        write_csv(night, folder / f"{night.recording}.csv", class_names)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*_INDEX_COLUMNS, *_SLEEPER_COLUMNS, *(["held_out"] if held_out is not None else [])])
    for night in nights:
        facts = [getattr(night, column) for column in (*_INDEX_COLUMNS, *_SLEEPER_COLUMNS)]
        rows.writerow([*facts, *([held_out.get(night.recording, "unknown")] if held_out is not None else [])])
    write_text_atomically(folder / INDEX_NAME, text.getvalue())


def read_predictions(folder: str | Path) -> tuple[list[NightPredictions], tuple[str, ...]]:
    """Read a folder that `write_predictions` wrote.

    Parameters
    ----------
    folder
        For example "results/predictions" of `evaluate.py --out results`.

    Returns
    -------
    tuple
        The nights in the order of the index, and their class names.

    Raises
    ------
    UserError
        The index or a night is missing, or nights have different classes.
    """
    index = Path(folder) / INDEX_NAME
    try:
        entries = list(csv.DictReader(index.read_text(encoding="utf-8").splitlines()))
    except FileNotFoundError:
        raise UserError(f"{index}: no such file; give a predictions/ folder that evaluate.py wrote") from None
    needed = [column for column in _INDEX_COLUMNS if column not in _LATER_COLUMNS]
    if not entries or not set(needed) <= set(entries[0]):
        raise UserError(f"{index}: must list recordings under the header {','.join(needed)}")
    nights: list[NightPredictions] = []
    schemes: dict[tuple[str, ...], Path] = {}
    for entry in entries:
        path = index.parent / f"{entry['recording']}.csv"
        night, class_names = read_csv(path, **{column: entry.get(column, "") for column in _INDEX_COLUMNS})
        nights.append(replace(night, **_sleeper(index, entry)))
        schemes.setdefault(class_names, path)
    if len(schemes) > 1:
        raise UserError(" and ".join(f"{path} has classes {', '.join(names)}" for names, path in schemes.items()))
    return nights, next(iter(schemes))


def _sleeper(index: Path, entry: Mapping[str, str | None]) -> dict[str, Any]:
    """Age and sex of a line of the index; None where they are empty or the column is missing."""
    age, sex = entry.get("age") or None, entry.get("sex") or None
    try:
        if sex not in (None, *get_args(Sex)):
            raise ValueError
        return {"age": None if age is None else float(age), "sex": sex}
    except ValueError:
        raise UserError(f"{index}: {entry['recording']}: age {age!r} or sex {sex!r} is none") from None
