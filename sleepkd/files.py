"""Atomic writes: a reader sees the old file or the new one, never a part of it."""

import os
from pathlib import Path


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
