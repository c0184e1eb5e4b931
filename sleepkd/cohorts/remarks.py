"""Remarks on a recording: parts of one line. "WARNING: " marks those that a person should look at."""

from collections.abc import Iterable

WARNING = "WARNING: "
SEPARATOR = "; "


def joined(parts: Iterable[str]) -> str:
    """Remarks in one line, without duplicates; line breaks and separators in them are replaced."""
    plain = (" ".join(part.split()).replace(SEPARATOR, ", ") for part in parts if part)
    return SEPARATOR.join(dict.fromkeys(plain))


def parts_of(note: str) -> list[str]:
    """The remarks in a line, none if it is blank."""
    return [part for part in note.split(SEPARATOR) if part]


def warnings_of(note: str) -> list[str]:
    """The warnings among the remarks of a line."""
    return [part.removeprefix(WARNING) for part in parts_of(note) if part.startswith(WARNING)]
