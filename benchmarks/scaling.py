"""What p processes make of a batch of 256: an update's time measured on the device at hand, the exchange computed.

    python -m benchmarks.scaling --gb-per-s 25 --latency-us 20

Measured, on one device (a CUDA device, or one core): an update of the stage's 256 / p segments at 200 Hz with the
published network. Computed: a ring all-reduce (Patarasu & Yuan 2009, J. Parallel Distrib. Comput. 69:117-124) moves
2 (p - 1) / p of the gradient and waits 2 (p - 1) times the latency; the backward pass, measured too, hides as much of
it as it lasts (DDP sends buckets while it computes).
"""

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.training import bare_run, bare_step, make_store, seconds_of
from sleepkd.settings import load_config
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
    print("| processes | segments each | computing | all-reduce | update | speed-up | efficiency |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    alone = None
    for p in PROCESSES:
        compute, ahead = (1e3 * seconds for seconds in time_update(args.stage, BATCH // p))
        reduce = all_reduce_ms(p, args.gb_per_s, args.latency_us)
        whole = compute + max(0.0, reduce - (compute - ahead))
        alone = alone or whole
        print(
            f"| {p} | {BATCH // p} | {compute:,.1f} ms | {reduce:.2f} ms | {whole:,.1f} ms | {alone / whole:.1f} | "
            f"{alone / whole / p:.0%} |",
            flush=True,
        )


def time_update(stage: str, rows: int) -> tuple[float, float]:
    """Seconds of an update of so many segments at 200 Hz, and of its forward part alone."""
    with tempfile.TemporaryDirectory() as name:
        store = make_store(Path(name) / "store", nights=1, hours=(rows + 1) / 120, rate_hz=200)
        settings = [
            f"data.store={store}", f"runs_root={name}/runs", f"train.batch_size={rows}", "train.validate_every=0",
        ]  # fmt: skip
        run, chosen, batch = bare_run(load_config([stage], settings))
        device, divisors = run.processes.device, run.stage.counts(run.segments.table.take(chosen))
        whole = seconds_of(bare_step(run, chosen, batch), device, TIMED)
        return whole, seconds_of(lambda: forward(run.stage, run.learner, batch, divisors), device, TIMED)


def all_reduce_ms(processes: int, gb_per_s: float, latency_us: float) -> float:
    """Milliseconds of a ring all-reduce of the gradient."""
    moved = 2 * (processes - 1) / processes * GRADIENT_BYTES
    return 1e3 * moved / (gb_per_s * 1e9) + 2 * (processes - 1) * latency_us / 1e3


if __name__ == "__main__":
    main()
