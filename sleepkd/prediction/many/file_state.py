"""Whether a recording's files have changed since they were staged: their size, time of change and checksum."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sleepkd.checkpoints.temperature import temperature_path
from sleepkd.prediction.model import Model

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class FileState:
    """Size in bytes and time of the last change, ns since 1970, of the files of a recording; 0 for missing ones."""

    size: int
    changed_ns: int


def recording_files(path: Path) -> list[Path]:
    """The files of a recording: those that a WFDB header names, too, at any depth."""
    files = [path]
    if path.suffix.lower() == ".hea":
        for named in _named_in_header(path):
            header = path.with_name(f"{named}.hea")
            more = recording_files(header) if header != path and header.is_file() else [path.with_name(named)]
            files += [file for file in more if file.is_file()]
    return list(dict.fromkeys(files))


def file_state(path: Path) -> FileState:
    """The state of a recording's files, without reading its samples."""
    try:
        found = [file.stat() for file in recording_files(path)]
    except OSError:
        return FileState(0, 0)
    return FileState(sum(x.st_size for x in found), max(x.st_mtime_ns for x in found))


def checksum_of(path: Path) -> str:
    """SHA-256 of a recording's files, in order; "" if one cannot be read. Of a single file, that of `sha256sum`."""
    try:
        return _sha256(recording_files(path))
    except OSError:
        return ""


def weights_checksum(model: Model) -> str:
    """SHA-256 of the weights that may stage a recording, and of their temperatures."""
    paths = [one.trained.path for one in (model, *model.others)]
    return _sha256([file for path in paths for file in (path, temperature_path(path)) if file.is_file()])


def _sha256(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def _named_in_header(path: Path) -> list[str]:
    """The first word of each line of a WFDB header but the first: a file of samples, or a segment."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    return [line.split()[0] for line in lines[1:]]
