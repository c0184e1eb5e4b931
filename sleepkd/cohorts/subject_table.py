"""A cohort's table of subjects, such as NSRR's datasets or the participants.tsv of BIDS: age and sex by subject."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sleepkd.cohorts.remarks import WARNING
from sleepkd.cohorts.sleeper import Sleeper, plain_text, sleeper_of
from sleepkd.cohorts.text import column_index, read_table
from sleepkd.config import require
from sleepkd.data.recording_info import Sex

PARTICIPANTS = "participants.tsv"
BIDS_PREFIX = "sub-"


@dataclass(frozen=True)
class SubjectTableLayout:
    """The section `subjects` of a dataset YAML.

    files: templates of file names, as `LabelLayout.files`; without any of them, age and sex are those of headers.
    match: {column: template}; the row of a recording is the one whose columns have these texts. Zeros before a number
    do not count, nor does the prefix sub-.
    age, sex: columns; "" for none. Columns go by name, or by number (from 1) in a table without a header.
    sexes: texts for F and M, if the table does not write these letters or the words.
    """

    files: tuple[str, ...]
    match: dict[str, str]
    age: str = "age"
    sex: str = "sex"
    sexes: dict[str, Sex] = field(default_factory=dict)
    delimiter: str = ","
    has_header: bool = True

    def check(self) -> None:
        """Raise UserError for impossible values."""
        require(bool(self.files), "subjects.files", "lists no file")
        require(bool(self.match), "subjects.match", "names no column")
        require(bool(self.age or self.sex), "subjects.age", "names no column, nor does sex")
        require(len(self.delimiter) == 1, "subjects.delimiter", "must be one character; ' ' is any white space")


def find_sleeper(path: Path, layout: SubjectTableLayout, texts: Mapping[str, str]) -> Sleeper:
    """Age and sex in the row of a table whose columns have these texts; unknown, with a remark, without such a row.

    texts: {column: text}, the filled templates of `layout.match`. Raises UserError for a table that cannot be read or
    lacks a column.
    """
    columns, ends = tuple(texts), (layout.age, layout.sex)
    rows = _read_rows(path, path.stat().st_mtime_ns, layout.delimiter, layout.has_header, columns, ends)
    found = rows.get(tuple(_key(text) for text in texts.values()), [])
    if not found:
        wanted = ", ".join(f"{column} {text}" for column, text in texts.items())
        return Sleeper(remarks=(f"{path.name} has no row of {wanted}",))
    sleeper = sleeper_of(*found[0], path.name, layout.sexes)
    if len(set(found)) > 1:
        remark = f"{WARNING}{path.name}: {len(found)} rows fit, with different ages or sexes: the first is taken"
        return sleeper._replace(remarks=(*sleeper.remarks, remark))
    return sleeper


def participants_layout(path: Path) -> SubjectTableLayout | None:
    """How a participants.tsv names its rows: by participant_id (BIDS), or by recording (`sleepkd simulate`).

    None for a table with neither column.
    """
    names, _ = read_table(path, "\t", "")
    lower = [name.lower() for name in names]
    match = {"participant_id": "{subject}", "recording": "{recording}"}
    column = next((name for name in match if name in lower), None)
    if column is None:
        return None
    age, sex = ("age" if "age" in lower else "", next((name for name in ("sex", "gender") if name in lower), ""))
    if not age and not sex:
        return None
    return SubjectTableLayout((PARTICIPANTS,), {column: match[column]}, age, sex, delimiter="\t")


@functools.lru_cache(maxsize=4)
def _read_rows(
    path: Path, changed_ns: int, delimiter: str, has_header: bool, columns: Sequence[str], ends: tuple[str, str]
) -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """Texts of age and sex by the texts of some columns. Kept: one table serves all recordings of a cohort.

    changed_ns: when the file was changed, so that a changed file is read again. ends: columns of age and sex, or "".
    """
    names, rows = read_table(path, delimiter, "" if has_header else None)
    at = [column_index(path, names, column) for column in columns]
    age, sex = (column_index(path, names, column) if column else None for column in ends)
    found: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for _, cells in rows:
        key = tuple(_key(_text(cells, index)) for index in at)
        found.setdefault(key, []).append((_text(cells, age), _text(cells, sex)))
    return found


def _text(cells: Sequence[str], index: int | None) -> str:
    """A cell; "" for no column, and where a row is too short."""
    return cells[index] if index is not None and index < len(cells) else ""


def _key(text: str) -> str:
    return plain_text(text.strip().lower().removeprefix(BIDS_PREFIX))
