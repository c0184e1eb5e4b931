"""Scores by groups of recordings: cohort, standard, subset, and what a participants.tsv says of the subjects."""

import csv
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.bootstrap import DRAWS, bootstrap_intervals
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.scores.summary import confusions_of

MISSING = "n/a"
_MOST_GROUPS = 12
_NAMES = ("participant_id", "recording")


@dataclass(frozen=True)
class Bands:
    """Names for ranges of a measurement, from low to high, and the limits between them (a limit opens the higher)."""

    limits: tuple[float, ...]
    names: tuple[str, ...]

    def of(self, text: str) -> str:
        """The band of a number given as text."""
        return self.names[bisect_right(self.limits, float(text))]


_APNEA = Bands((5, 15, 30), ("< 5 /h", "5 to 15 /h", "15 to 30 /h", "≥ 30 /h"))  # the AASM's grades of severity
BANDS = {"age": Bands((40, 60), ("under 40", "40 to 59", "60 and over")), "ahi": _APNEA, "apnea_index": _APNEA}


def read_participants(path: str | Path) -> dict[str, dict[str, str]]:
    """Read a TSV of subjects: {participant: {column: text}}, "" and "n/a" as missing.

    Participants are named by a column participant_id (BIDS; a `sub-` before the name is dropped), matched with the
    nights' subjects, or else by a column recording (as `sleepkd.simulate` writes). Raises UserError where the file is
    missing or has neither, or has no participant.
    """
    path = Path(path)
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), delimiter="\t"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of participants") from None
    name = next((column for column in _NAMES if rows and column in rows[0]), None)
    if name is None:
        raise UserError(f"{path}: needs a header with participant_id or recording, and at least one line below it")
    return {
        row[name].removeprefix("sub-"): {
            column: text or MISSING for column, text in row.items() if column not in (None, *_NAMES)
        }
        for row in rows
    }


def participants_of(path: Path | None, stores: Sequence[str | Path]) -> dict[str, dict[str, str]] | None:
    """What is known of the subjects, from a file or else the stores' participants.tsv; None where there is neither."""
    defaults = [default for store in stores if (default := Path(store) / "participants.tsv").is_file()]
    known: dict[str, dict[str, str]] = {}
    for file in [path] if path else defaults:
        known |= read_participants(file)
    return known or None


def grouping(
    nights: Sequence[NightPredictions], participants: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, list[str]]:
    """{column: the group of each night}: cohort, standard, subset, then those of the participants that make groups.

    Ages are banded at 40 and 60 years, apnea indices (`ahi`, `apnea_index`, per hour) at 5, 15 and 30; other columns
    are taken as they are when their values are text of at most 12 kinds, and left out when they are measurements.
    A subject whom the participants lack, or whose value is missing, falls in the group n/a.
    """
    columns = {name: [getattr(night, name) for night in nights] for name in ("cohort", "standard", "subset")}
    rows = [_row_of(night, participants or {}) for night in nights]
    for column in dict.fromkeys(column for row in rows for column in row if column not in columns):
        values = [row.get(column, MISSING) for row in rows]
        known = [value for value in values if value != MISSING]
        bands = BANDS.get(column.lower())
        if bands and all(_is_number(value) for value in known):
            values = [value if value == MISSING else bands.of(value) for value in values]
        elif len(set(known)) > _MOST_GROUPS or all(_is_number(value) for value in known):
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
    """{column: {group: `bootstrap_intervals` of its recordings}}, for every column of `grouping` in which the nights differ."""
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


def _row_of(night: NightPredictions, participants: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """What the participants say of a night's subject, or of its recording; empty where nothing."""
    return participants.get(night.subject.removeprefix("sub-")) or participants.get(night.recording) or {}


def _in_order(groups: set[str]) -> list[str]:
    """Bands from low to high, then other groups by name, then the missing."""
    rank = {name: i for bands in BANDS.values() for i, name in enumerate(bands.names)}
    return sorted(groups, key=lambda group: (group == MISSING, rank.get(group, len(rank)), group))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
