"""Evaluate checkpoints on held-out nights: scores, predictions per sleep epoch, figures.

    python evaluate.py --checkpoint runs/4class/feat_temp/best.pt --out results
    python evaluate.py --checkpoint runs/4class/*/best.pt --out results --split test
    torchrun --nproc_per_node=4 evaluate.py --checkpoint … --out …

Under torchrun the windows are shared out, and each scored sleep epoch counts once.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from sleepkd.data.hypnogram import CLASS_NAMES, UNSCORED
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.data.windows import Windows
from sleepkd.distributed import Processes
from sleepkd.errors import UserError, run_command
from sleepkd.evaluation.figures import confusion_figure, hypnogram_figure
from sleepkd.evaluation.inference import predict
from sleepkd.evaluation.predictions import NightPredictions, write_predictions
from sleepkd.evaluation.report import metrics_of, write_metrics
from sleepkd.models.build import TrainedNetwork, load_trained


def main() -> int:
    """Evaluate each checkpoint into its own folder: --out itself for one, --out/<stage> for several."""
    args = _parse()
    networks = [load_trained(path) for path in args.checkpoint]
    folders = output_folders(networks, args.out)
    processes = Processes(args.device)
    with processes.group():
        for trained, folder in zip(networks, folders, strict=True):
            nights = evaluate(trained, args.store, args.split, processes, args.batch_size)
            if processes.is_first:
                print(write_results(trained, nights, folder, args.split), flush=True)
            processes.wait()
    return 0


def evaluate(
    trained: TrainedNetwork, store_path: str | None, part: str, processes: Processes, batch_size: int
) -> list[NightPredictions]:
    """Predict the nights of one part of a store's split, read as the checkpoint's network was trained to see them."""
    data = replace(trained.config.data, store=store_path or trained.config.data.store)
    if store_path:
        data = replace(data, split="default")
    store = Store(data.store)
    trained.check_rate(store.rate_hz)
    recordings = tuple(store.recordings) if part == "all" else read_split(store, data.split).part(part)
    windows = Windows(store, recordings, data, (trained.config.stage.signal,), scored_only=False)
    if not (windows.table.labels != UNSCORED).any():
        raise UserError(f"{data.store}: its {part} recordings hold no scored sleep epoch")
    return predict(trained, windows, processes, batch_size)


def write_results(trained: TrainedNetwork, nights: list[NightPredictions], folder: Path, part: str) -> str:
    """Write metrics.json, predictions/, confusion.png and hypnograms/; returns a line to print."""
    stage, names = trained.config.stage.name, CLASS_NAMES[trained.config.data.classes]
    metrics = {"checkpoint": str(trained.path), "stage": stage, "split": part, **metrics_of(nights, names)}
    write_metrics(folder / "metrics.json", metrics)
    write_predictions(nights, folder / "predictions", names)
    confusion_figure(metrics["overall"]["confusion"], names, f"{stage}, {len(nights)} nights", folder / "confusion.png")
    for night in nights:
        hypnogram_figure(night, names, folder / "hypnograms" / f"{night.recording}.png")
    overall = metrics["overall"]
    figures = " ".join(
        f"{name} {'–' if overall[key] is None else format(overall[key], '.3f')}"
        for name, key in (("kappa", "kappa"), ("accuracy", "accuracy"), ("weighted F1", "weighted_f1"))
    )
    return f"{stage}: {figures} over {overall['n']} sleep epochs of {len(nights)} nights; {folder}"


def output_folders(networks: list[TrainedNetwork], out: Path) -> list[Path]:
    """Where each checkpoint's results go; UserError where two would share a folder."""
    if len(networks) == 1:
        return [out]
    names = [trained.config.stage.name for trained in networks]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--checkpoint: several of stage {name}; evaluate them into different --out folders")
    return [out / name for name in names]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, nargs="+", required=True)
    parser.add_argument("--store", help="another store than the checkpoint was trained on (its default split is used)")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test", "all"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--batch-size", type=int, default=256, help="windows at a time on each process")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    args = parser.parse_args()
    if args.batch_size < 1:
        raise UserError("--batch-size: must be at least 1")
    return args


if __name__ == "__main__":
    run_command(main)
