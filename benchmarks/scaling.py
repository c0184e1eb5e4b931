"""What p processes do for a batch of 256, computed from one measured step time: no measurement of its own.

    python -m benchmarks.scaling --step-ms 60 --gb-per-s 25 --latency-us 20

Model: the batch is shared out, so computing takes step * max(1/p, floor); a ring all-reduce (Patarasu & Yuan 2009, J.
Parallel Distrib. Comput. 69:117-124) moves 2 (p - 1)/p of the gradient and waits 2 (p - 1) times the latency; the half
of the step that is the backward pass hides as much of it as it lasts.
"""

import argparse

GRADIENT_BYTES = 4 * 4_813_240  # the published network for four classes, in float32


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--step-ms", type=float, required=True, help="measured: one update of 256 windows on one device"
    )
    parser.add_argument("--gb-per-s", type=float, required=True, help="bandwidth between processes, each way")
    parser.add_argument("--latency-us", type=float, default=20.0, help="of one message")
    parser.add_argument("--floor-ms", type=float, default=5.0, help="measured: the update however few the windows")
    args = parser.parse_args()
    print("processes  windows each  compute ms  all-reduce ms  update ms  speed-up  efficiency")
    for p in (1, 2, 4, 8, 16, 32, 64):
        compute = max(args.step_ms / p, args.floor_ms)
        reduce = all_reduce_ms(p, args.gb_per_s, args.latency_us)
        update = compute + max(0.0, reduce - compute / 2)
        speed_up = args.step_ms / update
        print(
            f"{p:9d}  {256 / p:12.0f}  {compute:10.1f}  {reduce:13.2f}  {update:9.1f}  "
            f"{speed_up:8.1f}  {speed_up / p:9.0%}"
        )


def all_reduce_ms(processes: int, gb_per_s: float, latency_us: float) -> float:
    """Milliseconds of a ring all-reduce of the gradient."""
    moved = 2 * (processes - 1) / processes * GRADIENT_BYTES
    return 1e3 * moved / (gb_per_s * 1e9) + 2 * (processes - 1) * latency_us / 1e3


if __name__ == "__main__":
    main()
