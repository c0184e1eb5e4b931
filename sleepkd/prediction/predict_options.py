"""The options of `sleepkd predict`, and what they may not be."""

import argparse
from pathlib import Path

from sleepkd.errors import UserError
from sleepkd.prediction.chosen_nights import WHICH_NIGHTS
from sleepkd.prediction.many.table_files import FORMATS

FOLDERS = "folders"
TIMEOUT_S = 900.0
OF_TABLES = ("--shard", "--cluster", "--figures", "--retry", "--overwrite")
"""Options that mean tables, also without --format."""


def parse_predict(arguments: list[str] | None, description: str | None) -> argparse.Namespace:
    """The options of a command line. Raises UserError for impossible or contradictory ones."""
    parser = argparse.ArgumentParser(
        prog="sleepkd predict", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_input(parser)
    _add_staging(parser)
    _add_many(parser)
    args = parser.parse_args(arguments)
    if not args.recordings and args.manifest is None:
        parser.error("the following arguments are required: FILE, or --manifest")
    if args.out is None and not args.explain:
        parser.error("the following arguments are required: --out")
    _check(args)
    args.nights = args.nights or ("whole" if args.start else "last")
    of_tables = {name: value for name in OF_TABLES if (value := getattr(args, name.removeprefix("--")))}
    if args.format == FOLDERS and of_tables:
        raise UserError(f"--format folders: goes without {', '.join(of_tables)}, which need tables")
    args.tables = args.format in FORMATS or bool(of_tables)
    return args


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recordings", nargs="*", type=Path, metavar="FILE", help="recording, folder of recordings, or glob ('*/*.edf')"
    )
    parser.add_argument(
        "--motion",
        type=Path,
        metavar="FILE",
        help="movement of the night (activity counts or acceleration), aligned by clock; for a network that reads it",
    )
    parser.add_argument(
        "--one-night",
        action="store_true",
        help="the FILEs, or those of the folder, are of one night: heartbeats, and sensors beside them",
    )
    parser.add_argument(
        "--manifest",
        type=Path,
        metavar="CSV",
        help="recordings as rows of a CSV: path; and, in place of the options, id, channel, fs, beats, start, motion",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="output: a folder per night, and index.html; needed unless --explain"
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


def _add_staging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="trained network: best.pt, or hf://OWNER/NAME of the Hugging Face Hub; default: of those that ship, the "
        "one with the highest kappa on such input",
    )
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


def _add_many(parser: argparse.ArgumentParser) -> None:
    many = parser.add_argument_group("many recordings (docs/many_nights.md)")
    many.add_argument(
        "--format",
        choices=(FOLDERS, *FORMATS),
        help="output: a folder per night (default), or one table of nights and one of sleep epochs, which resume; "
        "with the options below but --jobs and --timeout: tables, as Parquet if pyarrow is installed",
    )
    many.add_argument(
        "--figures",
        nargs="+",
        default=None,
        metavar=("first", "N"),
        help="with tables, also a folder with night.png for the first N recordings, or for all",
    )
    many.add_argument("--jobs", type=int, default=1, metavar="PROCESSES", help="parallel processes (default 1)")
    many.add_argument("--shard", type=shard_option, metavar="I/N", help="every N-th recording, from the I-th")
    many.add_argument(
        "--cluster",
        metavar="ADDRESS|YAML",
        help="Dask scheduler (tcp://host:8786), or a YAML of one to start under Slurm, PBS or LSF",
    )
    many.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help=f"time limit of one recording in a process of its own (default {TIMEOUT_S:g})",
    )
    many.add_argument("--retry", choices=("failed",), help="stage the recordings of the tables again that failed")
    many.add_argument("--overwrite", action="store_true", help="stage the recordings again that the tables hold")


def shard_option(text: str) -> tuple[int, int]:
    """The share "i/n" of an array job. Raises ArgumentTypeError for another text."""
    share, _, of = text.partition("/")
    if not (share.isdigit() and of.isdigit() and 1 <= int(share) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: 1/4 is the first of four")
    return int(share), int(of)


def figures_of(stated: list[str] | None) -> float:
    """How many recordings get a folder besides their rows: `--figures first 20`, or `all` (infinity)."""
    if not stated:
        return 0
    if stated == ["all"]:
        return float("inf")
    if len(stated) == 2 and stated[0] == "first" and stated[1].isdecimal():
        return int(stated[1])
    raise UserError(f"--figures: must be all, or first N, not {' '.join(stated)}")


def _check(args: argparse.Namespace) -> None:
    if args.fs is not None and not args.fs > 0:
        raise UserError("--fs: must be positive")
    if not 0 <= args.abstain_below < 1:
        raise UserError("--abstain-below: must be at least 0 and below 1")
    if not args.start >= 0:
        raise UserError("--start: must be 0 or more")
    if args.jobs < 1 or not args.timeout > 0:
        raise UserError("--jobs and --timeout: must be positive")
    if args.cluster and args.jobs > 1:
        raise UserError("--jobs: is for one machine; the cluster's workers are as many as it has")
    figures_of(args.figures)
    if args.one_night and args.manifest:
        raise UserError("--one-night: goes without --manifest, whose rows are nights; its column motion names movement")
    if args.motion and not args.motion.is_file():
        raise UserError(f"--motion: {args.motion}: no such file")
    if args.motion and not args.one_night and (args.manifest or len(args.recordings) > 1):
        raise UserError("--motion: is of one recording; for several, a manifest with a column motion")
