"""`python -m sleepkd.simulate --out RAW --nights 10 --hours 8 --seed 0`: a simulated cohort in MASS's layout."""

import argparse
from pathlib import Path

from sleepkd.errors import run_command
from sleepkd.simulation.cohort import CHANNELS, write_cohort


def main(arguments: list[str] | None = None) -> int:
    """Write a cohort and say where."""
    parser = argparse.ArgumentParser(prog="python -m sleepkd.simulate", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--hours", type=float, default=8.0, help="length of each recording (0.25 to 24)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="nights at a time (about 1 GB of memory each)")
    parser.add_argument("--channels", choices=CHANNELS, default="full", help="needed: C3, C4, the ear and the ECG only")
    parser.add_argument("--rate", type=int, default=256, help="samples per second")
    args = parser.parse_args(arguments)
    paths = write_cohort(args.out, args.nights, args.hours, args.seed, args.jobs, args.channels, args.rate)
    print(f"{args.out}: {len(paths)} recordings of {args.hours:g} h in MASS's layout, with participants.tsv and truth/")
    return 0


if __name__ == "__main__":
    run_command(main)
