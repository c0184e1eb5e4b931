"""Beats as text: one time a line, or a column of a CSV file."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.cohorts.beats.found import BeatLayout, in_order
from sleepkd.errors import UserError


@dataclass(frozen=True)
class TableLayout(BeatLayout):
    """Times in seconds. column: of a CSV file, by name; without it each line is a time, and '#' begins a comment."""

    column: str = ""
    delimiter: str = ","


def read_table(path: Path, layout: TableLayout) -> np.ndarray:
    """The times of all lines. Raises UserError where the column is missing or a line holds no number."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text") from None
    times = []
    for number, text in _column(path, lines, layout) if layout.column else enumerate(lines, 1):
        text = text.strip() if layout.column else text.partition("#")[0].strip()
        if not text:
            continue
        try:
            times.append(float(text))
        except ValueError:
            raise UserError(f"{path}: line {number}: {text!r} is no time in seconds") from None
    return in_order(path, np.array(times))


def _column(path: Path, lines: list[str], layout: TableLayout) -> list[tuple[int, str]]:
    rows = csv.DictReader(lines, delimiter=layout.delimiter)
    names = [name.strip() for name in rows.fieldnames or ()]
    if layout.column not in names:
        raise UserError(f"{path}: has no column {layout.column}; it has {', '.join(names) or 'none'}")
    rows.fieldnames = names
    return [(rows.line_num, row[layout.column] or "") for row in rows]
