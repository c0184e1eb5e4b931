"""What is said of a recording: parts of one line, those that a person should look at marked as warnings."""

from collections.abc import Iterable

WARNING = "WARNING: "
SEPARATOR = "; "


def joined(parts: Iterable[str]) -> str:
    """Remarks in a line, each once; what would break the line, or its parts from one another, is replaced."""
    plain = (" ".join(part.split()).replace(SEPARATOR, ", ") for part in parts if part)
    return SEPARATOR.join(dict.fromkeys(plain))


def parts_of(note: str) -> list[str]:
    """The parts of a line, none where it is blank."""
    return [part for part in note.split(SEPARATOR) if part]


def warnings_of(note: str) -> list[str]:
    """Those parts of a line that warn."""
    return [part.removeprefix(WARNING) for part in parts_of(note) if part.startswith(WARNING)]
