"""Networks of whole nights: their computational cost, and kappa over the length of context.

    python -m benchmarks.night cost                       # parameters, operations, seconds of an 8-h night; memory
    python -m benchmarks.night context --store STORE      # kappa over the length of context, as a figure

`cost` compares with the published U-Time in one run. `context` trains the student of heartbeats once per length of
context and seed on a prepared store (about three minutes each on two cores for a hundred nights), selects checkpoints
on the validation nights, scores the test nights once, and draws docs/figures/context.png. Both write
benchmarks/results/night_<name>.json.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import RESULTS, anonymous_mb, machine, make_store, timed
from sleepkd import palette
from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.data_settings import DataConfig, View
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.distributed import Processes
from sleepkd.errors import run_command
from sleepkd.evaluation.inference import predict_nights
from sleepkd.evaluation.scores.bootstrap import expanded_interval, resample_subjects, weighted_mean
from sleepkd.evaluation.scores.metrics import scores
from sleepkd.files import write_text_atomically
from sleepkd.models import build_network, network_settings
from sleepkd.settings import load_config
from train_ddp import train

HOURS, RATE = 8, 200.0
UPDATES = 40  # while memory is watched
MINUTES = (1, 5, 20, 60, 0)  # 0: the whole night
BATCH_MINUTES = 960  # per update, for every length of context
FIGURE = Path(__file__).parent.parent / "docs" / "figures" / "context.png"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.night", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="BENCHMARK")
    what.add_parser("cost", help="parameters, operations, seconds and memory")
    of_context = what.add_parser("context", help="kappa over the length of context")
    of_context.add_argument("--store", required=True, metavar="FOLDER", help="prepared store")
    of_context.add_argument("--epochs", type=int, default=12, metavar="N", help="training epochs; default: 12")
    of_context.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="seeds; default: 0")
    of_context.add_argument(
        "--runs", type=Path, default=Path("runs/context"), metavar="FOLDER", help="runs_root; default: runs/context"
    )
    args = parser.parse_args(arguments)
    rows = cost() if args.what == "cost" else context(args.store, args.epochs, args.seeds, args.runs)
    content = {"benchmark": args.what, "machine": machine(), "rows": rows}
    write_text_atomically(RESULTS / f"night_{args.what}.json", json.dumps(content, indent=1) + "\n")
    for row in rows:
        print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


def cost() -> list[dict]:
    """Parameters, operations per sleep epoch, seconds of a night of 8 h on one core, beside U-Time; then memory."""
    torch.set_num_threads(1)
    networks: dict[str, tuple[str, tuple[str, ...], View]] = {
        "utime": ("utime", ("ecg",), "epochs"),
        "night on beats": ("night", ("beats",), "night"),
        "night on ecg + beats": ("night", ("ecg", "beats"), "night"),
    }
    rows = []
    for name, (model, signals, view) in networks.items():
        inputs = resolve({signal: {} for signal in signals}, DataConfig(view=view), RATE)
        network = build_network(network_settings({"name": model}), 4, inputs, view).eval()
        count = HOURS * 120
        shapes = {key: item.shape(EPOCH_SECONDS if view == "epochs" else HOURS * 3600) for key, item in inputs.items()}
        segments = count if view == "epochs" else 1
        x = {key: torch.randn(segments, 1, *shape) for key, shape in shapes.items()}

        def stage(network: torch.nn.Module = network, x: dict = x, segments: int = segments) -> None:
            with torch.inference_mode():
                for first in range(0, segments, 64):
                    network({key: signal[first : first + 64] for key, signal in x.items()})

        with FlopCounterMode(display=False) as flops:
            stage()
        rows.append(
            {
                "network": name, "parameters": sum(p.numel() for p in network.parameters()),
                "flops_per_sleep_epoch": flops.get_total_flops() / count,
                "seconds_per_night": float(np.median([timed(stage) for _ in range(3)])),
            }
        )  # fmt: skip
        del network, x
        gc.collect()
    for row in rows[1:]:
        row["of_utime_s_time"] = row["seconds_per_night"] / rows[0]["seconds_per_night"]
    return rows + memory()


def memory() -> list[dict]:
    """Peak anonymous memory of training on the ECG of nights, by length of segment, length and number of nights."""
    rows = []
    for minutes, hours, nights in ((30, 8, 4), (120, 8, 4), (120, 24, 4), (120, 8, 40)):
        with tempfile.TemporaryDirectory() as folder:
            store = make_store(Path(folder) / "store", nights, hours, RATE, sparse=True)
            settings = (
                f"data.store={store}", f"runs_root={folder}/runs", f"data.segment_minutes={minutes}",
                "train.epochs=100", "stage.inputs.beats=false", "data.augment.drop_input=0", "train.validate_every=0",
                "train.batch_size=2", "train.log_every=1",
            )  # fmt: skip
            command = [sys.executable, "train_ddp.py", "--config", "night_ecg", "--set", *settings]
            process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
            log, peak = Path(folder) / "runs" / "4class" / "night_ecg" / "metrics.jsonl", 0.0
            while not (log.exists() and log.read_text().count("\n") >= UPDATES):
                if process.poll() is not None:
                    raise RuntimeError("training ended early")
                peak = max(peak, anonymous_mb(process.pid))
                time.sleep(0.05)
            process.terminate()
            process.wait()
        rows.append({"segment_minutes": minutes, "hours": hours, "nights": nights, "peak_mb": peak})
    return rows


def context(store: str, epochs: int, seeds: list[int], runs: Path) -> list[dict]:
    """Kappa per test night of the student of heartbeats, by minutes of context in training and evaluation."""
    rows: list[dict] = []
    for minutes in MINUTES:
        kappas = []
        for seed in seeds:
            overrides = [
                f"data.store={store}", f"runs_root={runs / f'{minutes}min' / f'seed{seed}'}", f"train.seed={seed}",
                f"data.context_minutes={minutes}", f"train.epochs={epochs}",
                f"train.batch_size={BATCH_MINUTES // (minutes or 120)}",
            ]  # fmt: skip
            config = load_config(["night_ecg", "beats"], overrides)
            train(config, Processes("cpu"))
            trained = load_trained(config.run_directory / "best.pt")
            held_out = open_nights(config.data.sources, "test")
            segments = Segments(held_out, trained.readers, config.data.whole_nights(), scored_only=False)
            nights = predict_nights(trained, segments, Processes("cpu"), 4)
            kappas.append([scores(night.confusion, ("W", "light", "deep", "REM"))["kappa"] for night in nights])
        of_night = np.mean(kappas, axis=0)
        subjects = [night.subject for night in nights]
        drawn = weighted_mean(of_night, resample_subjects(subjects))
        low, high = expanded_interval(drawn, len(set(subjects)))
        rows.append({"minutes": minutes, "kappa": float(of_night.mean()), "low": low, "high": high})
        rows[-1] |= {"by_seed": [float(np.mean(k)) for k in kappas], "nights": len(nights)}
    draw(rows)
    return rows


def draw(rows: list[dict]) -> None:
    """Draw kappa over minutes of context, the whole night at the right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.4), dpi=150)
    at = np.arange(len(rows))
    value, low, high = (np.array([row[key] for row in rows]) for key in ("kappa", "low", "high"))
    axes.errorbar(at, value, [value - low, high - value], color=palette.POSITIVE, marker="o", capsize=3, linewidth=1.5)
    for x, y in zip(at, value, strict=True):
        axes.annotate(f"{y:.2f}", (x, y), xytext=(7, -12), textcoords="offset points", color=palette.INK, fontsize=9)
    axes.set_xticks(at, [f"{row['minutes']} min" if row["minutes"] else "whole night" for row in rows])
    axes.set_xlabel("context")
    axes.set_ylabel("kappa per night, 4 classes")
    axes.set_ylim(0, None)
    axes.set_xlim(-0.3, len(rows) - 0.4)
    axes.grid(axis="y", color=palette.GRID)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(FIGURE)


if __name__ == "__main__":
    run_command(main)
