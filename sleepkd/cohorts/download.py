"""An open cohort from PhysioNet, file by file through `wfdb`, each checked against its published checksum.

The version is the one that the dataset YAML names, whatever came after it: labels are read as that version writes them.
"""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

from sleepkd.cohorts.layout import Cohort
from sleepkd.errors import UserError

SUMS = "SHA256SUMS.txt"
STAGING = ".incomplete"


def download(cohort: Cohort, raw: Path) -> str:
    """Fetch what a folder lacks of a cohort; returns a line on it. The same call goes on where one was interrupted.

    Files come into RAW/.incomplete and get their own name once they are whole. Raises UserError: a cohort that is not
    on PhysioNet, no network, a file that is not what was published.
    """
    source = cohort.source
    if source is None or not source.physionet:
        where = f"it is to be had from {source.where} ({source.licence})" if source else "its YAML names no source"
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
        came = staging / name
        if not came.is_file() or _sha(came) != wanted[name]:
            came.unlink(missing_ok=True)  # wfdb appends to half a file, wrongly where a server sends the whole again
            _fetch(source.physionet, staging, name, raw)
        if _sha(came) != wanted[name]:
            came.unlink()
            raise UserError(f"{raw / name}: came as another file than was published; run the same command again")
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(came, raw / name)
    return f"{raw}: {len(missing)} files fetched, {len(wanted) - len(missing)} there before ({source.licence})"


def _fetch(version: str, folder: Path, name: str, raw: Path) -> None:
    """One file of name/version."""
    from wfdb.io import download as physionet  # here: it brings pandas along

    subfolder, _, file = name.rpartition("/")
    (folder / subfolder).mkdir(parents=True, exist_ok=True)
    try:
        # Not dl_files, which always takes the newest version.
        physionet.dl_pn_file([file, subfolder, version, str(folder), True, False])
    except Exception as error:  # of the network, in whatever form
        why = type(error).__name__
        raise UserError(
            f"{raw}: {name} cannot be fetched from PhysioNet ({why}); the same command goes on from here"
        ) from None


def _listed(path: Path) -> dict[str, str]:
    """Checksum by file name. Raises UserError where a name leads out of the folder."""
    parts = [line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines()]
    listed = {name.strip(): sha for sha, _, name in parts if name.strip()}
    for name in listed:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError(f"{path}: names {name!r}, which lies outside the cohort; nothing is fetched")
    return listed


def _sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
