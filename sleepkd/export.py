"""Export of a night network to ONNX or to torch.export, for use without sleepkd.

    sleepkd export --inputs beats --out examples/web/night.onnx                  # the network that ships with sleepkd
    sleepkd export --checkpoint best.pt --out model.onnx --int8 --store store    # smaller and faster
    sleepkd export --checkpoint best.pt --out model.pt2 --format torch           # torch.export
    sleepkd export --checkpoint best.pt --out folder --format hub                # for the Hugging Face Hub

The exported network takes nights of any length. model.onnx holds the classes, the preprocessing of its inputs and the
temperature as metadata, and model.onnx.json holds the same for programs that cannot read them, such as browsers. The
file is checked against PyTorch on whole nights. model.md is its model card. A folder for the Hugging Face Hub holds the
checkpoint, its card as README.md, and config.json; `sleepkd.load("hf://OWNER/NAME")` reads it.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sleepkd.checkpoints.shipped import SHIPPED
from sleepkd.checkpoints.trained import TrainedNetwork
from sleepkd.data.data_settings import Source
from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import describe_inputs
from sleepkd.data.views import TOKEN_SECONDS
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.scores.metrics import batch_scores, confusion_matrix
from sleepkd.extras import require_extra
from sleepkd.files import write_text_atomically
from sleepkd.prediction.card import card_page
from sleepkd.prediction.hub_folder import write_hub_folder
from sleepkd.prediction.model import Model, load_model
from sleepkd.provenance import code_version

CALIBRATION_NIGHTS = 8
PLAIN_TEXT = ("about", "sleepkd")
"""Metadata that are not JSON."""


def main(arguments: list[str] | None = None) -> int:
    """Write the exported network and its model card."""
    args = _parse(arguments)
    if args.format == "onnx":
        require_extra("onnx", "export", "sleepkd export --format onnx")
        require_extra("onnxruntime", "export", "sleepkd export --format onnx")
        require_extra("onnxscript", "export", "sleepkd export --format onnx")
    model = load_model(args.checkpoint)
    if args.format == "hub":
        body = card_page(model.card) if model.card.network else model_card(model, "", args.metrics)
        print(write_hub_folder(model, args.out, body))
        return 0
    if args.inputs:
        model = replace(model, trained=model.trained.with_inputs(args.inputs))
    if args.format == "torch":
        line = export_torch(model.trained, args.out)
    elif args.int8:
        line = export_int8(model, args.out, args.store)
    else:
        line = export_float(model, args.out)
    card = args.out.with_suffix(".md")
    write_text_atomically(card, model_card(model, line, args.metrics))
    print(f"{line}\n{card}")
    return 0


def export_float(model: Model, path: Path) -> str:
    """Write a float32 ONNX file; returns a line with its size and its difference from PyTorch."""
    from sleepkd.prediction.onnx_file import onnx_metadata, write_onnx  # imports onnx

    metadata = onnx_metadata(model, code_version())
    difference = write_onnx(model.trained, path, metadata)
    _write_metadata_json(path, metadata)
    size = path.stat().st_size / 1e6
    return f"{path}: {size:.2f} MB; logits differ from PyTorch's by at most {difference:.1g} on whole nights"


def export_int8(model: Model, path: Path, store: str) -> str:
    """Write an int8 ONNX file; returns a line with its size, speed and kappa beside those of float32.

    store: its validation nights give the quantization ranges and the kappa.
    """
    from sleepkd.prediction.onnx_file import onnx_metadata, quantize, write_onnx  # imports onnx

    metadata, segments = onnx_metadata(model, code_version()), _validation_nights(model.trained, store)
    with tempfile.TemporaryDirectory() as folder:
        float_path = Path(folder) / "float.onnx"
        write_onnx(model.trained, float_path, metadata)
        path.parent.mkdir(parents=True, exist_ok=True)
        quantize(float_path, path, segments)
        _write_metadata_json(path, metadata)
        kappa, seconds = _kappa_and_seconds(float_path, segments)
        kappa8, seconds8 = _kappa_and_seconds(path, segments)
        size, size8 = float_path.stat().st_size / 1e6, path.stat().st_size / 1e6
    return (
        f"{path}: {size8:.2f} MB (float32: {size:.2f}), {seconds8:.3f} s per night ({seconds:.3f}), "
        f"kappa {kappa8:.3f} ({kappa:.3f}) on {len(segments)} validation nights"
    )


def export_torch(trained: TrainedNetwork, path: Path) -> str:
    """Write a torch.export program that takes a dict of inputs; returns a line with its size and largest difference."""
    tokens = torch.export.Dim("tokens", min=2, max=100_000)
    inputs, shapes = {}, {}
    for name, item in trained.inputs.items():
        inputs[name] = torch.randn(1, 1, *item.shape(600.0))
        shapes[name] = {inputs[name].dim() - 1: item.shape(TOKEN_SECONDS)[-1] * tokens}
    program = torch.export.export(trained.network.eval(), (inputs,), dynamic_shapes=(shapes,))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.export.save(program, path)
    night = {name: torch.randn(1, 1, *item.shape(8 * 3600.0)) for name, item in trained.inputs.items()}
    with torch.no_grad():
        difference = (program.module()(night) - trained.network(night)).abs().max()
    size = path.stat().st_size / 1e6
    return f"{path}: {size:.2f} MB; logits differ from the network's by at most {difference:.1g} on 8 h"


def _write_metadata_json(path: Path, metadata: dict[str, str]) -> None:
    """Write the metadata of an ONNX file as JSON beside it."""
    content = {key: text if key in PLAIN_TEXT else json.loads(text) for key, text in metadata.items()}
    write_text_atomically(Path(f"{path}.json"), json.dumps(content, indent=1) + "\n")


def _validation_nights(trained: TrainedNetwork, store: str) -> Segments:
    """The first labelled validation nights of a store."""
    nights = [night for night in open_nights((Source(store),), "validation") if night.has_labels][:CALIBRATION_NIGHTS]
    data = trained.config.data.whole_nights()
    return Segments(nights, trained.readers, data, scored_only=False, absent=trained.absent)


def _kappa_and_seconds(path: Path, segments: Segments) -> tuple[float, float]:
    """Kappa of an ONNX file over all sleep epochs of some nights, and its seconds per night."""
    from sleepkd.prediction.onnx_file import inputs_of_nights, onnx_predictor

    predict, classes, seconds = onnx_predictor(path), segments.data.classes, 0.0
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for row, inputs in enumerate(inputs_of_nights(segments)):
        started = time.perf_counter()
        logits = torch.from_numpy(predict(inputs))
        seconds += time.perf_counter() - started
        batch = segments[np.array([row])]
        predicted = batch.per_sleep_epoch(logits).argmax(-1).numpy()
        scored = batch.labels.numpy() != UNSCORED
        confusion += confusion_matrix(batch.labels.numpy()[scored], predicted[scored], classes)
    return float(batch_scores(confusion)["kappa"]), seconds / len(segments)


def model_card(model: Model, file_line: str, metrics: Path | None) -> str:
    """A model card in Markdown: inputs, classes, training data, scores.

    file_line: about the exported file, "" for none. metrics: the metrics.json of an evaluation.
    """
    config, inputs = model.trained.config, model.trained.inputs
    parts = [
        f"# {config.stage.name}",
        f"Sleep stages from {describe_inputs(inputs)}.",
        *model.about,
        *(["## File", file_line] if file_line else []),
        f"Classes: {', '.join(CLASS_NAMES[config.data.classes])}. Temperature: {model.temperature:g}.",
        "\n".join(f"- Input `{name}`: {_listed(asdict(item))}" for name, item in inputs.items()),
        "## Training",
        f"Stores: {', '.join(Path(source.store).name for source in config.data.sources)}; stage `{config.stage.name}`, "
        f"teacher {config.stage.teacher or 'none'}; {config.train.epochs} training epochs, seed {config.train.seed}.",
        "## Scores",
    ]
    if metrics is None:
        return "\n\n".join([*parts, "Not given: --metrics takes the metrics.json of an evaluation."]) + "\n"
    found = json.loads(metrics.read_text(encoding="utf-8"))
    overall = found["overall"]
    parts.append(
        f"{len(found['by_recording'])} nights, {overall['n']} sleep epochs: kappa {overall['kappa']:.3f}, accuracy "
        f"{overall['accuracy']:.3f}, weighted F1 {overall['weighted_f1']:.3f}."
    )
    rows = [f"| {name} | {of['f1']:.3f} | {of['support']} |" for name, of in overall["per_class"].items() if of["f1"]]
    return "\n\n".join([*parts, "\n".join(["| class | F1 | sleep epochs |", "|---|---:|---:|", *rows])]) + "\n"


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sleepkd export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="output: model.onnx, model.pt2, or a folder for hub"
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help=f"trained network (best.pt); default: {SHIPPED}, which ships"
    )
    parser.add_argument("--inputs", nargs="+", metavar="INPUT", help="inputs to keep, of those of the network")
    parser.add_argument("--format", default="onnx", choices=("onnx", "torch", "hub"), help="default: onnx")
    parser.add_argument("--int8", action="store_true", help="static quantization to int8 (ONNX)")
    parser.add_argument(
        "--store", default="", metavar="FOLDER", help="store whose validation nights give the ranges for --int8"
    )
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="metrics.json of an evaluation, for the card")
    args = parser.parse_args(arguments)
    if args.int8 and (not args.store or args.format != "onnx"):
        raise UserError("--int8: needs --format onnx and a --store for the quantization ranges")
    if args.format == "hub" and args.inputs:
        raise UserError("--inputs: a folder for the hub holds the whole network; leave it out")
    if args.metrics and not args.metrics.is_file():
        raise UserError(f"{args.metrics}: no such file")
    return args


if __name__ == "__main__":
    run_command(main)
