"""python -m sleepkd.predict NIGHT [NIGHT …] --out DIR: stage anyone's recording.

A NIGHT is an EDF, EDF+ or BDF file, a WFDB header, a table (CSV, TSV, npz) of samples or of beats, an export of Polar
or of Apple Health, or a folder of these. No labels and no EEG are needed. Each night gets a folder with hypnogram.csv,
hypnogram.edf (EDF+ annotations), summary.json and night.png; index.html shows all. A file that cannot be staged is
named with the reason, and the others go on.

    python -m sleepkd.predict night.edf --out staged                            # by the network that comes with it
    python -m sleepkd.predict night.edf --out staged --checkpoint runs/4class/night_ecg/best.pt
    python -m sleepkd.predict ecg.csv --fs 250 --channel ecg --out staged
    python -m sleepkd.predict rr.csv --beats --out staged --abstain-below 0.6
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from sleepkd.errors import EXIT_USER_ERROR, UserError, run_command
from sleepkd.files import write_text_atomically
from sleepkd.prediction.model import Model, load
from sleepkd.prediction.recorded import FORMATS, Reading, read_recording

OF_FOLDERS = {suffix for suffix in FORMATS if suffix != ".txt"} | {".xml"}


def main(arguments: list[str] | None = None) -> int:
    """Stage every night; exit code 2 where none could be, 1 where some could not."""
    args = _parse(arguments)
    model = load(args.checkpoint)
    reading = Reading(args.channel or args.column, args.fs, args.beats, args.start)
    paths = list(_files(args.nights))
    named = _folders(paths)
    done, refused = [], {}
    for path in tqdm(paths, desc="predict", unit="night", disable=None):
        try:
            done.append(_one(path, model, reading, args.out / named[path], args.abstain_below))
        except UserError as error:
            refused[str(path)] = str(error).removeprefix(f"{path}: ")
            tqdm.write(f"error: {error}", file=sys.stderr)
    if done:
        from sleepkd.prediction.outputs import index_page

        write_text_atomically(args.out / "index.html", index_page(done, refused, model.about))
        print("\n".join(model.about))
        print(f"{len(done)} of {len(paths)} staged; {args.out / 'index.html'}")
    return (1 if done else EXIT_USER_ERROR) if refused else 0


def _one(path: Path, model: Model, reading: Reading, folder: Path, abstain_below: float) -> tuple:
    """Stage one file and write its folder: what the page says of it."""
    from sleepkd.prediction.outputs import (
        summary_of,
        write_night,
    )  # with YASA and matplotlib, after what can be refused

    recorded = read_recording(path, model.trained.inputs, reading)
    staged = model.stage(recorded.night, abstain_below)
    about = {"source": path.name, "model": model.trained.path.name, "about": model.about}
    picture = write_night(folder, staged, recorded, about)
    return folder.name, summary_of(staged), picture


def _files(given: list[Path]) -> Iterator[Path]:
    """The files given, and those of known kinds in the folders given. Raises UserError where one is not there."""
    for path in given:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in OF_FOLDERS and file.is_file())
            if not found:
                raise UserError(f"{path}: holds no recording ({', '.join(sorted(OF_FOLDERS))})")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise UserError(f"{path}: no such file or folder")


def _folders(paths: list[Path]) -> dict[Path, str]:
    """What each night's folder is called: by its file, and by its folders too where two have one name."""
    stems = Counter(path.stem for path in paths)
    above = Path(os.path.commonpath([path.parent.resolve() for path in paths]))

    def whole(path: Path) -> str:
        return "-".join(path.resolve().relative_to(above).parts)

    return {path: path.stem if stems[path.stem] == 1 else whole(path) for path in paths}


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sleepkd.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("nights", nargs="+", type=Path, metavar="NIGHT", help="a file, or a folder of files")
    parser.add_argument("--out", type=Path, required=True, help="a folder per night, and index.html")
    parser.add_argument(
        "--checkpoint", type=Path, help="a trained network (best.pt), or one of sleepkd's: night, tuned"
    )
    parser.add_argument("--channel", default="", help="the ECG's channel or column: a name, or a regular expression")
    parser.add_argument("--column", default="", help="the same as --channel, for tables")
    parser.add_argument("--fs", type=float, help="samples per second, for tables without a column of times")
    parser.add_argument("--beats", action="store_true", help="the files hold beat times, RR intervals or heart rate")
    parser.add_argument("--start", type=float, default=0.0, help="second of the recording where sleep epochs begin")
    parser.add_argument(
        "--abstain-below",
        type=float,
        default=0.0,
        metavar="P",
        help="leave unscored what is less sure than this (0 to 1)",
    )
    args = parser.parse_args(arguments)
    if args.fs is not None and not args.fs > 0:
        raise UserError("--fs: must be positive")
    if not 0 <= args.abstain_below < 1:
        raise UserError("--abstain-below: must be at least 0 and below 1")
    if not args.start >= 0:
        raise UserError("--start: must be 0 or more")
    return args


if __name__ == "__main__":
    run_command(main)
