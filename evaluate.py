"""Evaluate checkpoints on held-out nights: scores with intervals, predictions per sleep epoch, figures, report.html.

    python evaluate.py --checkpoint runs/4class/feat_temp/best.pt --out results
    python evaluate.py --checkpoint runs/4class/*/best.pt --out results --split test
    python evaluate.py --compare A.pt B.pt --out results                         # B minus A, paired by recording
    python evaluate.py --compare A1.pt A2.pt --with B1.pt B2.pt --out results    # ... and by training seed
    python evaluate.py --checkpoint best.pt --out results --calibrate            # then, and later: --temperature
    torchrun --nproc_per_node=4 evaluate.py --checkpoint … --out …

Under torchrun the processes share out the segments; each scored sleep epoch counts once. docs/evaluation.md describes
the files that are written.
"""

import argparse
from pathlib import Path

from sleepkd.checkpoints.temperature import read_temperature
from sleepkd.distributed import Processes
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.held_out import evaluation_nights
from sleepkd.evaluation.inference import evaluate_network
from sleepkd.evaluation.references import networks_of, references_of
from sleepkd.evaluation.report_files import evaluation_command, require_report, write_figures_and_report
from sleepkd.evaluation.results import write_fitted_temperature, write_scores
from sleepkd.evaluation.runs import EvaluationProtocol, compared_runs, runs_of
from sleepkd.evaluation.scores.bootstrap import DRAWS
from sleepkd.evaluation.scores.groups import participants_of


def main() -> int:
    """Evaluate each checkpoint into its own folder: --out itself for one, a folder of it for each of several."""
    args = parse()
    # What is wrong with the input is found here, before the first prediction and the first file.
    if not args.only_scores:
        require_report()
    if args.compare:
        sides = compared_runs(args.compare, args.against, args.inputs, args.out)
    else:
        sides = runs_of(args.checkpoint, args.inputs, args.out)
    runs = [run for side in sides for run in side]
    references = {} if args.only_scores else references_of(sides, args.teacher, args.baseline, bool(args.compare))
    networks = networks_of(sides, references)
    allowed = args.allow_training_nights
    nights = {path: evaluation_nights(network, args.store, args.split, allowed) for path, network in networks.items()}
    calibrated = runs if args.calibrate else []
    validation = {run: evaluation_nights(run.trained, args.store, "validation", allowed) for run in calibrated}
    temperatures = {run: read_temperature(run.trained.path) for run in runs if args.temperature and not args.calibrate}
    stores = args.store or [source.store for source in runs[0].trained.config.data.sources]
    protocol = EvaluationProtocol(args.split, participants_of(args.participants, stores), args.draws, args.seed)

    processes = Processes(args.device)
    with processes.group():
        if processes.is_first:
            print(*dict.fromkeys(line for found in nights.values() for line in found.lines), sep="\n", flush=True)
        for run, held_out in validation.items():
            evaluated = evaluate_network(run.trained, held_out, processes, args.batch_size)
            if processes.is_first:
                temperature = write_fitted_temperature(run, evaluated)
                temperatures |= {run: temperature} if args.temperature else {}
        evaluated_networks = {
            path: evaluate_network(network, nights[path], processes, args.batch_size)
            for path, network in networks.items()
        }
        if processes.is_first:
            comparison = args.out / "comparison.json" if args.compare else None
            results = write_scores(sides, evaluated_networks, references, temperatures, protocol, comparison)
            print(*results.lines, sep="\n", flush=True)
            if not args.only_scores:
                print(write_figures_and_report(args.out, results, args.seed, evaluation_command(processes)), flush=True)
        processes.wait()
    return 0


def parse() -> argparse.Namespace:
    """Read the command line. Raises UserError naming an option that is out of range or needs another one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--checkpoint", type=Path, nargs="+", metavar="PT", help="checkpoints to evaluate, each separately"
    )
    what.add_argument("--compare", type=Path, nargs="+", metavar="PT", help="A.pt B.pt, or several seeds of A")
    parser.add_argument("--with", type=Path, nargs="+", metavar="PT", dest="against", help="several seeds of B")
    parser.add_argument("--inputs", nargs="+", metavar="INPUT", help="the only inputs to show the networks")
    parser.add_argument("--store", nargs="+", help="stores to evaluate on instead of those of the training run")
    parser.add_argument(
        "--split",
        default="test",
        choices=("train", "validation", "test", "all"),
        help="part of the split to evaluate on",
    )
    parser.add_argument(
        "--allow-training-nights", action="store_true", help="also score training nights, and mark all results"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder of the results")
    parser.add_argument(
        "--participants", type=Path, metavar="TSV", help="subjects to group by (STORE/participants.tsv)"
    )
    parser.add_argument("--calibrate", action="store_true", help="fit a temperature on the validation nights first")
    parser.add_argument("--temperature", action="store_true", help="apply the temperature stored beside the checkpoint")
    parser.add_argument("--teacher", type=Path, metavar="PT", help="teacher (the one in the checkpoint's config)")
    parser.add_argument(
        "--baseline", type=Path, metavar="PT", help="baseline (A, or a run without a teacher beside the checkpoint)"
    )
    parser.add_argument("--draws", type=int, default=DRAWS, help="number of bootstrap draws (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap and of the projection (%(default)s)")
    parser.add_argument("--only-scores", action="store_true", help="metrics.json and predictions/, no figure or report")
    parser.add_argument("--batch-size", type=int, help="segments at a time on each process (256, or 4 nights)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(%(default)s)")
    args = parser.parse_args()
    for option, least in (("batch_size", 1), ("draws", 1), ("seed", 0)):
        value = getattr(args, option)
        if value is not None and value < least:
            raise UserError(f"--{option.replace('_', '-')}: must be at least {least}, is {value}")
    if args.against and not args.compare:
        raise UserError("--with: goes with --compare")
    return args


if __name__ == "__main__":
    run_command(main)
