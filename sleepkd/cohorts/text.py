"""Text files as people and programs save them: any encoding, any line ends, tables with or without a header."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from sleepkd.errors import UserError


def read_lines(path: Path) -> list[str]:
    """The lines of a text file: UTF-8, UTF-16 or, failing both, Latin-1; blank ones at its end left out.

    Raises UserError where it cannot be read or is no text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    text = _decoded(content)
    if "\0" in text:
        raise UserError(f"{path}: is no text")
    lines = re.split(r"\r*\n|\r", text)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def read_table(path: Path, delimiter: str, header: str | None) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns of a table, and its rows with their line number; blank lines are left out.

    delimiter: a character, or " " for any white space. header: what the line of names begins with, "" for the first
    line; None where there is none, and columns are called 1, 2, ….
    """
    lines = read_lines(path)
    first = 0
    if header is not None:
        first = next((i for i, line in enumerate(lines) if line.strip() and line.strip().startswith(header)), -1)
        if first < 0:
            raise UserError(f"{path}: has no line that begins with {header!r}" if header else f"{path}: is empty")
    rows = [(i + 1, _cells(line, delimiter)) for i, line in enumerate(lines) if i >= first and line.strip()]
    if header is not None:
        return rows[0][1], rows[1:]
    width = max((len(cells) for _, cells in rows), default=0)
    return [str(k + 1) for k in range(width)], rows


def is_number(text: str) -> bool:
    """Whether a cell is one, "nan" included."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def delimiter_of(line: str) -> str:
    """What a line of a table is divided by: a tab, a semicolon or else a comma."""
    return next((mark for mark in ("\t", ";", ",") if mark in line), ",")


def column(path: Path, names: Sequence[str], wanted: str) -> int:
    """Which column is called so, whatever its capitals and white space. Raises UserError naming those there are."""
    found = [i for i, name in enumerate(names) if _plain(name) == _plain(wanted)]
    if not found:
        raise UserError(f"{path}: has no column {wanted}; it has {', '.join(names) or 'none'}")
    if len(found) > 1:
        raise UserError(f"{path}: has several columns {wanted}")
    return found[0]


def cell(path: Path, number: int, cells: Sequence[str], index: int) -> str:
    """A cell of a row. Raises UserError where the row is shorter."""
    if index >= len(cells):
        raise UserError(f"{path}: line {number} has {len(cells)} columns, the header more")
    return cells[index]


def as_number(path: Path, number: int, text: str, what: str) -> float:
    """A number with a point or a comma for its decimals. Raises UserError naming the line."""
    try:
        return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        raise UserError(f"{path}: line {number}: {text!r} is no {what}") from None


def _plain(name: str) -> str:
    return "".join(name.lower().split())


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    if content[1:2] == b"\0" and content[3:4] == b"\0":  # UTF-16 without its mark
        return content.decode("utf-16-le", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin1")


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    return [text.strip() for text in next(csv.reader([line], delimiter=delimiter))]
