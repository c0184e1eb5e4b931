"""Evaluate checkpoints on held-out nights: scores with intervals, predictions per sleep epoch, figures, report.html.

    python evaluate.py --checkpoint runs/4class/feat_temp/best.pt --out results
    python evaluate.py --checkpoint runs/4class/*/best.pt --out results --split test
    python evaluate.py --compare A.pt B.pt --out results                         # B minus A, paired by recording
    python evaluate.py --compare A1.pt A2.pt --with B1.pt B2.pt --out results    # ... and by training seed
    python evaluate.py --checkpoint best.pt --out results --calibrate            # then, and later: --temperature
    python evaluate.py --checkpoint best.pt --out results --subsets              # of its inputs; what each adds
    torchrun --nproc_per_node=4 evaluate.py --checkpoint … --out …

Under torchrun the processes share out the segments; each scored sleep epoch counts once. docs/evaluation.md describes
the files that are written.
"""

import argparse
from pathlib import Path

from sleepkd.checkpoints.temperature import read_temperature
from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.data.nights import ALL
from sleepkd.data.splits import PARTS
from sleepkd.distributed import Processes
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.held_out import EvaluationNights, evaluation_nights
from sleepkd.evaluation.inference import evaluate_network
from sleepkd.evaluation.input_subsets import check_subsets, with_subsets
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
    if args.subsets:
        check_subsets(run.trained for run in runs)

    def nights_of(trained: TrainedNetwork, part: str) -> EvaluationNights:
        reference = trained.path not in {run.trained.path for run in runs}  # is shown on the nights that it can read
        return evaluation_nights(trained, args.store, part, args.allow_training_nights, reference)

    references = {} if args.only_scores else references_of(sides, args.teacher, args.baseline, bool(args.compare))
    networks = networks_of(sides, references)
    nights = {path: nights_of(network, args.split) for path, network in networks.items()}
    validation = {run: nights_of(run.trained, "validation") for run in runs if args.calibrate}
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
        predicted = {
            path: evaluate_network(network, nights[path], processes, args.batch_size)
            for path, network in networks.items()
        }
        for path in dict.fromkeys(run.trained.path for run in runs) if args.subsets else ():
            predicted[path] = with_subsets(predicted[path], processes, args.batch_size)
        if processes.is_first:
            comparison = args.out / "comparison.json" if args.compare else None
            results = write_scores(sides, predicted, references, temperatures, protocol, comparison)
            print(*results.lines, sep="\n", flush=True)
            if not args.only_scores:
                print(write_figures_and_report(args.out, results, args.seed, evaluation_command(processes)), flush=True)
        processes.wait()
    return 0


def parse() -> argparse.Namespace:
    """Read the command line. Raises UserError naming an option that is out of range or needs another one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add, what = parser.add_argument, parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", type=Path, nargs="+", metavar="PT", help="checkpoints, each evaluated separately")
    what.add_argument("--compare", type=Path, nargs="+", metavar="PT", help="A.pt B.pt, or several seeds of A")
    add("--with", type=Path, nargs="+", metavar="PT", dest="against", help="several seeds of B")
    add("--inputs", nargs="+", metavar="INPUT", help="the only inputs to show the networks")
    add("--subsets", action="store_true", help="also score subsets of the inputs, and what each input adds")
    add("--store", nargs="+", metavar="STORE", help="stores to evaluate on instead of those of the training run")
    add("--split", default="test", choices=(*PARTS, ALL), help="part of the split to evaluate on; default: test")
    add("--allow-training-nights", action="store_true", help="also score training nights, and mark all results")
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder of the results")
    add("--participants", type=Path, metavar="TSV", help="subjects to group by; default: STORE/participants.tsv")
    add("--calibrate", action="store_true", help="fit a temperature on the validation nights first")
    add("--temperature", action="store_true", help="apply the temperature stored beside the checkpoint")
    add("--teacher", type=Path, metavar="PT", help="teacher; default: the one in the checkpoint's config")
    add("--baseline", type=Path, metavar="PT", help="baseline; default: A, or a run without a teacher, same inputs")
    add("--draws", type=int, metavar="N", default=DRAWS, help="bootstrap draws; default: %(default)s")
    add("--seed", type=int, metavar="N", default=0, help="seed of bootstrap and projection; default: %(default)s")
    add("--only-scores", action="store_true", help="metrics.json and predictions/ only: no figures, no report")
    add("--batch-size", type=int, metavar="N", help="segments at a time on each process; default: 256, or 4 nights")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="device; default: %(default)s")
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
