"""python -m sleepkd.prepare --dataset mass --raw RAW --out STORE: a cohort's recordings into a store, and its split."""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

from sleepkd.cohorts.batch import FAILED, MENDED, SUMMARY, Outcome, mend_all, prepare_all, summary_lines, write_summary
from sleepkd.cohorts.describe import describe
from sleepkd.cohorts.download import download
from sleepkd.cohorts.find import Found, find_recordings
from sleepkd.cohorts.ingest import Options
from sleepkd.cohorts.layout import NONE, load_cohort
from sleepkd.cohorts.remarks import warnings_of
from sleepkd.data.splits import PARTS, draw_split, write_split
from sleepkd.data.store import Store, StoreSettings, read_settings
from sleepkd.data.store_writing import create_store, write_settings
from sleepkd.errors import EXIT_USER_ERROR, UserError, run_command
from sleepkd.files import write_bytes_atomically

DEFAULT_SPLIT = "default"
EXIT_WARNED = 1


def main(arguments: list[str] | None = None) -> int:
    """Prepare all recordings found, or mend a store; exit code 2 where any is skipped, 1 where any warns (--strict)."""
    args = _parse(arguments)
    if args.describe:
        print(describe(args.describe), end="")
        return 0
    return _mend(args) if args.mend else _prepare(args)


def _prepare(args: argparse.Namespace) -> int:
    cohort = load_cohort(args.dataset)
    if args.ecg_polarity:
        cohort = replace(cohort, ecg_polarity=args.ecg_polarity)
    if cohort.format == NONE and args.no_beats:
        raise UserError(f"--no-beats: cohort {cohort.name} has nothing but beats")
    if args.download:
        print(download(cohort, args.raw))
        if args.out is None:
            return 0
    found = _share(find_recordings(cohort, args.raw), args.shard)
    settings = StoreSettings(cohort.name, args.rate, args.resample)
    create_store(args.out, settings)
    if (participants := args.raw / "participants.tsv").is_file():  # evaluate.py groups its scores by it
        write_bytes_atomically(args.out / participants.name, participants.read_bytes())
    options = Options(cohort, settings, not args.no_beats, args.allow_unscored, args.gaps == "keep", args.eog_emg)
    outcomes = prepare_all(args.out, options, found, args.jobs, args.again)
    if args.shard:
        share, of = args.shard
        code = _tell(args.out / f"summary-{share}-of-{of}.tsv", outcomes, args.strict)
        print("when all shares lie in one folder, the same command without --shard draws the split")
        return code
    code = _tell(args.out / SUMMARY, outcomes, args.strict)
    if any(outcome.status not in FAILED for outcome in outcomes):
        _split(args.out, tuple(args.split), args.split_seed)
    return code


def _share(found: Found, shard: tuple[int, int] | None) -> Found:
    """Every n-th of the recordings found."""
    if shard is None:
        return found
    share, of = shard
    return Found(found.recordings[share - 1 :: of], found.unclear if share == 1 else [])


def _mend(args: argparse.Namespace) -> int:
    settings = read_settings(args.mend)
    code = _tell(args.mend / MENDED, mend_all(args.mend, not args.no_beats, args.jobs), strict=False)
    if code:
        print(f"{args.mend}: stays as it was until all its recordings are mended; prepare those anew, or delete them")
    else:
        write_settings(args.mend, settings)  # last: until here, it is a store of the format before
    return code


def _tell(path: Path, outcomes: list[Outcome], strict: bool) -> int:
    """Write the table of all recordings and print a summary; returns the exit code."""
    write_summary(path, outcomes)
    print("\n".join(summary_lines(path, outcomes)))
    if any(outcome.status in FAILED for outcome in outcomes):
        return EXIT_USER_ERROR
    return EXIT_WARNED if strict and any(warnings_of(outcome.note) for outcome in outcomes) else 0


def _split(path: Path, shares: tuple[float, float, float], seed: int) -> None:
    """Draw the store's default split, unless it has one (a person may have edited it)."""
    folder = path / "splits" / DEFAULT_SPLIT
    if folder.is_dir():
        print(f"{folder}: kept as it is; delete it and run again to draw another")
        return
    store = Store(path)
    parts = draw_split(store, shares, seed)
    write_split(folder, parts, f"shares {json.dumps(shares)}, seed {seed}, by subject within subset")
    print(f"{folder}: " + ", ".join(f"{part} {len(recordings)}" for part, recordings in parts.items()))
    empty = [part for part, share in zip(PARTS, shares, strict=True) if share > 0 and not parts[part]]
    if empty:
        subjects = {info.subject for info in map(store.info, store.recordings) if info.scoring}
        print(
            f"{folder}: nothing for {' and '.join(empty)}, too few subjects have labels ({len(subjects)}); "
            "prepare more, delete this folder and run again, or write its text files by hand"
        )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sleepkd.prepare", description=__doc__)
    parser.add_argument("--dataset", help="a name in configs/datasets, or a dataset YAML")
    parser.add_argument("--raw", type=Path, help="folder with the cohort's files, at any depth")
    parser.add_argument("--out", type=Path, help="the store to write or to add to")
    parser.add_argument("--jobs", type=int, default=1, help="recordings at a time (about 1 GB of memory each)")
    parser.add_argument("--rate", type=float, default=200.0, help="samples per second of the store (default 200)")
    parser.add_argument(
        "--resample",
        choices=("whole_night", "each_window"),
        default="whole_night",
        help="each_window: keep the recorded rate and resample window by window on reading, as released",
    )
    parser.add_argument("--ecg-polarity", choices=("auto", "as_recorded", "inverted"), help="over the dataset YAML's")
    parser.add_argument("--no-beats", action="store_true", help="do not detect or store heart beats")
    parser.add_argument(
        "--allow-unscored", action="store_true", help="prepare recordings whose scoring file is missing, without labels"
    )
    parser.add_argument(
        "--eog-emg", action="store_true", help="store EOG and chin EMG too, for stagers of other libraries (yasa)"
    )
    parser.add_argument(
        "--gaps",
        choices=("refuse", "keep"),
        default="refuse",
        help="keep: prepare interrupted recordings, each part where it belongs and the gaps masked",
    )
    parser.add_argument("--strict", action="store_true", help="exit code 1 where anything had to be warned of")
    parser.add_argument("--shard", type=_shard, metavar="I/N", help="every N-th recording from the I-th on")
    parser.add_argument("--again", action="store_true", help="prepare recordings anew that the store already holds")
    parser.add_argument("--split", type=float, nargs=3, default=(0.8, 0.1, 0.1), metavar=("TRAIN", "VAL", "TEST"))
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument(
        "--mend",
        type=Path,
        metavar="STORE",
        help="instead: add what a store of an earlier version lacks, from its own signals (with --jobs, --no-beats)",
    )
    parser.add_argument(
        "--download", action="store_true", help="first fetch the cohort into RAW (an open one, from PhysioNet)"
    )
    parser.add_argument(
        "--describe", type=Path, metavar="FOLDER", help="instead: print a first dataset YAML for unknown recordings"
    )
    args = parser.parse_args(arguments)
    if args.download and args.dataset and args.raw is None:
        args.raw = Path(Path(args.dataset).stem)
    given = {"--dataset": args.dataset, "--raw": args.raw, "--out": args.out}
    if (args.mend or args.describe) and any(given.values()):
        raise UserError("--mend and --describe go without --dataset, --raw and --out")
    lacking = [name for name, value in given.items() if not value and not (args.download and name == "--out")]
    if lacking and not args.mend and not args.describe:
        parser.error(f"the following arguments are required: {', '.join(lacking)}")
    if args.jobs < 1 or not 0 < args.rate < math.inf:
        raise UserError("--jobs and --rate must be positive")
    if not (min(args.split) >= 0 and abs(sum(args.split) - 1) <= 1e-6):
        raise UserError(f"--split: the three shares must not be negative and add up to 1, are {args.split}")
    return args


def _shard(text: str) -> tuple[int, int]:
    share, _, of = text.partition("/")
    if not (share.isdigit() and of.isdigit() and 1 <= int(share) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is no share: 1/4 is the first of four")
    return int(share), int(of)


if __name__ == "__main__":
    run_command(main)
