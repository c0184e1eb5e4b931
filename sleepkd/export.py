"""python -m sleepkd.export --checkpoint best.pt --out model.onnx: a night network for use without this project.

Its inputs are what the checkpoint's network sees, of any number of 10-s tokens; its metadata say how they are made, the
classes and the temperature, and so does model.onnx.json beside it, for where metadata cannot be read (a browser). It is
checked against PyTorch on whole nights. A model card, model.md, lies beside it. Without --checkpoint it is the network
that comes with sleepkd.

    python -m sleepkd.export --inputs beats --out examples/web/night.onnx
    python -m sleepkd.export --checkpoint best.pt --out model.onnx --int8 --store store     # smaller and faster
    python -m sleepkd.export --checkpoint best.pt --out model.pt2 --format torch            # torch.export
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.data.data_settings import Source
from sleepkd.data.hypnogram import UNSCORED
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.scores.metrics import batch_scores, confusion_matrix
from sleepkd.files import write_text_atomically
from sleepkd.prediction.model import Model, load
from sleepkd.provenance import commit

CALIBRATION_NIGHTS = 8
AS_TEXT = ("about", "sleepkd")
"""Metadata that are no JSON."""


def main(arguments: list[str] | None = None) -> int:
    """Write the file, and its card."""
    args = _parse(arguments)
    if args.format == "onnx" and any(find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")):
        raise UserError("--format onnx: needs onnx, onnxruntime and onnxscript; pip install them")
    model = load(args.checkpoint)
    if args.inputs:
        model = replace(model, trained=model.trained.with_inputs(args.inputs))
    lines = _to_torch(model.trained, args.out) if args.format == "torch" else _to_onnx(model, args)
    card = args.out.with_suffix(".md")
    write_text_atomically(card, model_card(model, lines, args.metrics))
    print("\n".join([*lines, str(card)]))
    return 0


def _to_onnx(model: Model, args: argparse.Namespace) -> list[str]:
    from sleepkd.prediction.onnx_file import facts_of, quantise, write_onnx  # here: torch.export needs none of it

    trained, facts = model.trained, facts_of(model, str(commit()))
    if not args.int8:
        difference = write_onnx(trained, args.out, facts)
        _write_beside(args.out, facts)
        size = args.out.stat().st_size
        return [f"{args.out}: {size / 1e6:.2f} MB, at most {difference:.1g} from PyTorch's logits on whole nights"]
    segments = _nights(trained, args.store)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "float.onnx"
        write_onnx(trained, whole, facts)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        quantise(whole, args.out, segments)
        _write_beside(args.out, facts)
        (kappa, seconds), (kappa8, seconds8) = _measured(whole, segments), _measured(args.out, segments)
        sizes = whole.stat().st_size, args.out.stat().st_size
    return [
        f"{args.out}: {sizes[1] / 1e6:.2f} MB of {sizes[0] / 1e6:.2f}, {seconds8:.3f} s a night of {seconds:.3f}, "
        f"kappa {kappa8:.3f} of {kappa:.3f} on {len(segments)} nights of the validation part"
    ]


def _write_beside(path: Path, facts: dict[str, str]) -> None:
    """The metadata as JSON, once the file that they are of is there."""
    described = {key: text if key in AS_TEXT else json.loads(text) for key, text in facts.items()}
    write_text_atomically(Path(f"{path}.json"), json.dumps(described, indent=1) + "\n")


def _to_torch(trained: TrainedNetwork, path: Path) -> list[str]:
    """torch.export's program, by inputs as they are named."""
    tokens = torch.export.Dim("tokens", min=2, max=100_000)
    inputs, shapes = {}, {}
    for name, item in trained.inputs.items():
        inputs[name] = torch.randn(1, 1, *item.shape(600.0))
        shapes[name] = {inputs[name].dim() - 1: round(10 * item.rate) * tokens}
    program = torch.export.export(trained.network.eval(), (inputs,), dynamic_shapes=(shapes,))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, path)
    longer = {name: torch.randn(1, 1, *item.shape(8 * 3600.0)) for name, item in trained.inputs.items()}
    with torch.no_grad():
        difference = (program.module()(longer) - trained.network(longer)).abs().max()
    return [f"{path}: {path.stat().st_size / 1e6:.2f} MB, at most {difference:.1g} from the network's logits on 8 h"]


def _nights(trained: TrainedNetwork, store: str) -> Segments:
    """Some validation nights with labels, to take ranges from and to score."""
    nights = [night for night in open_nights((Source(store),), "validation") if night.has_labels][:CALIBRATION_NIGHTS]
    return Segments(nights, trained.readers, trained.config.data.whole_nights(), scored_only=False)


def _measured(path: Path, segments: Segments) -> tuple[float, float]:
    """Kappa over all sleep epochs, and seconds a night."""
    from sleepkd.prediction.onnx_file import predictor, rows_of

    stage, classes, seconds = predictor(path), segments.data.classes, 0.0
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for row, inputs in enumerate(rows_of(segments)):
        started = time.perf_counter()
        logits = torch.from_numpy(stage(inputs))
        seconds += time.perf_counter() - started
        batch = segments[np.array([row])]
        predicted = batch.per_sleep_epoch(logits).argmax(-1).numpy()
        scored = batch.labels.numpy() != UNSCORED
        confusion += confusion_matrix(batch.labels.numpy()[scored], predicted[scored], classes)
    return float(batch_scores(confusion)["kappa"]), seconds / len(segments)


def model_card(model: Model, lines: list[str], metrics: Path | None) -> str:
    """What the model is, what it saw, and how it did, from the JSON of an evaluation."""
    config, inputs = model.trained.config, model.trained.inputs
    parts = [
        f"# {config.stage.name}",
        "Sleep stages from " + " and ".join(inputs) + ".",
        *model.about,
        "## The file",
        *lines,
        f"Classes: {config.data.classes}. Temperature: {model.temperature:g}. Inputs: "
        + "; ".join(f"{name}, {item}" for name, item in inputs.items()),
        "## Training",
        f"Stores: {', '.join(source.store for source in config.data.sources)}; stage `{config.stage.name}`, "
        f"teacher {config.stage.teacher or 'none'}; {config.train.epochs} epochs, seed {config.train.seed}.",
        "## How it does",
    ]
    if metrics is None:
        return "\n\n".join([*parts, "Not given: --metrics names the metrics.json of an evaluation."]) + "\n"
    found = json.loads(metrics.read_text(encoding="utf-8"))
    overall = found["overall"]
    parts.append(
        f"{len(found['by_recording'])} nights, {overall['n']} sleep epochs: kappa {overall['kappa']:.3f}, accuracy "
        f"{overall['accuracy']:.3f}, weighted F1 {overall['weighted_f1']:.3f}."
    )
    rows = [f"| {name} | {of['f1']:.3f} | {of['support']} |" for name, of in overall["per_class"].items() if of["f1"]]
    return "\n\n".join([*parts, "\n".join(["| class | F1 | sleep epochs |", "|---|---:|---:|", *rows])]) + "\n"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sleepkd.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, help="a trained network (best.pt); default: the one of sleepkd")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--inputs", nargs="+", metavar="INPUT", help="export it seeing these of its inputs only")
    parser.add_argument("--format", default="onnx", choices=("onnx", "torch"))
    parser.add_argument(
        "--int8", action="store_true", help="static quantisation, ranges from the store's validation nights"
    )
    parser.add_argument("--store", default="", help="for --int8")
    parser.add_argument("--metrics", type=Path, help="metrics.json of an evaluation, for the card")
    args = parser.parse_args(arguments)
    if args.int8 and (not args.store or args.format != "onnx"):
        raise UserError("--int8: goes with --format onnx and needs --store, to take its ranges from")
    if args.metrics and not args.metrics.is_file():
        raise UserError(f"{args.metrics}: no such file")
    return args


if __name__ == "__main__":
    run_command(main)
