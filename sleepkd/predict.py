"""Sleep staging of recordings: ECG, heartbeats or heart rate in, hypnogram and sleep statistics out.

    sleepkd predict night.edf --out staged                      # by the network that ships with sleepkd
    sleepkd predict night.edf --out staged --checkpoint runs/4class/night_ecg/best.pt
    sleepkd predict ecg.csv --fs 250 --channel ecg --out staged
    sleepkd predict rr.csv --beats --out staged --abstain-below 0.6
    sleepkd predict rr.csv --explain                            # what each column was taken for; stages nothing

A recording is an EDF, EDF+ or BDF file, a WFDB header, a table (CSV, TSV, npz) of samples or of beats, an export of
Polar or Apple Health, or a folder of these. No labels and no EEG are needed. Each night gets a folder with
hypnogram.csv, hypnogram.edf (EDF+ annotations), summary.json and night.png; index.html shows all nights. Of a recording
of days, the last night is staged, or all with --nights all. A file that cannot be staged is reported with the reason,
and the others are staged. Not a medical device.
"""

import argparse
import os
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sleepkd.cohorts.beats.device_folder import device_recording
from sleepkd.errors import EXIT_USER_ERROR, UserError, run_command
from sleepkd.extras import require_extra
from sleepkd.files import write_text_atomically
from sleepkd.prediction.chosen_nights import WHICH_NIGHTS, ChosenNight, chosen_nights
from sleepkd.prediction.explain import explained
from sleepkd.prediction.judged import given_input
from sleepkd.prediction.model import NOT_MEDICAL, Model, load_model
from sleepkd.prediction.recorded import ENDINGS, ReadingOptions, opened, read_file
from sleepkd.progress import print_beside, track

if TYPE_CHECKING:
    from sleepkd.prediction.outputs import NightReport

FOLDER_ENDINGS = tuple(sorted(ending for ending in ENDINGS if not ending.startswith(".txt")))
"""Files of a folder that are staged. Many other things are .txt, so those are given by name."""


def main(arguments: list[str] | None = None) -> int:
    """Stage every recording; exit code 2 if none could be staged, 1 if some could not."""
    args = _parse(arguments)
    require_extra("edfio", "evaluate", "sleepkd predict")
    require_extra("matplotlib", "evaluate", "sleepkd predict")
    require_extra("yasa", "evaluate", "sleepkd predict")
    model = load_model(args.checkpoint)
    options = ReadingOptions(args.channel, args.fs, args.beats, args.start)
    paths = list(_files(args.recordings))
    if args.explain:
        return _explain(paths, model, options, args.debug)
    folders = _folder_names(paths)
    staged: list[NightReport] = []
    rejected: dict[str, str] = {}
    for path in track(paths, "predict", len(paths), "night"):
        try:
            _stage_file(path, model, options, args, args.out / folders[path], staged)
        except Exception as error:  # one file may not end the run
            rejected[str(path)] = _report(path, error, args.debug)
    if staged:
        from sleepkd.prediction.outputs import index_page  # imports matplotlib

        about = _about(staged)
        write_text_atomically(args.out / "index.html", index_page(staged, rejected, about))
        print("\n".join(about))
        print(f"{len(staged)} of {len(staged) + len(rejected)} staged; {args.out / 'index.html'}")
    return (1 if staged else EXIT_USER_ERROR) if rejected else 0


def reason_of(error: Exception) -> str:
    """Why a file was not staged, in a line. An error that no one foresaw is named as a fault of sleepkd."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"could not be staged, a fault of sleepkd ({what[:200]}); --debug shows where, please report it"


def _report(path: Path, error: Exception, debug: bool) -> str:
    """Print the reason why a file was not staged, and with `debug` the traceback; returns the reason."""
    if debug:
        print_beside(traceback.format_exc().rstrip())
    reason = reason_of(error).removeprefix(f"{path}: ")
    print_beside(f"error: {path}: {reason}")
    return reason


def _explain(paths: Sequence[Path], model: Model, options: ReadingOptions, debug: bool) -> int:
    """Print what each recording was taken for; exit code as `main`."""
    read = 0
    for path in paths:
        try:
            lines = explained(read_file(path, model.trained.inputs, options))
        except Exception as error:  # one file may not end the run
            _report(path, error, debug)
            continue
        print("\n  ".join([f"{path}:", *lines]))
        read += 1
    return 0 if read == len(paths) else 1 if read else EXIT_USER_ERROR


def _stage_file(
    path: Path,
    model: Model,
    options: ReadingOptions,
    args: argparse.Namespace,
    folder: Path,
    staged: list["NightReport"],
) -> None:
    """Stage the chosen nights of a file, each into a folder, and append them to `staged`.

    Raises UserError at the end, naming the nights of several that cannot be staged.
    """
    failed = []
    for night in chosen_nights(path, model.trained.inputs, options, args.nights):
        name = night.folder_name(folder.name) if args.nights == "all" else folder.name
        try:
            staged.append(_stage_night(night, model, options, folder.with_name(name), args.abstain_below))
        except UserError as error:
            if args.nights != "all":
                raise
            failed.append(f"{night.when}: {str(error).removeprefix(f'{path}: ')}")
    if failed:
        raise UserError(f"{path}: {'; '.join(failed)}")


def _stage_night(
    chosen: ChosenNight, model: Model, options: ReadingOptions, folder: Path, abstain_below: float
) -> "NightReport":
    """Stage one night with the network that fits its input best, and write its folder."""
    from sleepkd.prediction.outputs import write_night  # imports matplotlib and YASA

    recording, path = chosen.recording, chosen.recording.path
    for note in recording.beat_report.notes if recording.beat_report else ():
        print_beside(f"{path}: {note}")
    given = given_input(recording)
    model = model.best_for(given)
    night = opened(recording, model.trained.inputs, options.start_s)
    staged = model.stage(night.night, abstain_below)
    judged = model.judged(given)
    when = f"{chosen.when}; " if chosen.when else ""
    if judged.warning:
        print_beside(f"WARNING: {path}: {when}{judged.warning}")
    else:
        print_beside(f"{path}: {when}{judged.text}")
    about = {**chosen.facts, "source": path.name, "model": model.trained.path.name, "about": model.about}
    return write_night(folder, staged, night, judged, about, chosen.when)


def _about(staged: Sequence["NightReport"]) -> list[str]:
    """What is known of the networks that staged some nights, each line once."""
    lines = dict.fromkeys(line for night in staged for line in night.summary["about"])
    return [*(line for line in lines if line != NOT_MEDICAL), NOT_MEDICAL]


def _files(given: Sequence[Path]) -> Iterator[Path]:
    """The files given, and the recordings in the folders given. Raises UserError: no such file, an empty folder."""
    for path in given:
        if path.is_dir():
            found = list(_recordings_below(path))
            if not found:
                raise UserError(f"{path}: holds no recording ({', '.join(FOLDER_ENDINGS)})")
            yield from found
        elif path.is_file():
            yield path
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


def _folder_names(paths: Sequence[Path]) -> dict[Path, str]:
    """The output folder of each recording: the file's stem, or its relative path if two files share a stem."""
    stems = Counter(path.stem for path in paths)
    parent = Path(os.path.commonpath([path.parent.resolve() for path in paths]))

    def relative(path: Path) -> str:
        return "-".join(path.resolve().relative_to(parent).parts)

    return {path: path.stem if stems[path.stem] == 1 else relative(path) for path in paths}


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sleepkd predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recordings", nargs="+", type=Path, metavar="FILE", help="recording, or folder of recordings")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="output: a folder per night, and index.html; needed unless --explain"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="trained network (best.pt); default: of those that ship, the one with the highest kappa on such input",
    )
    parser.add_argument(
        "--channel",
        default="",
        metavar="NAME",
        help="channel or column of the ECG: its name, NAME#2 for the second of one name, its number from 1, or a "
        "regular expression; default: of those named like an ECG, the one with the best heartbeats",
    )
    parser.add_argument("--column", dest="channel", metavar="NAME", help="the same as --channel")
    parser.add_argument("--fs", type=float, metavar="HZ", help="sampling rate of a table without a column of times, Hz")
    parser.add_argument("--beats", action="store_true", help="files of beat times, RR intervals or heart rate")
    parser.add_argument(
        "--nights",
        choices=WHICH_NIGHTS,
        help="nights of a recording of more than 16 h to stage: the last, all (each in a folder of its own), or the "
        "recording as a whole; default: last, or whole with --start",
    )
    parser.add_argument(
        "--start", type=float, default=0.0, metavar="SECONDS", help="onset of the first sleep epoch, s; default: 0"
    )
    parser.add_argument(
        "--abstain-below",
        type=float,
        default=0.0,
        metavar="CONFIDENCE",
        help="confidence, 0 to 1, below which a sleep epoch is left unscored; default: 0",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="print what each recording was taken for (columns, units, cadence, gaps, date), and stage nothing",
    )
    parser.add_argument("--debug", action="store_true", help="print the traceback of every file that is not staged")
    args = parser.parse_args(arguments)
    if args.out is None and not args.explain:
        parser.error("the following arguments are required: --out")
    if args.fs is not None and not args.fs > 0:
        raise UserError("--fs: must be positive")
    if not 0 <= args.abstain_below < 1:
        raise UserError("--abstain-below: must be at least 0 and below 1")
    if not args.start >= 0:
        raise UserError("--start: must be 0 or more")
    args.nights = args.nights or ("whole" if args.start else "last")
    return args


if __name__ == "__main__":
    run_command(main)
