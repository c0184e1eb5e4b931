"""Stress test of resuming: kill a training run at random moments, restart it, and compare with an uninterrupted run.

    python -m benchmarks.kill_stress --kills 20

Prints the moment of each kill (SIGKILL), and whether the final weights and the log are the same to the last bit.
"""

import argparse
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

from benchmarks.measuring import make_store
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stress test; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill_stress",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="number of kills; default: 20")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random moments; default: 0")
    args = parser.parse_args(arguments)
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = make_store(folder / "store", nights=4, hours=1, rate_hz=32)
        seconds = run(store, folder / "whole", kill_after=None)
        assert seconds is not None
        kills, starts = 0, 0
        while kills < args.kills:
            starts += 1
            # Imports take about two seconds; the moments range from before the first update to after the end.
            moment = rng.uniform(1.5, max(4.0, seconds / 3))
            took = run(store, folder / "killed", kill_after=moment)
            if took is None:
                kills += 1
                print(f"kill {kills:2d} after {moment:5.2f} s: {state(folder / 'killed')}", flush=True)
            else:  # it finished first: start it over
                last(folder / "killed").unlink()
        run(store, folder / "killed", kill_after=None)
        differences = compare(folder / "whole", folder / "killed")
        print(f"{kills} kills, {starts + 1} starts: {'; '.join(differences) or 'the same weights, to the last bit'}")
    sys.exit(bool(differences))


def run(store: Path, root: Path, kill_after: float | None) -> float | None:
    """Train; returns the seconds of a run that ended, None for one that was killed after so many seconds."""
    command = [
        sys.executable, "train_ddp.py", "--config", "ecg_base", "--set", f"data.store={store}", f"runs_root={root}",
        "data.classes=3", "model.filters=[4,4,4,4,4]", "model.bottom_filters=8", "train.validate_every=0",
        "train.batch_size=8", "train.epochs=20", "train.log_every=5", "train.ema_decay=0.9", "train.device=cpu",
        "train.schedule=cosine",
    ]  # fmt: skip
    started = time.monotonic()
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    try:
        code = process.wait(kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None
    if code:
        raise SystemExit(f"training failed with exit code {code}")
    return time.monotonic() - started


def last(root: Path) -> Path:
    """The last checkpoint of the run."""
    return root / "3class" / "ecg_base" / "last.pt"


def state(root: Path) -> str:
    """The files that a kill left, in words."""
    if not last(root).exists():
        return "no checkpoint yet"
    position = read_checkpoint(last(root)).position
    litter = len(list(last(root).parent.glob(".*.tmp")))
    return f"last.pt at epoch {position.epoch}" + (f", {litter} unfinished file(s)" if litter else "")


def compare(whole: Path, killed: Path) -> list[str]:
    """The differences between two finished runs, in words."""
    a, b = read_checkpoint(last(whole)), read_checkpoint(last(killed))
    found = [f"{name} differs" for name in a.model if not torch.equal(a.model[name], b.model[name])]
    found += [f"average {n} differs" for n, v in average(a).items() if not torch.equal(v, average(b)[n])]
    steps = [
        [json.loads(line)["step"] for line in (last(r).with_name("metrics.jsonl")).read_text().splitlines()]
        for r in (whole, killed)
    ]
    return found + (["metrics.jsonl differs in its steps"] if steps[0] != steps[1] else [])


def average(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """The moving average of the weights."""
    return checkpoint.training["average"]


if __name__ == "__main__":
    main()
