"""Two tables for the nights of a run: nights and sleep epochs. Written in parts, so that an interrupted run resumes."""

import contextlib
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sleepkd.errors import UserError
from sleepkd.files import lock_folder
from sleepkd.prediction.many.file_state import FileState
from sleepkd.prediction.many.night_rows import FAILED, NightRows, Row, epoch_columns, night_columns
from sleepkd.prediction.many.table_files import FORMATS, TableFiles, default_format

PART_NIGHTS, PART_SECONDS = 256, 60.0
"""A part is written after so many nights or seconds: a run that is killed loses no more."""
NIGHTS, EPOCHS = "nights", "epochs"
KNOWN_COLUMNS = {
    "recording": str,
    "status": str,
    "path": str,
    "bytes": int,
    "changed_ns": int,
    "checksum": str,
    "weights": str,
    "options": str,
}


@dataclass(frozen=True)
class KnownRecording:
    """A recording that the tables hold: what it was staged from and with. failed: it, or one of its nights, failed."""

    path: str
    state: FileState
    checksum: str
    weights: str
    options: str
    failed: bool
    staged: int


class NightTables:
    """The tables of a run, or of one shard of it, in a folder: nights and epochs, as .parquet or .csv.

    shard: (i, n), whose tables are nights-i-of-n and epochs-i-of-n; None: the whole run. form: "parquet" or "csv"; None
    takes that of the tables in the folder, else the default. class_names: the sleep stages of the network.
    Rows of a recording replace those that it had. Raises UserError: another run writes to them, or tables of another
    format or of other stages are there.
    """

    def __init__(self, folder: Path, shard: tuple[int, int] | None, form: str | None, class_names: Sequence[str]):
        self._suffix = shard_suffix(shard)
        self.form = form or _form_in(folder, self._suffix) or default_format()
        self._files: TableFiles = FORMATS[self.form]()
        self._columns = {NIGHTS: night_columns(class_names), EPOCHS: epoch_columns(class_names)}
        self._folder, self._parts = folder, folder / f"parts{self._suffix}"
        self._check_earlier()
        self._parts.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(self._parts, "choose another --out")
        self._number = max((int(path.name.split(".")[0]) for path in self._written(NIGHTS)), default=0)
        self._waiting: list[NightRows] = []
        self._flushed_at = time.monotonic()

    def table(self, name: str) -> Path:
        """The path of the table `NIGHTS` or `EPOCHS`."""
        return self._folder / f"{name}{self._suffix}{self._files.ending}"

    def known(self) -> dict[str, KnownRecording]:
        """The recordings that the tables hold, by name."""
        found: dict[str, KnownRecording] = {}
        for path in self._sources():
            rows_of: dict[str, list[Row]] = defaultdict(list)
            for row in self._files.rows(path, KNOWN_COLUMNS):
                rows_of[row["recording"]].append(row)
            found |= {name: _known(rows) for name, rows in rows_of.items()}
        return found

    def add(self, rows: NightRows) -> None:
        """Add the rows of a recording; they are on disk after `PART_SECONDS` or less, or at `close`."""
        self._waiting.append(rows)
        if (
            sum(len(one.nights) for one in self._waiting) >= PART_NIGHTS
            or time.monotonic() - self._flushed_at >= PART_SECONDS
        ):
            self.flush()

    def flush(self) -> None:
        """Write what was added as a part: sleep epochs first, so that a part is whole once its nights are there."""
        self._flushed_at = time.monotonic()
        if not self._waiting:
            return
        self._number += 1
        nights = [night for rows in self._waiting for night in rows.nights]
        epochs = [night for rows in self._waiting for night in rows.epochs]
        columns = self._columns[EPOCHS]
        joined: dict[str, list[Any]] = {
            name: [x for night in epochs for x in (night.get(name) or [None] * len(night["night"]))] for name in columns
        }
        self._files.write(self._part(EPOCHS), columns, joined)
        columns = self._columns[NIGHTS]
        self._files.write(self._part(NIGHTS), columns, {name: [row.get(name) for row in nights] for name in columns})
        self._waiting = []

    def close(self) -> None:
        """Join the parts to the two tables, and remove them."""
        self.flush()
        if self._written(NIGHTS) or not self.table(NIGHTS).is_file():  # a shard may have no recording
            nights, latest = self._sources(), self._latest()
            stale = [{name for name, last in latest.items() if last > k} for k in range(len(nights))]
            for name in (EPOCHS, NIGHTS):  # nights last: until they are there, the same parts are joined again
                sources = [path.with_name(path.name.replace(NIGHTS, name)) for path in nights]
                target = self.table(name)
                joined = target.with_name(f"{target.name}.new")
                self._files.join(list(zip(sources, stale, strict=True)), joined, self._columns[name])
            for name in (EPOCHS, NIGHTS):
                target = self.table(name)
                target.with_name(f"{target.name}.new").replace(target)
        self._lock.close()
        shutil.rmtree(self._parts)

    def release(self) -> bool:
        """Let another run write to the tables; parts stay, for the same command to resume. Whether there are any."""
        self._lock.close()
        if self._written(NIGHTS):
            return True
        shutil.rmtree(self._parts)
        return False

    def rows(self) -> Iterator[Row]:
        """The rows of the table of nights."""
        yield from self._files.rows(self.table(NIGHTS), self._columns[NIGHTS])

    def _part(self, name: str) -> Path:
        return self._parts / f"{self._number:06d}.{name}{self._files.ending}"

    def _written(self, name: str) -> list[Path]:
        return sorted(self._parts.glob(f"[0-9]*.{name}{self._files.ending}"))

    def _sources(self) -> list[Path]:
        """The tables of nights, the earliest first."""
        table = self.table(NIGHTS)
        return [*([table] if table.is_file() else []), *self._written(NIGHTS)]

    def _latest(self) -> dict[str, int]:
        """Which source holds the rows of each recording that count: the last one."""
        return {
            row["recording"]: k
            for k, path in enumerate(self._sources())
            for row in self._files.rows(path, {"recording": str})
        }

    def _check_earlier(self) -> None:
        for path in self._sources():
            earlier = set(self._files.column_names(path))
            if earlier != set(self._columns[NIGHTS]):
                differ = ", ".join(sorted(earlier ^ set(self._columns[NIGHTS]))[:4])
                raise UserError(
                    f"{path}: has other columns ({differ}): it is of a network of other stages or of another version; "
                    "choose another --out"
                )
        with contextlib.suppress(StopIteration):
            other = next(x for x in FORMATS if x != self.form and x == _form_in(self._folder, self._suffix))
            raise UserError(f"{self._folder}: holds tables as {other}; take --format {other}, or another --out")


def shard_suffix(shard: tuple[int, int] | None) -> str:
    """Of the names of a shard's tables: "-1-of-4"."""
    return "" if shard is None else f"-{shard[0]}-of-{shard[1]}"


def _form_in(folder: Path, suffix: str) -> str | None:
    """The format of the tables, or of their parts, in a folder; None without."""
    for form, files in FORMATS.items():
        parts = (folder / f"parts{suffix}").glob(f"[0-9]*.{NIGHTS}{files.ending}")
        if (folder / f"{NIGHTS}{suffix}{files.ending}").is_file() or any(parts):
            return form
    return None


def _known(rows: Sequence[Row]) -> KnownRecording:
    first = rows[0]
    failed = sum(row["status"] == FAILED for row in rows)
    return KnownRecording(
        first["path"] or "",
        FileState(first["bytes"] or 0, first["changed_ns"] or 0),
        first["checksum"] or "",
        first["weights"] or "",
        first["options"] or "",
        failed > 0,
        len(rows) - failed,
    )
