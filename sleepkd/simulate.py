"""`python -m sleepkd.simulate --out RAW --nights 10 --hours 8 --seed 0`: a simulated cohort in MASS's layout."""

import argparse
from dataclasses import replace
from pathlib import Path

from sleepkd.errors import run_command
from sleepkd.simulation.cohort import CHANNELS, write_cohort
from sleepkd.simulation.population import Population, read_population


def main(arguments: list[str] | None = None) -> int:
    """Write a cohort and say where."""
    parser = argparse.ArgumentParser(prog="python -m sleepkd.simulate", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--hours", type=float, default=8.0, help="length of each recording (0.25 to 24)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="nights at a time (about 1 GB of memory each)")
    parser.add_argument(
        "--channels",
        choices=CHANNELS,
        default="full",
        help="needed: C3, C4, the ear and the ECG only; beats: no signal",
    )
    parser.add_argument("--rate", type=int, default=256, help="samples per second")
    parser.add_argument("--scorers", type=int, default=1, help="people who score each night, and disagree as people do")
    parser.add_argument(
        "--population", type=Path, help="a YAML of whom to draw from (sleepkd/simulation/population.py)"
    )
    parser.add_argument("--difficulty", type=float, help="how far sleepers differ from one another (1: as people do)")
    parser.add_argument("--apnea", type=float, metavar="SHARE", help="how many of them have sleep apnea")
    args = parser.parse_args(arguments)
    population = read_population(args.population) if args.population else Population()
    if args.difficulty is not None:
        population = replace(population, difficulty=args.difficulty)
    if args.apnea is not None:
        population = replace(population, apnea_share=args.apnea)
    paths = write_cohort(
        args.out, args.nights, args.hours, args.seed, args.jobs, args.channels, args.rate, args.scorers, population
    )
    print(f"{args.out}: {len(paths)} recordings of {args.hours:g} h in MASS's layout, with participants.tsv and truth/")
    return 0


if __name__ == "__main__":
    run_command(main)
