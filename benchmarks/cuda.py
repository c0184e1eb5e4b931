"""Both networks on one CUDA device: bf16 and torch.compile against plain fp32, and what bounds an update.

    python -m benchmarks.cuda
    python -m benchmarks.cuda --stages night_ecg night_kd --batch 32 --updates 10
    python -m benchmarks.cuda --device cpu --batch 2 --updates 2    # says only that it runs

Per stage: seconds per update of the training loop itself, rows of signals at 200 Hz (segments of 30 s, or crops of a
night as its config says), in fp32 with TF32 off, in bf16, and in bf16 compiled; and how long the whole run took,
compiling among it. The work of an update is counted operator by operator in an eager step: floating-point operations
(torch's FlopCounterMode), and the bytes that all operators would read and write if none were fused. Held against the
device's own rates, measured in the same run: the product of two matrices, and the copy of a large tensor. A share of
the bandwidth above 1 says that fusing and caches saved that much traffic.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training import (
    RESULTS,
    STAGES,
    bare_run,
    bare_step,
    loop_seconds,
    machine,
    make_store,
    seconds_of,
    write_untrained,
)
from sleepkd.data.hypnogram import EPOCH_SECONDS
from sleepkd.settings import Config, load_config
from sleepkd.files import write_text_atomically

VARIANTS = {
    "plain": ("train.precision=fp32", "train.compile=false"),
    "bf16": ("train.precision=bf16", "train.compile=false"),
    "compiled": ("train.precision=bf16", "train.compile=true"),
}
DTYPES = {"plain": torch.float32, "bf16": torch.bfloat16, "compiled": torch.bfloat16}
NIGHT_HOURS = 8

NIGHT_STAGES = ("night_eeg", "night_ecg", "night_kd", "night_at", "night_feat")


class Traffic(TorchDispatchMode):
    """Sums the bytes that operators read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return out


def main() -> None:
    """Measure every stage in every variant; print and store the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, default=256, help="rows per update")
    parser.add_argument("--updates", type=int, default=20, help="of each of three measurements")
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=(*STAGES, *NIGHT_STAGES))
    parser.add_argument("--also", nargs="+", default=[], metavar="CONFIG", help="overlays for all of them")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    rates = {name: matrix_rate(device, dtype) for name, dtype in DTYPES.items()}
    bandwidth = copy_rate(device)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            measure([stage, *args.also], args.batch, args.updates, device, Path(folder), rates, bandwidth)
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
    """One stage: seconds per update of the loop in each variant, and the shares of the device's rates."""
    minutes = load_config(configs, []).data.shown_minutes or EPOCH_SECONDS / 60
    hours = (4 * updates + 4) * batch * minutes / 60
    nights = max(4, math.ceil(hours / NIGHT_HOURS))
    store = folder / f"store{minutes:g}"
    if not store.exists():
        make_store(store, nights=nights, hours=math.ceil(120 * hours / nights) / 120, rate_hz=200)
    row: dict[str, Any] = {"stage": configs[0], "also": configs[1:], "batch": batch, "minutes": minutes}
    for name, settings in VARIANTS.items():
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
    # Never compiled: torch would not compile these modules any more, once they ran in a mode that sees every operator.
    step = bare_step(*bare_run(replace(config, train=replace(config.train, compile=False))))
    with FlopCounterMode(display=False) as flops, Traffic() as traffic:
        step()
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
    main()
