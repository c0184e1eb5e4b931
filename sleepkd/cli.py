"""The command `sleepkd VERB`: its verbs, each the module of that name in this package, imported only when called."""

import argparse
import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from sleepkd import __version__
from sleepkd.errors import UserError, run_command

VERBS = {
    "predict": "stage recordings: ECG, heartbeats or heart rate in, hypnogram and sleep statistics out",
    "prepare": "convert a cohort's recordings into a store, and draw its split",
    "merge": "join the tables of staged nights of several shards or folders",
    "inspect": "summarise a store: recordings, sleep stages, warnings",
    "simulate": "write a simulated cohort in the layout of MASS",
    "export": "export a trained network to ONNX or torch.export",
    "pseudo-label": "stage a store's nights with another library's model, as teacher targets",
    "reproduce": "train and evaluate the rows of the paper's table",
    "label-efficiency": "measure kappa over the number of labelled nights, with and without teachers",
}
"""Each verb with what it does; `pseudo-label` is sleepkd/pseudo_label.py."""
SCRIPTS = {
    "train": "torchrun --nproc_per_node=4 train_ddp.py --config feat_temp.yaml",
    "evaluate": "python evaluate.py --checkpoint runs/4class/*/best.pt --out results",
}
"""What users look for among the verbs and find in a checkout, each with a command to start it."""


def main() -> None:
    """Run the command line of this process and leave it with the verb's exit code."""
    run_command(lambda: run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a verb; returns its exit code. Raises UserError: an unknown verb, or what the verb raises."""
    if not arguments or arguments[0].startswith("-"):
        parser = _parser()
        parser.parse_args(arguments[:1])  # prints --help and --version and exits
        parser.print_help()
        return 0
    verb, *rest = arguments
    if verb in SCRIPTS:
        raise UserError(f"sleepkd {verb}: is a script of the repository, not a verb; in a checkout: {SCRIPTS[verb]}")
    if verb not in VERBS:
        nearest = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.0)[0]
        raise UserError(f"sleepkd {verb}: no such verb; did you mean sleepkd {nearest}? See sleepkd --help")
    return import_module(f"sleepkd.{verb.replace('-', '_')}").main(rest)


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    lines = [f"  {verb:{width}}  {text}" for verb, text in VERBS.items()]
    parser = argparse.ArgumentParser(
        prog="sleepkd",
        usage="sleepkd VERB [OPTION ...]",
        description="Sleep staging from a single-lead ECG or heartbeats, by networks trained with an EEG teacher.",
        epilog="\n".join(["verbs:", *lines, "", "sleepkd VERB --help lists the options of a verb."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sleepkd {__version__}")
    return parser


if __name__ == "__main__":
    main()
