"""Training on one CUDA device: bf16 and torch.compile against fp32, and the share of the device's peak rates.

    python -m benchmarks.cuda
    python -m benchmarks.cuda --stages night_ecg night_kd --batch 32 --updates 10
    python -m benchmarks.cuda --device cpu --batch 2 --updates 2    # a smoke test

Per stage: seconds per update of the training loop on segments of signals at 200 Hz (30 s, or minutes of a night as the
config says), in fp32 with TF32 off, in bf16, and in bf16 compiled; and seconds of the whole run, compilation included.
The work of an update is counted by operator in an eager update: floating-point operations (torch's FlopCounterMode),
and the bytes that all operators would read and write without fusion. They are divided by the device's rates, measured
in the same run: the product of two matrices, and the copy of a large tensor. A share of the bandwidth above 1 means
that fusion and caches saved that much traffic.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import RESULTS, STAGES, BareUpdate, machine, make_store, seconds_of, write_untrained
from benchmarks.training import loop_seconds
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.errors import run_command
from sleepkd.files import write_text_atomically
from sleepkd.precision import convolves_in_bf16
from sleepkd.settings import Config, load_config

VARIANTS = {
    "plain": ("train.precision=fp32", "train.compile=false"),
    "bf16": ("train.precision=bf16", "train.compile=false"),
    "compiled": ("train.precision=bf16", "train.compile=true"),
}
DTYPES = {"plain": torch.float32, "bf16": torch.bfloat16, "compiled": torch.bfloat16}
NIGHT_HOURS = 8

NIGHT_STAGES = ("night_eeg", "night_ecg", "night_kd", "night_at", "night_feat")


class Traffic(TorchDispatchMode):
    """Sum of the bytes that operators read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every stage in every variant; print and store the results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cuda", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="device; default: cuda")
    parser.add_argument("--batch", type=int, default=256, metavar="N", help="segments per update; default: 256")
    parser.add_argument(
        "--updates", type=int, default=20, metavar="N", help="updates in each of three measurements; default: 20"
    )
    parser.add_argument(
        "--stages", nargs="+", default=STAGES, choices=(*STAGES, *NIGHT_STAGES), metavar="STAGE", help="stages"
    )
    parser.add_argument("--overlay", nargs="+", default=[], metavar="YAML", help="overlays for all stages")
    args = parser.parse_args(arguments)
    device = torch.device(args.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    rates = {name: matrix_rate(device, dtype) for name, dtype in DTYPES.items()}
    bandwidth = copy_rate(device)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            measure([stage, *args.overlay], args.batch, args.updates, device, Path(folder), rates, bandwidth)
            for stage in args.stages
        ]
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    content = {"machine": machine(), "device": name, "matrix_flops": rates, "copy_bytes_per_s": bandwidth, "rows": rows}
    if device.type == "cuda":
        view = "_night" if set(args.stages) <= set(NIGHT_STAGES) else ""
        write_text_atomically(RESULTS / f"cuda{view}.json", json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


def measure(
    configs: list[str],
    batch: int,
    updates: int,
    device: torch.device,
    folder: Path,
    rates: dict[str, float],
    bandwidth: float,
) -> dict[str, Any]:
    """One stage: seconds per update of the training loop in each variant, and the shares of the device's rates."""
    minutes = load_config(configs, []).data.shown_minutes or EPOCH_SECONDS / 60
    hours = (4 * updates + 4) * batch * minutes / 60
    nights = max(4, math.ceil(hours / NIGHT_HOURS))
    store = folder / f"store{minutes:g}"
    if not store.exists():
        make_store(store, nights=nights, hours=math.ceil(120 * hours / nights) / 120, rate_hz=200)
    row: dict[str, Any] = {"stage": configs[0], "overlays": configs[1:], "batch": batch, "minutes": minutes}
    runs_bf16 = device.type == "cuda" or convolves_in_bf16()
    for name, settings in VARIANTS.items() if runs_bf16 else [("plain", VARIANTS["plain"])]:
        overrides = [
            f"data.store={store}", f"runs_root={folder / configs[0] / name}", f"train.device={device.type}", *settings,
            f"train.batch_size={batch}", f"train.log_every={updates}", "train.validate_every=0", "train.epochs=1",
        ]  # fmt: skip
        config = load_config(configs, overrides)
        write_untrained(config, store)
        started = time.perf_counter()
        seconds = float(np.median(loop_seconds(config, updates)[:3]))
        whole = time.perf_counter() - started
        flops, moved = work(config)
        row[name] = {
            "seconds": seconds, "nights_per_s": batch * minutes / 60 / NIGHT_HOURS / seconds, "run_seconds": whole,
            "flops": flops, "bytes_unfused": moved, "share_of_matrix_rate": flops / seconds / rates[name],
            "share_of_bandwidth": moved / seconds / bandwidth,
        }  # fmt: skip
        print(f"{configs[0]} {name}: {seconds:.4f} s per update", file=sys.stderr, flush=True)
    return row


def work(config: Config) -> tuple[int, int]:
    """Floating-point operations of an eager update, and the bytes its operators read and write."""
    bare_update = BareUpdate(config)  # never compiled
    with FlopCounterMode(display=False) as flops, Traffic() as traffic:
        bare_update()
    return flops.get_total_flops(), traffic.bytes


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a product of two square matrices."""
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=dtype)
    return 2 * n**3 / seconds_of(lambda: a @ a, device)


def copy_rate(device: torch.device) -> float:
    """Bytes per second read and written by a copy within the device's memory."""
    a = torch.empty(2**30 if device.type == "cuda" else 2**27, dtype=torch.uint8, device=device)
    b = torch.empty_like(a)
    return 2 * a.numel() / seconds_of(lambda: b.copy_(a), device)


if __name__ == "__main__":
    run_command(main)
