"""`sleepkd simulate --out raw --nights 10 --hours 8`: write a simulated cohort in the layout of MASS."""

import argparse
from dataclasses import replace
from pathlib import Path

from sleepkd.data.averaged_rate import DEVICES
from sleepkd.errors import UserError, run_command
from sleepkd.extras import require_extra
from sleepkd.simulation.mass_layout import CHANNEL_SETS
from sleepkd.simulation.population import Population, read_population
from sleepkd.simulation.sensor_channels import SENSOR_KINDS

DESCRIPTION = """Simulated whole-night polysomnography in the layout of MASS: EDF+ recordings with scored sleep stages,
participants.tsv, and truth/ with the true heartbeats and sleep stages."""


SLEEPER_OPTIONS = {
    "nights": 10, "hours": 8.0, "scorers": 1, "device": None, "population": None, "difficulty": None, "apnea": None,
    "sensors": (),
}  # fmt: skip
"""The options that describe simulated sleepers, with their defaults."""


def main(arguments: list[str] | None = None) -> int:
    """Write a simulated cohort and print its folder."""
    args = _parse(arguments)
    require_extra("edfio", "evaluate", "sleepkd simulate")
    if args.cardiac:
        return _half_real(args)
    from sleepkd.simulation.cohort import write_cohort  # --help needs no EDF library

    population = read_population(args.population) if args.population else Population()
    if args.difficulty is not None:
        population = replace(population, difficulty=args.difficulty)
    if args.apnea is not None:
        population = replace(population, apnea_share=args.apnea)
    paths = write_cohort(
        args.out,
        args.nights,
        args.hours,
        args.seed,
        args.jobs,
        args.channels,
        args.rate,
        args.scorers,
        population,
        DEVICES[args.device] if args.device else None,
        args.sensors,
    )
    print(f"{args.out}: {len(paths)} recordings of {args.hours:g} h in the layout of MASS, participants.tsv and truth/")
    return 0


def _half_real(args: argparse.Namespace) -> int:
    """Write half-real nights. Raises UserError naming an option that only simulated sleepers have."""
    from sleepkd.simulation.half_real import write_half_real

    for name in SLEEPER_OPTIONS:
        if getattr(args, name) != SLEEPER_OPTIONS[name]:
            raise UserError(f"--{name}: does not go with --cardiac, which takes the nights of the store; leave it out")
    paths = write_half_real(args.cardiac, args.out, args.seed, args.jobs, args.channels, args.rate)
    print(f"{args.out}: {len(paths)} half-real recordings: heartbeats and labels of {args.cardiac}, simulated signals")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sleepkd simulate", description=DESCRIPTION)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="output folder, new or empty")
    parser.add_argument(
        "--cardiac", type=Path, metavar="STORE",
        help="half-real nights: the heartbeats and labels of the labelled nights of a store, with simulated EEG, EOG, "
        "EMG and, around heartbeats, ECG",
    )  # fmt: skip
    parser.add_argument("--nights", type=int, default=10, metavar="COUNT", help="number of recordings (default: 10)")
    parser.add_argument(
        "--hours",
        type=float,
        default=8.0,
        metavar="HOURS",
        help="length of each recording in hours, 0.25 to 24 (default: 8)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="SEED", help="random seed, 0 or more (default: 0)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="PROCESSES",
        help="parallel processes, about 1 GB of memory each (default: 1)",
    )
    parser.add_argument(
        "--channels", choices=CHANNEL_SETS, default="full", metavar="SET",
        help="full: EEG, EOG, EMG and ECG; needed: only the EEG and ECG channels that staging uses; "
        "beats: heartbeat times, no signals (default: full)",
    )  # fmt: skip
    parser.add_argument(
        "--sensors", nargs="+", choices=SENSOR_KINDS, default=(), metavar="KIND",
        help=f"more sensors: {', '.join(SENSOR_KINDS)}; motion is a table of activity counts, the others are "
        "channels of the PSG file (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--device", choices=DEVICES, metavar="NAME",
        help="averaged heart rate of a device, beside the signals or in place of heartbeat times; strap: every second; "
        "watch: averages of 10 s every 5 s; band: averages of 60 s every 60 s; whole numbers",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=int, default=256, metavar="HZ", help="sampling rate in Hz, from 128 (default: 256)"
    )
    parser.add_argument(
        "--scorers",
        type=int,
        default=1,
        metavar="COUNT",
        help="scorers per night, with human inter-rater disagreement (default: 1)",
    )
    parser.add_argument(
        "--population", type=Path, metavar="FILE", help="YAML file of trait distributions (keys: docs/simulation.md)"
    )
    parser.add_argument(
        "--difficulty",
        type=float,
        metavar="FACTOR",
        help="factor on the differences between and within subjects (default: 1)",
    )
    parser.add_argument(
        "--apnea", type=float, metavar="SHARE", help="share of subjects with sleep apnea, 0 to 1 (default: 0.25)"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
