"""Evaluate checkpoints on held-out nights: scores with intervals, predictions per sleep epoch, figures, report.html.

    python evaluate.py --checkpoint runs/4class/feat_temp/best.pt --out results
    python evaluate.py --checkpoint runs/4class/*/best.pt --out results --split test
    python evaluate.py --compare A.pt B.pt --out results                         # B minus A, paired by recording
    python evaluate.py --compare A1.pt A2.pt --with B1.pt B2.pt --out results    # ... and by training seed
    python evaluate.py --checkpoint best.pt --out results --calibrate            # then, and later: --temperature
    torchrun --nproc_per_node=4 evaluate.py --checkpoint … --out …

Under torchrun the segments are shared out, and each scored sleep epoch counts once. docs/evaluation.md: what is written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.data.nights import open_nights
from sleepkd.data.data_settings import Source
from sleepkd.data.segments import Segments
from sleepkd.settings import Config
from sleepkd.checkpoints.trained import TrainedNetwork, checkpoint_of, load_trained
from sleepkd.distributed import Processes
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.teacher_student.inside import Evaluated
from sleepkd.evaluation.inference import predict
from sleepkd.evaluation.runs import Again, Protocol, Run, check_same_classes, name_runs, name_sides
from sleepkd.evaluation.scores.calibration import fit_temperature
from sleepkd.evaluation.scores.groups import participants_of
from sleepkd.provenance import launch_command, shown
from sleepkd.checkpoints.temperature import read_temperature, write_temperature

AT_A_TIME = {"epochs": 256, "night": 4}


def main() -> int:
    """Evaluate each checkpoint into its own folder: --out itself for one, a folder of it for each of several."""
    args = _parse()
    # What is wrong with the input is found here, before the first prediction and long before the first file.
    given = [[load_trained(path) for path in side] for side in args.sides]
    if args.inputs:
        given = [[trained.with_inputs(args.inputs) for trained in side] for side in given]
    sides = name_sides(*given, args.out) if args.compare else name_runs(given[0], args.out)
    runs = [run for side in sides for run in side]
    companions = {} if args.only_scores else companions_of(sides, args)
    networks = {network.path: network for of_run in companions.values() for network in of_run.values()}
    networks |= {run.trained.path: run.trained for run in runs}
    segments = {path: windows_of(network, args.store, args.split) for path, network in networks.items()}
    validation = {run: windows_of(run.trained, args.store, "validation") for run in runs if args.calibrate}
    temperatures = {run: read_temperature(run.trained.path) for run in runs if args.temperature and not args.calibrate}
    participants = participants_of(
        args.participants, args.store or [source.store for source in runs[0].trained.config.data.sources]
    )

    processes = Processes(args.device)
    with processes.group():
        for run, unseen in validation.items():
            nights = predict(run.trained, unseen, processes, rows_at_a_time(run.trained, args))
            if processes.is_first:
                fitted = fit_temperature(nights)
                write_temperature(run.trained.path, fitted)
                temperatures |= {run: fitted["temperature"]} if args.temperature else {}
                print(f"{run.name}: temperature {fitted['temperature']:.3f} of the validation nights", flush=True)
        seen = {
            path: Evaluated(
                network, segments[path], predict(network, segments[path], processes, rows_at_a_time(network, args))
            )
            for path, network in networks.items()
        }
        if processes.is_first:
            from sleepkd.evaluation.results import write_all  # with YASA and matplotlib: on this process only

            protocol = Protocol(args.split, participants, args.draws, args.seed)
            again = None
            if not args.only_scores:
                lineage = dict.fromkeys(path for run in runs for path in _lineage(run.trained))
                again = Again(tuple(lineage), _command(processes))
            lines = write_all(sides, seen, companions, temperatures, protocol, args.out, bool(args.compare), again)
            for line in lines:
                print(line, flush=True)
        processes.wait()
    return 0


def windows_of(trained: TrainedNetwork, stores: Sequence[str] | None, part: str) -> Segments:
    """The nights of one part of the stores' splits, read as the checkpoint's network was trained to see them.

    stores: others than those that it was trained on; of each the default split is used. Nights without labels are left
    out. UserError where none is left.
    """
    data = trained.config.data
    sources = tuple(Source(path) for path in stores) if stores else data.sources
    nights = [night for night in open_nights(sources, part) if night.has_labels]
    segments = Segments(nights, trained.readers, data.whole_nights(), scored_only=False)
    if not (segments.table.labels != UNSCORED).any():
        named = " and ".join(source.store for source in sources)
        raise UserError(f"{named}: the {part} recordings hold no scored sleep epoch")
    return segments


def rows_at_a_time(trained: TrainedNetwork, args: argparse.Namespace) -> int:
    """--batch-size, or what the view of a network suggests."""
    return args.batch_size or AT_A_TIME[trained.config.data.view]


def companions_of(sides: list[list[Run]], args: argparse.Namespace) -> dict[Run, dict[str, TrainedNetwork]]:
    """{run: its teacher and baseline, where there are any}, for the first run of each side that has a teacher.

    The teacher is --teacher, or the one that the run's config names; the baseline --baseline, or A of a comparison, or
    among the run's neighbours <inputs>_base, or night_ecg of a run that sees the night. All look at a night in the
    same way. Raises UserError where one that was named does not.
    """
    found = {}
    for i, run in enumerate(side[0] for side in sides):
        config, own = run.trained.config, run.trained.path.resolve()
        teacher = args.teacher or _teacher_of(config)
        usual = "night_ecg" if config.data.view == "night" else f"{'_'.join(run.trained.inputs)}_base"
        first = args.compare[0] if args.compare and i else None
        baseline = args.baseline or (first if _looks_alike(first, config) else _neighbour(config, usual))
        paths = {"teacher": teacher, "baseline": baseline}
        kept = {part: path for part, path in paths.items() if path and path.resolve() != own}
        for part, path in kept.items():
            if not _looks_alike(path, config):
                raise UserError(
                    f"--{part}: {path} does not look at a night as {run.trained.path} does: another data.view"
                )
        if "teacher" in kept:
            found[run] = {part: load_trained(path) for part, path in kept.items()}
            check_same_classes([run.trained, *found[run].values()])
    return found


def _looks_alike(path: Path | None, config: Config) -> bool:
    """Whether a checkpoint's network is shown a night in the same view."""
    return bool(path) and load_trained(path).config.data.view == config.data.view


def _teacher_of(config: Config) -> Path | None:
    """The checkpoint of the one trained network that targets, if it was one and is there."""
    networks = [name for name in config.stage.teachers if name in config.stage.earlier]
    return _neighbour(config, networks[0]) if len(networks) == 1 else None


def _neighbour(config: Config, stage: str) -> Path | None:
    """The checkpoint that a run's config means by the name of a stage; None where it names none, or it is gone."""
    try:
        return checkpoint_of(config, stage, "stage.teacher") if stage else None
    except UserError:
        return None


def _lineage(trained: TrainedNetwork) -> list[Path]:
    """The checkpoints that went into a network, itself last, in the order of their training, where found."""
    earlier = [_neighbour(trained.config, name) for name in trained.config.stage.earlier]
    return [*(path for parent in earlier if parent for path in _lineage(load_trained(parent))), trained.path]


def _command(processes: Processes) -> str:
    """The command line of this evaluation, to be run again."""
    arguments = sys.argv[1:]
    if processes.distributed:
        return shown(launch_command("evaluate.py", processes.world, arguments))
    return shown([sys.executable, "evaluate.py", *arguments])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", type=Path, nargs="+", help="evaluate each by itself")
    what.add_argument("--compare", type=Path, nargs="+", metavar="A", help="A.pt B.pt, or several seeds of A")
    parser.add_argument("--with", type=Path, nargs="+", metavar="B", dest="against", help="several seeds of B")
    parser.add_argument("--inputs", nargs="+", metavar="INPUT", help="show the checkpoints some of their inputs only")
    parser.add_argument("--store", nargs="+", help="other stores than the one trained on (their default splits)")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test", "all"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--participants", type=Path, help="a TSV of subjects to group by (STORE/participants.tsv)")
    parser.add_argument("--calibrate", action="store_true", help="fit a temperature on the validation nights first")
    parser.add_argument("--temperature", action="store_true", help="apply the temperature stored beside the checkpoint")
    parser.add_argument("--teacher", type=Path, help="another teacher than the checkpoint's config names")
    parser.add_argument("--baseline", type=Path, help="another baseline than ecg_base beside the checkpoint, or A")
    parser.add_argument("--draws", type=int, default=10_000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap and of what the projection shows")
    parser.add_argument(
        "--only-scores", action="store_true", help="metrics.json and predictions/, no picture and no report"
    )
    parser.add_argument("--batch-size", type=int, help="at a time on each process (256 cuts, or 4 nights)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    args = parser.parse_args()
    for option, value, least in (
        ("batch-size", 1 if args.batch_size is None else args.batch_size, 1),
        ("draws", args.draws, 1),
        ("seed", args.seed, 0),
    ):
        if value < least:
            raise UserError(f"--{option}: must be at least {least}")
    if args.against and not args.compare:
        raise UserError("--with: goes with --compare")
    if args.compare and not args.against and len(args.compare) != 2:
        raise UserError("--compare: give A.pt B.pt, or several seeds: --compare A1.pt A2.pt --with B1.pt B2.pt")
    args.sides = [args.checkpoint]
    if args.compare:
        args.sides = [args.compare, args.against] if args.against else [args.compare[:1], args.compare[1:]]
    return args


if __name__ == "__main__":
    run_command(main)
