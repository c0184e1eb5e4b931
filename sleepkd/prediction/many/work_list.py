"""The recordings of a run: from files, folders, globs or a manifest; each with a name of its own."""

import csv
import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sleepkd.cohorts.beats.device_folder import device_recording
from sleepkd.errors import UserError
from sleepkd.prediction.night_files import sorted_files
from sleepkd.prediction.recorded import ENDINGS, ReadingOptions
from sleepkd.progress import print_beside

FOLDER_ENDINGS = tuple(sorted(ending for ending in ENDINGS if not ending.startswith(".txt")))
"""Files of a folder that are staged. Many other things are .txt, so those are given by name."""
MANIFEST_COLUMNS = ("path", "id", "channel", "fs", "beats", "start", "motion")


@dataclass(frozen=True)
class ListedRecording:
    """A file to stage, and what a user states about it. name: its own among all of a run.

    folder: where its files are written; None: its nights are rows of tables only.
    """

    name: str
    path: Path
    options: ReadingOptions
    folder: Path | None = None


def listed_files(given: Sequence[Path], options: ReadingOptions) -> list[ListedRecording]:
    """The files given, those that globs match, and the recordings in the folders given; each file once.

    Raises UserError: no such file, an empty folder.
    """
    paths = list(dict.fromkeys(_files(given)))
    names = _names(paths)
    return [ListedRecording(names[path], path, options) for path in paths]


def listed_night(given: Sequence[Path], options: ReadingOptions) -> ListedRecording:
    """The files given, or those in a folder, as one night, named after the folder or the file of its heartbeats.

    Raises UserError: no such file, no heartbeats and no signals, several files of heartbeats.
    """
    is_folder = len(given) == 1 and given[0].is_dir()
    paths = [path for path in sorted(given[0].iterdir()) if path.is_file()] if is_folder else list(_files(given))
    main, beside = sorted_files(paths, options.beats)
    name = given[0].resolve().name if is_folder else main.stem
    return ListedRecording(name, main, replace(options, beside=(*options.beside, *beside)))


def listed_in_manifest(manifest: Path, options: ReadingOptions) -> list[ListedRecording]:
    """The recordings of a CSV with the columns path, id, channel, fs, beats, start, motion; all but path may miss.

    Relative paths count from the manifest's folder. An empty cell stands for the option of the command. A file that
    does not exist is listed. Raises UserError: no manifest, a cell that is not a number, an id or a path given twice.
    """
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = [name.strip() for name in rows.fieldnames or ()]
            rows.fieldnames = columns
            if "path" not in columns:
                raise UserError(f"{manifest}: has no column path; it has {', '.join(columns) or 'no line'}")
            found = [_of_row(manifest, rows.line_num, row, options) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{manifest}: is not a manifest: {error}") from None
    if unused := [name for name in columns if name not in MANIFEST_COLUMNS]:
        print_beside(f"{manifest}: columns that are not read: {', '.join(unused)}")
    if not found:
        raise UserError(f"{manifest}: lists no recording")
    for what, values in (("path", [item.path for item in found]), ("id", [item.name for item in found if item.name])):
        if twice := [str(value) for value, count in Counter(values).items() if count > 1]:
            raise UserError(f"{manifest}: lists the {what} {twice[0]} twice")
    names = _names([item.path for item in found if not item.name])
    listed = [item if item.name else replace(item, name=names[item.path]) for item in found]
    if len({item.name for item in listed}) < len(listed):
        raise UserError(f"{manifest}: an id is the name of another file; give every recording an id")
    return listed


def share_of(listed: Sequence[ListedRecording], shard: tuple[int, int] | None) -> list[ListedRecording]:
    """Every n-th recording from the i-th; shard: (i, n) from 1, None for all."""
    return list(listed if shard is None else listed[shard[0] - 1 :: shard[1]])


def _of_row(
    manifest: Path, line: int, row: Mapping[str | None, str | None], options: ReadingOptions
) -> ListedRecording:
    """A row of a manifest; its name is "" without an id."""
    cells = {name: (row.get(name) or "").strip() for name in MANIFEST_COLUMNS}
    where = f"{manifest}: line {line}"
    if not cells["path"]:
        raise UserError(f"{where}: has no path")
    beats = cells["beats"].lower()
    if beats not in ("", "0", "1", "true", "false", "yes", "no"):
        raise UserError(f"{where}: beats: must be true or false, not {cells['beats']}")
    stated = ReadingOptions(
        cells["channel"] or options.channel,
        _number(where, "fs", cells["fs"], options.rate_hz),
        options.beats if not beats else beats in ("1", "true", "yes"),
        _number(where, "start", cells["start"], options.start_s) or 0.0,
        (manifest.parent / cells["motion"],) if cells["motion"] else options.beside,
    )
    if stated.start_s < 0 or (stated.rate_hz is not None and stated.rate_hz <= 0):
        raise UserError(f"{where}: fs must be positive, start 0 or more")
    if "/" in cells["id"]:
        raise UserError(f"{where}: id {cells['id']}: must not hold a slash")
    return ListedRecording(cells["id"], manifest.parent / cells["path"], stated)


def _number(where: str, name: str, text: str, default: float | None) -> float | None:
    try:
        return float(text) if text else default
    except ValueError:
        raise UserError(f"{where}: {name}: must be a number, not {text}") from None


def _files(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            found = list(_recordings_below(path))
            if not found:
                raise UserError(f"{path}: holds no recording ({', '.join(FOLDER_ENDINGS)})")
            yield from found
        elif path.is_file():
            yield path
        elif glob.has_magic(str(path)):
            matched = sorted(Path(name) for name in glob.iglob(str(path), recursive=True))
            if not matched:
                raise UserError(f"{path}: matches no file")
            yield from _files(matched)
        else:
            raise UserError(f"{path}: no such file or folder")


def _recordings_below(folder: Path) -> Iterator[Path]:
    """The recordings in a folder and below, in order of their paths; of a device's folder, one file."""
    if recording := device_recording(folder):
        yield recording
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _recordings_below(path)
        elif path.is_file() and path.name.lower().endswith(FOLDER_ENDINGS):
            yield path


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """The name of each recording: the file's stem, or its relative path if two files share a stem."""
    if not paths:
        return {}
    stems = Counter(path.stem for path in paths)
    resolved = {folder: folder.resolve() for folder in {path.parent for path in paths}}
    parent = Path(os.path.commonpath(list(resolved.values())))

    def relative(path: Path) -> str:
        return "-".join((resolved[path.parent] / path.name).relative_to(parent).parts)

    return {path: path.stem if stems[path.stem] == 1 else relative(path) for path in paths}
