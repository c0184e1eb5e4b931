"""Command-line options that both studies share."""

import argparse
from pathlib import Path

from sleepkd.errors import UserError
from sleepkd.evaluation.scores.bootstrap import DRAWS

EXIT_FAILED = 1  # a run failed: the table lacks it


def add_study_options(parser: argparse.ArgumentParser, out: str) -> None:
    """Add the options of runs, results and statistics. out: the default folder."""
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED", help="training seeds")
    parser.add_argument(
        "--overlay", nargs="+", default=[], metavar="YAML",
        help="overlays of every run, as for --config; PATTERN=YAML for matching rows, for example 'night_*=mine.yaml'",
    )  # fmt: skip
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="settings of every run"
    )
    parser.add_argument("--nproc", type=int, default=1, metavar="N", help="processes per training run")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs side by side, of different seeds or splits"
    )
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help="folder of runs, results and table")
    parser.add_argument("--draws", type=int, default=DRAWS, metavar="N", help="bootstrap samples")
    parser.add_argument("--dry-run", action="store_true", help="print the training commands and stop")


def add_folds_option(parser: argparse.ArgumentParser) -> None:
    """Add the number of folds of one store, which `check_folds` checks."""
    parser.add_argument(
        "--folds", type=int, default=0, metavar="K", help="folds of a cross-validation by subject; 0: the store's split"
    )


def check_folds(args: argparse.Namespace) -> None:
    """Raise UserError for a single fold, or a negative number of them."""
    if args.folds and args.folds < 2:
        raise UserError("--folds: must be at least 2 (or 0: the store's own split)")


def check_at_least(args: argparse.Namespace, **minima: int) -> None:
    """Raise UserError naming the option whose value, or smallest value, is below its minimum."""
    for option, minimum in {"nproc": 1, "jobs": 1, "draws": 1, "seeds": 0, **minima}.items():
        value = getattr(args, option)
        if (min(value) if isinstance(value, list) else value) < minimum:
            raise UserError(f"--{option}: must be at least {minimum}")
