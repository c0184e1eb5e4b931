"""Synchronisation of the training loop with the device: reads of tensor values, and copies between devices.

    python -m benchmarks.waits       # on CUDA if available, else on the CPU
    torchrun --nproc_per_node=2 -m benchmarks.waits --work /tmp/waits

Trains every stage for 40 updates with four reports under a dispatch mode that sees every operator, and counts by
calling function: 40 is once per update, 4 once per report, 1 once per training epoch. A read of a CUDA tensor waits for
all queued work; a read of a CPU tensor does not wait.
"""

import argparse
import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.measuring import STAGES, make_store, write_untrained
from sleepkd.distributed import Processes
from sleepkd.errors import run_command
from sleepkd.settings import load_config
from train_ddp import train

SEGMENTS, UPDATES, LOG_EVERY = 120, 40, 10
ROOT = str(Path(__file__).resolve().parent.parent)
READ = torch.ops.aten._local_scalar_dense.default
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)


class Waits(TorchDispatchMode):
    """Counts of value reads and of copies between devices, by device and caller."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is READ:
            self.counts[f"read on {args[0].device.type}", caller()] += 1
        elif func in COPIES:
            source = args[1] if func is COPIES[1] else args[0]
            if source.device.type != out.device.type:
                self.counts[f"copy {source.device.type} to {out.device.type}", caller()] += 1
        return out


def caller() -> str:
    """The innermost running function of the project, or of torch's optimizer."""
    frame: FrameType | None = sys._getframe(2)
    while frame:
        path = frame.f_code.co_filename
        if "torch/optim" in path and "inductor" not in path:
            return "torch.optim (its step counters)"
        if path.startswith(ROOT) and ".venv" not in path:
            return f"{Path(path).name}: {frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.waits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="new folder that the processes of torchrun share")
    work = parser.parse_args(arguments).work
    processes = Processes("auto")
    with processes.group(), tempfile.TemporaryDirectory() as own:
        rows = [row for stage in STAGES for row in profile(stage, work or Path(own), processes)]
    if processes.is_first:
        print(f"| stage | what | where | in {UPDATES} updates, {UPDATES // LOG_EVERY} reports |\n|---|---|---|---:|")
        for row in rows:
            print(f"| {' | '.join(map(str, row))} |")


def profile(stage: str, folder: Path, processes: Processes) -> list[tuple[str, str, str, int]]:
    """Train a stage for one training epoch; returns (stage, operation, caller, count) of every read and copy."""
    store = folder / "store"
    if processes.is_first and not store.exists():
        make_store(store, nights=1, hours=SEGMENTS / 120, rate_hz=32)
    config = load_config(
        [stage],
        [
            f"data.store={store}", f"runs_root={folder / 'runs' / stage}", f"train.log_every={LOG_EVERY}",
            f"train.batch_size={SEGMENTS // UPDATES}", "train.validate_every=0", "train.epochs=1", "data.workers=0",
        ],
    )  # fmt: skip
    if processes.is_first:
        write_untrained(config, store)
    processes.wait()
    with contextlib.redirect_stdout(None), Waits() as waits:
        train(config, processes)
    return [(stage, what, where, count) for (what, where), count in sorted(waits.counts.items())]


if __name__ == "__main__":
    run_command(main)
