"""Scores by group of recordings: cohort, standard, subset, input, age, sex, and columns of a participants.tsv."""

import csv
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.bootstrap import DRAWS, bootstrap_intervals
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of

NOT_AVAILABLE = "n/a"
NIGHT_COLUMNS = ("cohort", "standard", "subset", "input")
"""Fields of `NightPredictions` to group by."""
_MAX_GROUPS = 12
SLEEPER_COLUMNS = {"age": ("age",), "sex": ("sex", "gender")}
"""Fields of `NightPredictions`, and the names, in any capitals, of columns of a participants.tsv that replace them."""
_NAME_COLUMNS = ("participant_id", "recording")


@dataclass(frozen=True)
class Bands:
    """Named ranges of a measurement, from low to high, and the limits between them (a limit belongs to the higher)."""

    limits: tuple[float, ...]
    names: tuple[str, ...]

    def of(self, text: str) -> str:
        """The range that a number, given as text, falls in."""
        return self.names[bisect_right(self.limits, float(text))]


_APNEA = Bands((5, 15, 30), ("< 5 /h", "5 to 15 /h", "15 to 30 /h", "≥ 30 /h"))  # the AASM's degrees of severity
BANDS = {"age": Bands((40, 60), ("under 40", "40 to 59", "60 and over")), "ahi": _APNEA, "apnea_index": _APNEA}
CADENCES = Bands(
    (3, 8, 20, 45),
    tuple(f"averaged heart rate, {text}" for text in ("< 3 s", "3 to 8 s", "8 to 20 s", "20 to 45 s", "≥ 45 s")),
)
"""Averaged heart rates by their cadence, s: chest straps give one a second, watches one in 5 to 30 s."""


def read_participants(path: str | Path) -> dict[str, dict[str, str]]:
    """Read a TSV of subjects: {participant: {column: text}}, "" and "n/a" as missing.

    Participants are named by a column participant_id (BIDS; the prefix `sub-` is dropped), compared with the nights'
    subjects, or else by a column recording (as `sleepkd simulate` writes). Raises UserError where the file is missing,
    has neither column, or lists no participant.
    """
    path = Path(path)
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), delimiter="\t"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of participants") from None
    name = next((column for column in _NAME_COLUMNS if rows and column in rows[0]), None)
    if name is None:
        raise UserError(f"{path}: needs a header with participant_id or recording, and at least one line below it")
    return {
        row[name].removeprefix("sub-"): {
            column: text or NOT_AVAILABLE for column, text in row.items() if column not in (None, *_NAME_COLUMNS)
        }
        for row in rows
    }


def participants_of(path: Path | None, stores: Sequence[str | Path]) -> dict[str, dict[str, str]] | None:
    """Participants by name, from `path` or else the stores' participants.tsv; None where neither exists."""
    defaults = [default for store in stores if (default := Path(store) / "participants.tsv").is_file()]
    known: dict[str, dict[str, str]] = {}
    for file in [path] if path else defaults:
        known |= read_participants(file)
    return known or None


def grouping(
    nights: Sequence[NightPredictions], participants: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, list[str]]:
    """{column: the group of each night}: cohort, standard, subset, input, age, sex, then columns of the participants.

    Age and sex are those of the nights, from their store, unless the participants have such a column.
    Ages are split at 40 and 60 years, apnea indices (`ahi`, `apnea_index`, per hour) at 5, 15 and 30. Other columns of
    text with at most 12 distinct values are used as they are; columns of numbers are left out. A subject that is not
    among the participants, or whose value is missing, is in the group n/a.
    """
    columns = {name: [getattr(night, name) for night in nights] for name in NIGHT_COLUMNS}
    rows = _rows_of(nights, participants or {})
    for column in dict.fromkeys(column for row in rows for column in row if column not in columns):
        values = [row.get(column, NOT_AVAILABLE) for row in rows]
        known = [value for value in values if value != NOT_AVAILABLE]
        if not known:
            continue
        bands = BANDS.get(column.lower())
        if bands and all(_is_number(value) for value in known):
            values = [value if value == NOT_AVAILABLE else bands.of(value) for value in values]
        elif len(set(known)) > _MAX_GROUPS or all(_is_number(value) for value in known):
            continue
        columns[column] = values
    return columns


def by_group(
    nights: Sequence[NightPredictions],
    class_names: Sequence[str],
    participants: Mapping[str, Mapping[str, str]] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, dict[str, dict]]:
    """{column: {group: `bootstrap_intervals` of its recordings}}; columns of `grouping` with one group are left out."""
    matrices = confusions_of(nights, len(class_names))
    found: dict[str, dict[str, dict]] = {}
    for column, values in grouping(nights, participants).items():
        if len(set(values)) < 2:
            continue
        found[column] = {}
        for group in _in_order(set(values)):
            chosen = [r for r, value in enumerate(values) if value == group]
            subjects = [nights[r].subject for r in chosen]
            found[column][group] = bootstrap_intervals(matrices[chosen], subjects, draws=draws, seed=seed)
    return found


def _rows_of(
    nights: Sequence[NightPredictions], participants: Mapping[str, Mapping[str, str]]
) -> list[Mapping[str, str]]:
    """The columns of each night: age and sex of its store where no row of the participants has them, then its row."""
    rows = [_row_of(night, participants) for night in nights]
    given = {column.lower() for row in rows for column in row}
    own = [field for field, names in SLEEPER_COLUMNS.items() if not given & set(names)]
    known = [{field: _text(getattr(night, field)) for field in own} for night in nights]
    return [{**mine, **row} for mine, row in zip(known, rows, strict=True)]


def _text(value: float | str | None) -> str:
    """Age or sex as a participants.tsv has it."""
    return NOT_AVAILABLE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _row_of(night: NightPredictions, participants: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The participants' row of a night's subject, or of its recording; empty if neither has one."""
    return participants.get(night.subject.removeprefix("sub-")) or participants.get(night.recording) or {}


def _in_order(groups: set[str]) -> list[str]:
    """Groups in display order: ranges from low to high, then others by name, then n/a."""
    rank = {name: i for bands in (*BANDS.values(), CADENCES) for i, name in enumerate(bands.names)}
    return sorted(groups, key=lambda group: (group == NOT_AVAILABLE, rank.get(group, len(rank)), group))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
