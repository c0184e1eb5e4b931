"""Join the tables of staged nights of several shards, or of several folders, to one table of nights and one of epochs.

    sleepkd merge staged                       # of all shards in a folder of sleepkd predict --shard
    sleepkd merge site_a site_b --out all

Every night is there once: a recording in two of the tables, or a shard that is missing, is reported.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from sleepkd.data.hypnogram import CLASS_NAMES
from sleepkd.errors import UserError, run_command
from sleepkd.files import write_text_atomically
from sleepkd.prediction.many.night_rows import FAILED, epoch_columns, night_columns
from sleepkd.prediction.many.night_tables import EPOCHS, NIGHTS
from sleepkd.prediction.many.nights_page import nights_page
from sleepkd.prediction.many.table_files import FORMATS, KEY, TableFiles
from sleepkd.prediction.model import NOT_MEDICAL

SHARD = re.compile(rf"{NIGHTS}-(\d+)-of-(\d+)")
EXIT_INCOMPLETE = 1


def main(arguments: list[str] | None = None) -> int:
    """Join the tables; exit code 1 if a shard is missing or a recording failed."""
    args = _parse(arguments)
    form, paths, missing = _tables(args.folders)
    files = FORMATS[form]()
    names = files.column_names(paths[0])
    classes = next((names_of for names_of in CLASS_NAMES.values() if names == list(night_columns(names_of))), None)
    for path in paths:
        if classes is None or files.column_names(path) != names:
            raise UserError(f"{path}: has other columns than {paths[0]}, or is of another version of sleepkd")
    assert classes is not None
    _check_once(files, paths)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, columns in ((EPOCHS, epoch_columns(classes)), (NIGHTS, night_columns(classes))):
        sources = [(path.with_name(path.name.replace(NIGHTS, name, 1)), ()) for path in paths]
        files.join(sources, args.out / f"{name}{files.ending}", columns)
    table = args.out / f"{NIGHTS}{files.ending}"
    rows = list(files.rows(table, {"status": str, "model": str}))
    models = sorted({row["model"] for row in rows if row["model"]})
    about = [f"Staged by {', '.join(models)}.", NOT_MEDICAL]
    page = nights_page(files.rows(table, night_columns(classes)), classes, about)
    write_text_atomically(args.out / "index.html", page)
    failed = sum(row["status"] == FAILED for row in rows)
    print(f"{len(paths)} tables, {len(rows) - failed} nights staged, {failed} failed; {table}")
    print("".join(f"missing: {name}\n" for name in missing), end="")
    return EXIT_INCOMPLETE if missing or failed else 0


def _tables(folders: Sequence[Path]) -> tuple[str, list[Path], list[str]]:
    """The format and the tables of nights in some folders, and the shards that are missing.

    Raises UserError: no tables, shards of different counts, both formats, parts of a run that has not ended.
    """
    found: dict[str, list[Path]] = {form: [] for form in FORMATS}
    missing = []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
        if unfinished := sorted(folder.glob("parts*/[0-9]*")):
            raise UserError(f"{unfinished[0].parent}: is of a run that has not ended; run its command again first")
        before = sum(map(len, found.values()))
        for form, files in FORMATS.items():
            shards = {path: match for path in folder.iterdir() if (match := SHARD.fullmatch(path.stem))}
            shards = {path: match for path, match in shards.items() if path.suffix == files.ending}
            counts = {int(match[2]) for match in shards.values()}
            if len(counts) > 1:
                raise UserError(f"{folder}: holds shards of {' and of '.join(map(str, sorted(counts)))}: keep one kind")
            of_number = {int(match[1]): path for path, match in shards.items()}
            whole = folder / f"{NIGHTS}{files.ending}"
            found[form] += [of_number[k] for k in sorted(of_number)] or ([whole] if whole.is_file() else [])
            for count in counts:
                missing += [f"{folder}/{NIGHTS}-{k}-of-{count}" for k in range(1, count + 1) if k not in of_number]
        if sum(map(len, found.values())) == before:
            raise UserError(f"{folder}: holds no tables of sleepkd predict ({NIGHTS}.parquet, {NIGHTS}.csv)")
    forms = [form for form, paths in found.items() if paths]
    if len(forms) > 1:
        raise UserError(f"{found[forms[1]][0]}: is CSV, {found[forms[0]][0]} is Parquet; merge one format")
    return forms[0], found[forms[0]], missing


def _check_once(files: TableFiles, paths: Sequence[Path]) -> None:
    """Raise UserError for a recording in two tables."""
    seen: dict[str, Path] = {}
    for path in paths:
        for name in dict.fromkeys(row[KEY] for row in files.rows(path, {KEY: str})):
            if name in seen:
                raise UserError(f"{path}: holds {name}, as {seen[name]} does; give each recording an id of its own")
            seen[name] = path


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sleepkd merge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="output of sleepkd predict, as tables")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: the folder, if one is given")
    args = parser.parse_args(arguments)
    if args.out is None:
        if len(args.folders) > 1:
            parser.error("the following arguments are required: --out")
        args.out = args.folders[0]
    return args


if __name__ == "__main__":
    run_command(main)
