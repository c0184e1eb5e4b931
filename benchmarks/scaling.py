"""What p processes make of a batch of 256: an update's time measured on the device at hand, the exchange computed.

    python -m benchmarks.scaling --gb-per-s 25 --latency-us 20

Measured, on one device (a CUDA device, or one core): an update of the stage's 256 / p windows at 200 Hz with the
published network. Computed: a ring all-reduce (Patarasu & Yuan 2009, J. Parallel Distrib. Comput. 69:117-124) moves
2 (p - 1) / p of the gradient and waits 2 (p - 1) times the latency; the backward pass, measured too, hides as much of
it as it lasts (DDP sends buckets while it computes).
"""

import argparse
import contextlib
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.training import bare_step, make_store, timed, write_untrained
from sleepkd.distillation.settings import load_config
from sleepkd.distillation.setup import set_up
from sleepkd.distributed import Processes
from train_ddp import forward

GRADIENT_BYTES = 4 * 4_813_240  # the published network for four classes, in float32
BATCH = 256
TIMED = 3
PROCESSES = (1, 2, 4, 8, 16, 32, 64)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", default="ecg_base")
    parser.add_argument("--gb-per-s", type=float, required=True, help="bandwidth between processes, each way")
    parser.add_argument("--latency-us", type=float, required=True, help="of one message")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| processes | windows each | computing | all-reduce | update | speed-up | efficiency |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    alone = None
    for p in PROCESSES:
        compute, forward = (1e3 * seconds for seconds in time_update(args.stage, BATCH // p))
        reduce = all_reduce_ms(p, args.gb_per_s, args.latency_us)
        update = compute + max(0.0, reduce - (compute - forward))
        alone = alone or update
        print(
            f"| {p} | {BATCH // p} | {compute:,.1f} ms | {reduce:.2f} ms | {update:,.1f} ms | {alone / update:.1f} | "
            f"{alone / update / p:.0%} |",
            flush=True,
        )


def time_update(stage: str, rows: int) -> tuple[float, float]:
    """Seconds of an update of so many windows at 200 Hz, and of its forward part alone."""
    with tempfile.TemporaryDirectory() as name:
        store = make_store(Path(name) / "store", nights=1, hours=(rows + 1) / 120, rate_hz=200)
        settings = [
            f"data.store={store}", f"runs_root={name}/runs", f"train.batch_size={rows}", "train.validate_every=0",
        ]  # fmt: skip
        config = load_config([stage], settings)
        write_untrained(config, store)
        step = bare_step(config)
        timed(step)
        seconds = timed(step, TIMED)
        with contextlib.redirect_stdout(None):
            run = set_up(config, Processes(config.train.device))
        chosen = np.arange(rows)
        batch = run.windows[chosen].to(run.processes.device, run.dtype)
        divisors = run.stage.counts(run.windows.places.take(chosen))

        def ahead() -> None:
            float(forward(run.stage, run.learner, batch, divisors)[1])

        ahead()
        return seconds, timed(ahead, TIMED)


def all_reduce_ms(processes: int, gb_per_s: float, latency_us: float) -> float:
    """Milliseconds of a ring all-reduce of the gradient."""
    moved = 2 * (processes - 1) / processes * GRADIENT_BYTES
    return 1e3 * moved / (gb_per_s * 1e9) + 2 * (processes - 1) * latency_us / 1e3


if __name__ == "__main__":
    main()
