"""Which format reads a file, by the ending of its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def format_by_ending(endings: Mapping[str, Sequence[str]], path: Path) -> str | None:
    """The format that claims the ending of a file's name, in any capitals; of several, the longest ending wins.

    endings: lower case, by format. None: no format claims it.
    """
    name = path.name.lower()
    claims = [(len(ending), form) for form, claimed in endings.items() for ending in claimed if name.endswith(ending)]
    return max(claims)[1] if claims else None
