"""An open cohort from PhysioNet, file by file through `wfdb`, each checked against its published checksum."""

import hashlib
import os
import re
from pathlib import Path

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
    staging.mkdir(parents=True, exist_ok=True)
    database = source.physionet.partition("/")[0]
    _fetch(database, staging, [SUMS], raw)
    listed = _listed(staging / SUMS)
    wanted = {name: sha for name, sha in listed.items() if re.search(source.files, name)}
    missing = [name for name in wanted if not (raw / name).is_file()]
    for name in missing:
        if not (staging / name).is_file() or _sha(staging / name) != wanted[name]:
            _fetch(database, staging, [name], raw)
        if _sha(staging / name) != wanted[name]:
            (staging / name).unlink()
            raise UserError(f"{raw / name}: came as another file than was published; run the same command again")
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staging / name, raw / name)
    return f"{raw}: {len(missing)} files fetched, {len(wanted) - len(missing)} there before ({source.licence})"


def _fetch(database: str, folder: Path, names: list[str], raw: Path) -> None:
    import wfdb  # here: it brings pandas along

    try:
        wfdb.dl_files(database, str(folder), names)
    except Exception as error:  # of the network, in whatever form
        why = type(error).__name__
        raise UserError(
            f"{raw}: {names[0]} cannot be fetched from PhysioNet ({why}); the same command goes on from here"
        ) from None


def _listed(path: Path) -> dict[str, str]:
    """Checksum by file name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name.strip(): sha for sha, _, name in (line.partition(" ") for line in lines) if name.strip()}


def _sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
