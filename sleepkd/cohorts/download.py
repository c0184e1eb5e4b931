"""Download an open cohort from PhysioNet through `wfdb`, each file checked against its published checksum.

The version is the one that the dataset YAML names, not the newest, because labels are read as that version writes them.
"""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

from sleepkd.cohorts.layout import Cohort
from sleepkd.errors import UserError
from sleepkd.extras import require_extra

SUMS = "SHA256SUMS.txt"
STAGING = ".incomplete"


def download(cohort: Cohort, raw: Path) -> str:
    """Download the files of a cohort that a folder lacks; returns a line on it. Resumes an interrupted download.

    Files are downloaded into RAW/.incomplete and moved when they are complete.
    Raises UserError: a cohort that is not on PhysioNet, no network, a file with another checksum.
    """
    source = cohort.source
    if source is None or not source.physionet:
        where = f"it is available from {source.where} ({source.licence})" if source else "its YAML names no source"
        raise UserError(f"--download: {cohort.name} is not on PhysioNet; {where}")
    staging = raw / STAGING
    try:
        staging.mkdir(parents=True, exist_ok=True)
        (staging / SUMS).unlink(missing_ok=True)  # it may be of another version
    except OSError as error:
        raise UserError(f"{staging}: cannot be written: {error.strerror}") from None
    _fetch(source.physionet, staging, SUMS, raw)
    listed = _listed(staging / SUMS)
    wanted = {name: sha for name, sha in listed.items() if re.search(source.files, name)}
    missing = [name for name in wanted if not (raw / name).is_file()]
    for name in missing:
        staged = staging / name
        if not staged.is_file() or _sha(staged) != wanted[name]:
            staged.unlink(missing_ok=True)  # wfdb would append to it, even if the server sends the whole file again
            _fetch(source.physionet, staging, name, raw)
        if _sha(staged) != wanted[name]:
            staged.unlink()
            raise UserError(f"{raw / name}: its checksum is not the published one; run the same command again")
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged, raw / name)
    return f"{raw}: {len(missing)} files downloaded, {len(wanted) - len(missing)} present before ({source.licence})"


def _fetch(version: str, folder: Path, name: str, raw: Path) -> None:
    """One file of name/version."""
    require_extra("wfdb", "prepare", "--download")
    from wfdb.io import download as physionet  # here: it imports pandas

    subfolder, _, file = name.rpartition("/")
    (folder / subfolder).mkdir(parents=True, exist_ok=True)
    try:
        # Not dl_files, which always takes the newest version.
        physionet.dl_pn_file([file, subfolder, version, str(folder), True, False])
    except Exception as error:  # the network fails in many ways
        why = type(error).__name__
        raise UserError(
            f"{raw}: {name} cannot be downloaded from PhysioNet ({why}); the same command resumes here"
        ) from None


def _listed(path: Path) -> dict[str, str]:
    """Checksums by file name. Raises UserError for a name outside the folder."""
    parts = [line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines()]
    listed = {name.strip(): sha for sha, _, name in parts if name.strip()}
    for name in listed:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"{path}: names {name!r}, which lies outside the cohort; nothing is downloaded")
    return listed


def _sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
