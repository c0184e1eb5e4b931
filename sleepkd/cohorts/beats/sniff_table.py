"""Find the table in a text file of a watch, strap or program: delimiter, decimal comma, names, row of units, rows."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sleepkd.cohorts.beats.column_roles import is_unit_row, names_beats, role_of
from sleepkd.errors import UserError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "nil", "-", "--", "#n/a", "?", "missing", "undefined"})
COMMENTS = ("#", "%", "//")
BLANKS = " \t\xa0'"
"""What is taken off both ends of a cell."""
DELIMITERS = ("\t", ";", "|", ",")
SAMPLED_LINES = 500
ENOUGH_LINES = 0.6
"""Share of the lines that must hold a delimiter."""
SECOND_TABLE_ROWS = 10
"""A table of fewer rows above or below another one is a summary."""
UNIX_LEAST = 1e8
MOST_NAMES = 12
"""Names of columns in a message."""

Row = tuple[int, list[str]]
"""A line's number and its cells."""

_VALUE = re.compile(
    r"[-+]?[.,]?\d[\d.,eE+\-]*|[-+]?inf(inity)?|"
    r"(\d+[-/.]\d+[-/.]\d+)?[T ,]*\d+:\d[\d.,:]*\s*([AP]\.?M\.?)?\s*(UTC|GMT|Z|[+-]\d\d:?\d\d)?|"
    r"\d+[-/.]\d+[-/.]\d+|\d{8}T\d{4,6}\S*",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")
_MARKS = bytes(97 if chr(code).isalpha() or code > 127 else 10 if code == 10 else 32 for code in range(256))
"""For bytes.translate: "a" for letters of ASCII and for all bytes of other characters."""
_COMMA_NUMBER = re.compile(r"[-+]?(\d+),(\d+)")


@dataclass
class SniffedTable:
    """The table of a text file.

    names: of the columns; [] without a line of names. units: the row below the names, [] without one.
    header_line: the number of the line of names, 0 without one. start_unix: s since 1970, where the line of names holds
    it (Empatica). above: the short tables that were left out. notes: decisions that may be wrong.
    """

    names: list[str]
    header_line: int
    delimiter: str = ","
    units: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    start_unix: float | None = None
    above: list["SniffedTable"] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _columns: dict[int, list[str]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def width(self) -> int:
        """Number of columns."""
        return max((len(cells) for _, cells in self.rows), default=0) if not self.names else len(self.names)

    def column(self, index: int) -> list[str]:
        """The cells of a column, "" for a missing value or a row that is too short. The list may not be changed."""
        if index not in self._columns:  # choosing the columns reads some of them several times
            found = [cells[index] if index < len(cells) else "" for _, cells in self.rows]
            missing = {text for text in set(found) if text.lower() in MISSING}
            self._columns[index] = ["" if text in missing else text for text in found] if missing else found
        return self._columns[index]

    def numbers(self, index: int) -> np.ndarray:
        """A column as float64 (rows,), NaN for a missing value. Raises UserError naming the line of another text."""
        found = plain_numbers(self.column(index))
        if found is None:
            found = np.array([number_of(text) for text in self.column(index)], dtype=np.float64)
        for k in np.flatnonzero(np.isinf(found)):
            line, cells = self.rows[k]
            raise UserError(f"line {line}: {_short(cells[index])} is not a number")
        return found

    def number_lists(self, index: int) -> np.ndarray:
        """A column whose cells may list several numbers ("812|790", "[812, 790]"), float64 (rows, most in a cell)."""
        texts = self.column(index)
        plain = plain_numbers(texts)
        if plain is not None:
            return plain[:, None]
        lists = [_listed(text, self.delimiter) for text in texts]
        if all(len(parts) == 1 for parts in lists):
            return self.numbers(index)[:, None]
        found = np.full((len(lists), max(map(len, lists))), np.nan)
        for row, parts in enumerate(lists):
            found[row, : len(parts)] = [number_of(part) for part in parts]
        for k in np.flatnonzero(np.isinf(found).any(axis=1)):
            raise UserError(f"line {self.rows[k][0]}: {_short(texts[k])} is not a number")
        return found

    def name(self, index: int) -> str:
        """The name of a column, or its number from 1."""
        return self.names[index] if self.names else str(index + 1)

    def names_text(self, indices: Sequence[int] | None = None) -> str:
        """The names of columns, all by default, shortened for a message."""
        chosen = list(range(self.width)) if indices is None else list(indices)
        more = ", …" if len(chosen) > MOST_NAMES else ""
        return ", ".join(shortened(self.name(i)) for i in chosen[:MOST_NAMES]) + more


def plain_numbers(texts: Sequence[str]) -> np.ndarray | None:
    """Texts as float64 (rows,) if all are finite numbers with a decimal point; None for other texts."""
    try:
        found = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def number_of(text: str) -> float:
    """A number with a decimal point or a decimal comma; NaN for "", infinity for a text that is not a number."""
    if not text:
        return float("nan")
    try:
        return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        return float("inf")


def _listed(text: str, delimiter: str) -> list[str]:
    """The numbers of a cell. Between cells that a comma divides, 812,790 is two RR intervals in ms."""
    bare = text.strip("[](){} ")
    pair = re.fullmatch(r"(\d{3,4}),(\d{3,4})", bare) if delimiter == "," else None
    if not pair and not np.isinf(number_of(bare)):
        return [bare]
    return [part for part in re.split(r"[|;\s]+|,\s*", bare) if part] or [""]


def sniff_table(lines: Sequence[str], delimiter: str = "") -> SniffedTable:
    """The table in the lines of a text file; the longest one of several.

    delimiter: one character, or " " for any white space; "" finds it. Comments (#, %, //), blank lines and `sep=` are
    no rows. Raises UserError for a file without rows, and for two long tables.
    """
    kept = [(number, line) for number, line in enumerate(lines, 1) if line[:1].isdecimal() or _holds_data(line)]
    if kept and (stated := re.fullmatch(r'"?sep=(.)"?[;,]*\s*', kept[0][1].strip("\ufeff"), re.IGNORECASE)):
        delimiter = delimiter or stated[1]
        del kept[0]
    if not kept:
        raise UserError("is empty")
    delimiter = delimiter or find_delimiter([line for _, line in kept])
    tables = _tables(_split_lines(kept, delimiter), _lettered(kept))
    for table in tables:
        table.delimiter = delimiter
    table = max(tables, key=lambda one: len(one.rows))
    table.above = [other for other in tables if other is not table]
    long = [other for other in table.above if len(other.rows) >= SECOND_TABLE_ROWS]
    _drop_footer(table)
    if long:
        both = sorted([table, long[0]], key=lambda one: one.header_line)
        names = " and ".join(
            f"from line {max(one.header_line, 1)} ({one.names_text(range(min(4, one.width)))})" for one in both
        )
        raise UserError(f"holds two tables, {names}; keep one")
    for other in table.above:
        if other.rows:
            table.notes.append(f"the {len(other.rows)} rows below line {other.header_line} are another table, not read")
    _check_commas(table)
    return table


def find_delimiter(lines: Sequence[str]) -> str:
    """The delimiter of most lines: tab, semicolon, |, comma, or " " for white space; "\\0" for a single column."""
    sample = lines[:: max(1, len(lines) // SAMPLED_LINES)]
    named = [mark for mark in DELIMITERS if mark in sample[0]] if re.search(r"[^\W\d_]{2}", sample[0]) else []
    for mark in [*named, *DELIMITERS]:
        if sum(mark in line for line in sample) >= ENOUGH_LINES * len(sample):
            return "\0" if mark == "," and _decimal_commas(sample) else mark
    widths = [len(line.split()) for line in sample if not is_value(line.strip())]
    usual = max(set(widths), key=widths.count) if widths else 1
    if usual > 1 and widths.count(usual) >= ENOUGH_LINES * len(sample):
        return " "
    return "\0"


def split_line(line: str, delimiter: str) -> list[str]:
    """The cells of a line, without white space and quotes around them, and without blank cells at its end."""
    if delimiter == "\0" and '"' not in line:
        return [line.strip(BLANKS)]
    if delimiter == " ":
        cells = [cell.strip("\"'") for cell in line.split()]
    elif '"' in line and delimiter != "\0":
        try:
            cells = [cell.strip(BLANKS) for cell in next(csv.reader([line], delimiter=delimiter))]
        except (csv.Error, StopIteration):
            raise UserError(f"has a line that cannot be split into cells: {_short(line)}") from None
    else:
        cells = [cell.strip(" \t\xa0'\"") for cell in (line.split(delimiter) if delimiter != "\0" else [line])]
    while len(cells) > 1 and not cells[-1]:
        cells.pop()
    return cells


def _split_lines(lines: Sequence[tuple[int, str]], delimiter: str) -> list[Row]:
    """`split_line` of every line; a column of numbers without a call for each."""
    if delimiter == "\0" and not any('"' in line for _, line in lines):
        return [(number, [line.strip(BLANKS)]) for number, line in lines]
    return [(number, split_line(line, delimiter)) for number, line in lines]


def is_value(cell: str) -> bool:
    """Whether a cell is a number, a date or a time."""
    return bool(_VALUE.fullmatch(cell))


def _holds_data(line: str) -> bool:
    return bool(line.strip(" \t\r\n\x0b\x0c,;\ufeff")) and not line.lstrip().startswith(COMMENTS)


def _lettered(lines: Sequence[tuple[int, str]]) -> int:
    """A number of lines after which none has a letter."""
    marks = "\n".join(line for _, line in lines).encode(errors="surrogatepass").translate(_MARKS)
    last = marks.rfind(b"a")
    return marks.count(b"\n", 0, last) + 1 if last >= 0 else 0


def _tables(rows: Sequence[Row], lettered: int) -> list[SniffedTable]:
    """Rows as tables: the first names begin one, and so do later ones that name a column of heartbeats.

    lettered: no row after so many has a letter, so none of them holds names.
    """
    tables = [SniffedTable([], 0)]
    for number, cells in rows[:lettered]:
        table = tables[-1]
        if not _LETTER.search("".join(cells)) or not _are_names(cells, first=len(tables) == 1 and not table.rows):
            table.rows.append((number, cells))
        elif table.names and not table.rows and not table.units and is_unit_row(cells):
            table.units = cells
        elif cells == table.names:
            table.notes.append(f"line {number} repeats the names")
        elif names_beats(cells) or not (table.rows or any(role_of(name) for name in table.names)):
            tables.append(SniffedTable(cells, number, start_unix=_start_unix(cells)))
        else:
            table.rows.append((number, cells))
    tables[-1].rows += rows[lettered:]
    return [table for table in tables if table.rows] or [tables[-1]]


def _are_names(cells: Sequence[str], first: bool) -> bool:
    """Whether a row holds names. first: it may hold a start in unix s beside a name, as Empatica writes it."""
    texts = [cell for cell in cells if cell.lower() not in MISSING]
    named = [cell for cell in texts if not is_value(cell)]
    if not any(_LETTER.search(cell) for cell in named):
        return False
    return len(named) == len(texts) or (first and names_beats(named) and _start_unix(texts) is not None)


def _start_unix(cells: Sequence[str]) -> float | None:
    numbers = [number_of(cell) for cell in cells if is_value(cell)]
    return next((x for x in numbers if UNIX_LEAST <= x < 1e11), None)


def _decimal_commas(sample: Sequence[str]) -> bool:
    """Whether the comma of each line is a decimal comma of a single column, and not between two columns."""
    body = sample if _COMMA_NUMBER.fullmatch(sample[0].strip()) else sample[1:]
    found = [_COMMA_NUMBER.fullmatch(line.strip()) for line in body]
    if not found or not all(found) or "," in (sample[0] if body is not sample else ""):
        return False
    if body is not sample:
        return True
    fractions = [match[2] for match in found if match]
    if any(text.startswith("0") and len(text) > 1 for text in fractions):
        return True
    in_range = np.mean([20 <= float(text) <= 250 for text in fractions])
    rising = np.diff([float(match[1]) for match in found if match]) > 0
    return not (in_range > 0.9 and len(rising) and rising.mean() > 0.9)


def _drop_footer(table: SniffedTable) -> None:
    """Leave out the lines of text below the last row of several columns."""
    while len(table.rows) > 1 and table.width > 1 and len(table.rows[-1][1]) == 1:
        line, cells = table.rows[-1]
        if is_value(cells[0]) or cells[0].lower() in MISSING:
            return
        del table.rows[-1]
        table.notes.append(f"line {line} is not a row: {_short(cells[0])}")


def _check_commas(table: SniffedTable) -> None:
    """Raise UserError where a comma is both the decimal mark and between columns."""
    width = len(table.names)
    if table.delimiter != "," or not any(role_of(name) for name in table.names):
        return
    wide = sum(len(cells) > width for _, cells in table.rows)
    if table.rows and wide > 0.5 * len(table.rows):
        line, cells = table.rows[0]
        raise UserError(
            f"line {line} has {len(cells)} cells for {width} names: with decimal commas, the columns need a semicolon"
        )


def shortened(text: str) -> str:
    """A text of a file for a message: at most 40 characters, on one line."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= 40 else plain[:39] + "…"


def _short(text: str) -> str:
    return f"'{shortened(text)}'"
