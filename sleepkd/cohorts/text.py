"""Text files in any encoding and with any line ends, and the tables in them."""

import csv
import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

from sleepkd.errors import UserError

GZIP_MARK = b"\x1f\x8b"
LARGEST_UNZIPPED = 1 << 28
"""Bytes. A gzip file may hold a thousand times its own size."""


def read_lines(path: Path, first_bytes: int | None = None) -> list[str]:
    """The lines of a text file in UTF-8, UTF-16 or, if it is neither, Latin-1, without the blank lines at its end.

    A gzip file is unpacked, whatever its name. first_bytes: reads only so much, and leaves out the line that it cuts.
    Raises UserError for a file that cannot be read, is not text, or holds more than `LARGEST_UNZIPPED` bytes unpacked.
    """
    content, is_cut = _content(path, first_bytes)
    text = decoded(content)
    if "\0" in text:
        raise UserError(f"{path}: is not text")
    lines = re.split(r"\r*\n|\r", text) if "\r" in text else text.split("\n")
    if is_cut and len(lines) > 1:
        lines.pop()
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def read_table(path: Path, delimiter: str, header: str | None) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns of a table, and its rows with their line numbers, without blank lines.

    delimiter: one character, or " " for any white space. header: what the line of names begins with, "" for the first
    line; None for a table without names, whose columns are called 1, 2, ….
    """
    lines = read_lines(path)
    first = 0
    if header is not None:
        first = next((i for i, line in enumerate(lines) if line.strip() and line.strip().startswith(header)), -1)
        if first < 0:
            raise UserError(f"{path}: has no line that begins with {header!r}" if header else f"{path}: is empty")
    rows = [(i + 1, split_cells(line, delimiter)) for i, line in enumerate(lines) if i >= first and line.strip()]
    if header is not None:
        return rows[0][1], rows[1:]
    width = max((len(cells) for _, cells in rows), default=0)
    return [str(k + 1) for k in range(width)], rows


def split_cells(line: str, delimiter: str) -> list[str]:
    """The cells of a line, without white space and quotes around them. delimiter: as for `read_table`."""
    if delimiter == " ":
        return line.split()
    return [text.strip() for text in next(csv.reader([line], delimiter=delimiter))]


def is_number(text: str) -> bool:
    """Whether a cell is a number, "nan" included."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def column_index(path: Path, names: Sequence[str], wanted: str) -> int:
    """The index of the column of this name, in any capitals and with any white space. Raises UserError for no such."""
    found = [i for i, name in enumerate(names) if _plain(name) == _plain(wanted)]
    if not found:
        raise UserError(f"{path}: has no column {wanted}; it has {', '.join(names) or 'none'}")
    if len(found) > 1:
        raise UserError(f"{path}: has several columns {wanted}")
    return found[0]


def cell(path: Path, number: int, cells: Sequence[str], index: int) -> str:
    """A cell of line `number`. Raises UserError for a row that is too short."""
    if index >= len(cells):
        raise UserError(f"{path}: line {number} has {len(cells)} columns, the header more")
    return cells[index]


def as_number(path: Path, number: int, text: str, what: str) -> float:
    """A number with a decimal point or a decimal comma. Raises UserError naming the line."""
    try:
        return float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        raise UserError(f"{path}: line {number}: {text!r} is no {what}") from None


def _plain(name: str) -> str:
    return "".join(name.lower().split())


def _content(path: Path, first_bytes: int | None) -> tuple[bytes, bool]:
    """The bytes of a file, unpacked, and whether there are more of them."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP_MARK
            file.seek(0)
            most = first_bytes if first_bytes is not None else LARGEST_UNZIPPED if zipped else -1
            with gzip.open(file) if zipped else file as source:
                content = source.read(most)
                is_cut = most >= 0 and bool(source.read(1))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: is a damaged gzip file: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if is_cut and first_bytes is None:
        raise UserError(f"{path}: holds more than {LARGEST_UNZIPPED >> 20} MiB when unpacked")
    return content, is_cut


def decoded(content: bytes) -> str:
    """The text of bytes in UTF-8, UTF-16 or, if it is neither, Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    if content[1:2] == b"\0" and content[3:4] == b"\0":  # UTF-16 without its mark
        return content.decode("utf-16-le", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin1")
