"""Preparation of a cohort: its recordings as a store, and a split of its subjects.

    sleepkd prepare --dataset mass --raw MASS --out store
    sleepkd prepare --dataset slpdb --download --out store
    sleepkd prepare --describe FOLDER > mine.yaml

Each recording becomes a line of summary.tsv: prepared, kept from before, or skipped with the reason. A recording is
written completely or not at all, and the same command resumes where it was interrupted. docs/cohorts.md describes
dataset YAMLs.
"""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

from sleepkd.cohorts.batch import FAILED, SUMMARY, Outcome, prepare_all, summary_lines, write_summary
from sleepkd.cohorts.describe import describe
from sleepkd.cohorts.download import download
from sleepkd.cohorts.find import FoundRecordings, find_recordings
from sleepkd.cohorts.ingest import PrepareOptions
from sleepkd.cohorts.layout import NONE, Cohort, load_cohort
from sleepkd.cohorts.remarks import warnings_of
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.splits import PARTS, draw_split, write_split
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store
from sleepkd.errors import EXIT_USER_ERROR, UserError, run_command
from sleepkd.extras import require_extra
from sleepkd.files import write_bytes_atomically

DEFAULT_SPLIT = "default"
EXIT_WARNED = 1
EOG_EMG = ("eog", "emg")
"""Kinds that the option --eog-emg of earlier versions stores."""


def main(arguments: list[str] | None = None) -> int:
    """Prepare all recordings of a folder; exit code 2 if any is skipped, 1 if any warns (--fail-on-warning)."""
    args = _parse(arguments)
    if args.describe:
        print(describe(args.describe), end="")
        return 0
    cohort = load_cohort(args.dataset)
    if args.ecg_polarity:
        cohort = replace(cohort, ecg_polarity=args.ecg_polarity)
    if args.download:
        print(download(cohort, args.raw))
        if args.out is None:
            return 0
    return _prepare(args, cohort)


def _prepare(args: argparse.Namespace, cohort: Cohort) -> int:
    on_request = _on_request(args, cohort)
    if cohort.format == NONE and args.no_beats and not on_request:
        raise UserError(f"--no-beats: cohort {cohort.name} has nothing but heartbeats")
    if not args.no_beats and any(SIGNAL_KINDS[name].has_heartbeats for name in cohort.signals):
        require_extra("sleepecg", "prepare", "sleepkd prepare without --no-beats")
    if not args.no_beats and cohort.pulse_beats:
        require_extra("neurokit2", "ppg", f"heartbeats from the PPG of {cohort.name} (else --no-beats)")
    found = _share(find_recordings(cohort, args.raw), args.shard)
    settings = StoreSettings(cohort.name, args.rate, args.resample)
    create_store(args.out, settings)
    if (participants := args.raw / "participants.tsv").is_file():  # evaluate.py groups its scores by it
        write_bytes_atomically(args.out / participants.name, participants.read_bytes())
    options = PrepareOptions(cohort, settings, not args.no_beats, args.allow_unscored, args.gaps == "keep", on_request)
    outcomes = prepare_all(args.out, options, found, args.jobs, args.overwrite)
    if args.shard:
        share, of = args.shard
        code = _report(args.out / f"summary-{share}-of-{of}.tsv", outcomes, args.fail_on_warning)
        print("once all shares are in one folder, the same command without --shard draws the split")
        return code
    code = _report(args.out / SUMMARY, outcomes, args.fail_on_warning)
    if any(outcome.status not in FAILED for outcome in outcomes):
        print(_known_sleepers(args.out))
        _split(args.out, tuple(args.split), args.split_seed)
    return code


def _on_request(args: argparse.Namespace, cohort: Cohort) -> tuple[str, ...]:
    """The kinds that --signals names. Raises UserError for an unknown one, and for one that the dataset YAML lacks."""
    kinds = _kinds_on_request()
    for name in args.signals:
        if name not in kinds:
            raise UserError(f"--signals {name}: must be one of {', '.join(kinds)}")
        known = {*cohort.signals, *cohort.sensor_files, *(x for s in cohort.subsets.values() for x in s.signals)}
        if name not in known:
            raise UserError(f"--signals {name}: cohort {cohort.name} has no derivation of it; add signals.{name}")
    return (*args.signals, *(EOG_EMG if args.eog_emg else ()))


def _kinds_on_request() -> list[str]:
    """The kinds of signals that are stored only if --signals names them."""
    return [name for name, kind in SIGNAL_KINDS.items() if kind.on_request]


def _share(found: FoundRecordings, shard: tuple[int, int] | None) -> FoundRecordings:
    """Every n-th of the recordings found."""
    if shard is None:
        return found
    share, of = shard
    return FoundRecordings(found.recordings[share - 1 :: of], found.unclear if share == 1 else [])


def _report(path: Path, outcomes: list[Outcome], fail_on_warning: bool) -> int:
    """Write the table of all recordings and print a summary; returns the exit code."""
    write_summary(path, outcomes)
    print("\n".join(summary_lines(path, outcomes)))
    if any(outcome.status in FAILED for outcome in outcomes):
        return EXIT_USER_ERROR
    return EXIT_WARNED if fail_on_warning and any(warnings_of(outcome.note) for outcome in outcomes) else 0


def _known_sleepers(path: Path) -> str:
    """Of how many recordings of a store age, sex and the time of day are known, in words."""
    store = Store(path)
    infos = [store.info(recording) for recording in store.recordings]
    age, sex = sum(info.age is not None for info in infos), sum(info.sex is not None for info in infos)
    start = sum(bool(info.start_time) for info in infos)
    return f"{path}: of {len(infos)} recordings, the age of {age}, the sex of {sex}, the time of day of {start} known"


def _split(path: Path, shares: tuple[float, float, float], seed: int) -> None:
    """Draw the default split of a store, unless it has one, which a person may have edited."""
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
    parser = argparse.ArgumentParser(
        prog="sleepkd prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", metavar="YAML", help="dataset YAML, or the name of one in configs/datasets")
    parser.add_argument("--raw", type=Path, metavar="FOLDER", help="folder of the cohort's files, at any depth")
    parser.add_argument("--out", type=Path, metavar="STORE", help="folder of the store to create or to extend")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="PROCESSES", help="parallel processes of about 1 GB each (default 1)"
    )
    parser.add_argument(
        "--rate", type=float, default=200.0, metavar="HZ", help="sampling rate of the store, Hz (default 200)"
    )
    parser.add_argument(
        "--resample",
        choices=("whole_night", "each_window"),
        default="whole_night",
        help="resampling: of the whole night before storing (default), or of each window when it is read, as released",
    )
    parser.add_argument(
        "--signals",
        nargs="+",
        default=[],
        metavar="KIND",
        help=f"kinds of signals to store besides those that are always stored: {', '.join(_kinds_on_request())}",
    )
    parser.add_argument(
        "--ecg-polarity",
        choices=("auto", "as_recorded", "inverted"),
        help="polarity of every ECG, in place of the dataset YAML's",
    )
    parser.add_argument("--no-beats", action="store_true", help="no detection and no storage of heartbeats")
    parser.add_argument(
        "--allow-unscored", action="store_true", help="unlabelled recordings in place of missing scoring files"
    )
    parser.add_argument(
        "--gaps",
        choices=("refuse", "keep"),
        default="refuse",
        help="interrupted recordings: skipped (default), or kept with their gaps masked",
    )
    parser.add_argument("--fail-on-warning", action="store_true", help="exit code 1 if any recording has a warning")
    parser.add_argument("--shard", type=_shard, metavar="I/N", help="every N-th recording, from the I-th")
    parser.add_argument("--overwrite", action="store_true", help="preparation again of recordings that the store holds")
    parser.add_argument(
        "--split",
        type=float,
        nargs=3,
        default=(0.8, 0.1, 0.1),
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="shares of the subjects in the default split (0.8 0.1 0.1)",
    )
    parser.add_argument("--split-seed", type=int, default=0, metavar="SEED", help="seed of the default split (0)")
    parser.add_argument(
        "--download", action="store_true", help="download of an open cohort from PhysioNet into the folder --raw first"
    )
    parser.add_argument(
        "--describe", type=Path, metavar="FOLDER", help="instead: a first dataset YAML for a folder of recordings"
    )
    for alias, option in (("--again", "overwrite"), ("--strict", "fail_on_warning"), ("--eog-emg", "eog_emg")):
        parser.add_argument(alias, dest=option, action="store_true", help=argparse.SUPPRESS)  # of earlier versions
    args = parser.parse_args(arguments)
    if args.download and args.dataset and args.raw is None:
        args.raw = Path(Path(args.dataset).stem)
    _check(parser, args)
    return args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse options that are missing, impossible or contradictory."""
    given = {"--dataset": args.dataset, "--raw": args.raw, "--out": args.out}
    if args.describe:
        if any(given.values()):
            raise UserError("--describe: goes without --dataset, --raw and --out")
        return
    missing = [name for name, value in given.items() if not value and not (args.download and name == "--out")]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    if args.jobs < 1 or not 0 < args.rate < math.inf:
        raise UserError("--jobs and --rate must be positive")
    if not (min(args.split) >= 0 and abs(sum(args.split) - 1) <= 1e-6):
        raise UserError(f"--split: the three shares must not be negative and add up to 1, are {args.split}")


def _shard(text: str) -> tuple[int, int]:
    share, _, of = text.partition("/")
    if not (share.isdigit() and of.isdigit() and 1 <= int(share) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: 1/4 is the first of four")
    return int(share), int(of)


if __name__ == "__main__":
    run_command(main)
