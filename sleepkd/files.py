"""Atomic writes, so that a reader sees the old file or the new one, and a lock, so that one run writes to a folder."""

import fcntl
import os
from pathlib import Path
from typing import TextIO

from sleepkd.errors import UserError


def write_bytes_atomically(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name in the same folder, then rename it. Makes the folder if it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: str | Path, text: str) -> None:
    """`write_bytes_atomically` for UTF-8 text."""
    write_bytes_atomically(path, text.encode("utf-8"))


def lock_folder(folder: Path, advice: str) -> TextIO:
    """Lock a folder until the returned file is closed or this process ends. Raises UserError if another run holds it.

    advice: what to do then, besides waiting.
    """
    file = (folder / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{folder}: another run is writing here; wait for it, or {advice}") from None
    return file
