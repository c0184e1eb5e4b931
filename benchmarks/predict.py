"""Costs of sleepkd predict: a night of 8 h against its main parts, many nights, and the memory of a recording of 30 h.

    python -m benchmarks.predict                        # the network that ships with sleepkd
    python -m benchmarks.predict --checkpoint best.pt
    python -m benchmarks.predict --only many --nights 10000 --jobs 2

The main parts are the forward pass of the network and the detection of R peaks, in seconds of a core, the least of
three calls. The forward pass is compared with that of torch's own layers (`models/fast_cpu.py`). Of many nights,
seconds of a core are those of all processes, and those of one night are taken off: nights per second of a core is what
one more night costs.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from edfio import Edf, EdfSignal

from benchmarks.measuring import anonymous_mb, core_seconds, process_tree
from sleepkd.cohorts.ecg.detect import detect_beats
from sleepkd.cohorts.signals import open_signals
from sleepkd.errors import run_command
from sleepkd.models.fast_cpu import keep_freed_memory, layers_of_torch
from sleepkd.prediction.model import load_model
from sleepkd.prediction.recorded import ReadingOptions, open_recording
from sleepkd.simulation.cohort import write_cohort

LONG_HOURS, RATE = 30, 256
HOURS = 8
ECG_SHARE = 10
"""So many times fewer nights of ECG than of heartbeats."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate a night, and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="trained network; default: the shipped one")
    parser.add_argument("--only", choices=("parts", "many", "long"), help="one of the three measurements")
    parser.add_argument("--nights", type=int, default=300, help="nights of heartbeats of `many` (300)")
    parser.add_argument("--jobs", type=int, default=1, metavar="PROCESSES", help="processes of `many` (1)")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (path,) = write_cohort(folder / "raw", nights=1, hours=HOURS, seed=0, channels="needed")
        (truth,) = (folder / "raw" / "truth").glob("*.npz")
        options = ["--checkpoint", str(args.checkpoint)] if args.checkpoint else []
        if args.only in (None, "parts"):
            measure_parts(path, args.checkpoint)
        if args.only in (None, "many"):
            beats = np.load(truth)["beats"]
            measure_many(folder, path, beats, args.nights, args.jobs, options)
        if args.only in (None, "long"):
            measure_long(folder, path, options)


def ecg_of(path: Path) -> tuple[np.ndarray, float]:
    """The ECG of a simulated night, (samples,), and its rate, Hz."""
    file = open_signals(path, "edf")
    channel = next(i for i, label in enumerate(file.labels) if label.startswith("ECG"))
    return file.channel(channel).samples, file.rates[channel]


def measure_parts(path: Path, checkpoint: Path | None) -> None:
    """Print the seconds of a night with ECG, beside those of its main parts."""
    model = load_model(checkpoint)
    ecg, rate = ecg_of(path)
    inputs = {key: torch.randn(1, 1, *item.shape(HOURS * 3600)) for key, item in model.trained.inputs.items()}

    keep_freed_memory()

    def forward() -> None:
        with torch.inference_mode():
            model.trained.network(inputs)

    def forward_of_torch() -> None:
        with torch.inference_mode(), layers_of_torch():
            model.trained.network(inputs)

    works: dict[str, Callable[[], object]] = {
        "forward pass": forward,
        "R peaks": lambda: detect_beats(ecg, rate, 1),
        "whole": lambda: model.stage(open_recording(path, model.trained.inputs, ReadingOptions()).night),
        "of torch": forward_of_torch,
    }
    parts = {name: core_time(work) for name, work in works.items()}
    whole, of_torch = parts.pop("whole"), parts.pop("of torch")
    total = sum(parts.values())
    listed = ", ".join(f"{key} {seconds:.2f} s" for key, seconds in parts.items())
    print(f"a night of {HOURS} h, one core: {whole:.2f} s; {listed}; {whole / total:.2f} times their sum")
    print(f"forward pass by torch's layers: {of_torch:.3f} s, {of_torch / parts['forward pass']:.2f} times as long")


def core_time(work: Callable[[], object], calls: int = 3) -> float:
    """Seconds of a core per call, the least of some calls after one to warm up: other work on the machine adds."""
    work()
    found = []
    for _ in range(calls):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    return min(found)


def measure_many(folder: Path, path: Path, beats: np.ndarray, nights: int, jobs: int, options: Sequence[str]) -> None:
    """Print nights per second of a core, and the memory, of many nights of heartbeats and of ECG."""
    intervals = np.diff(beats)
    for name, count in (("heartbeats", nights), ("ECG", max(1, nights // ECG_SHARE))):
        results = []
        for number in (1, count):
            raw = folder / f"{name}_{number}"
            raw.mkdir()
            for k in range(number):
                if name == "ECG":
                    (raw / f"{k:06d}.edf").symlink_to(path)
                else:
                    np.savetxt(raw / f"{k:06d}.csv", np.roll(intervals, k), fmt="%.4f", header="rr", comments="")
            command = [raw, "--out", folder / f"out_{name}_{number}", "--format", "csv", "--jobs", jobs, *options]
            results.append(measured(command))
        one, all_of_them = results
        a_second = (count - 1) / max(1e-9, all_of_them.core_seconds - one.core_seconds)
        print(
            f"{count} nights of {name} on {jobs} processes: {all_of_them.seconds:.0f} s, "
            f"{a_second:.1f} nights per second of a core, at most {all_of_them.peak_mb:.0f} MB of anonymous memory; "
            f"the first night {one.seconds:.1f} s"
        )


def measure_long(folder: Path, path: Path, options: Sequence[str]) -> None:
    """Print the memory of the whole command on a recording of 30 h."""
    long, (ecg, _) = folder / "long.edf", ecg_of(path)
    samples = np.tile(ecg, -(-LONG_HOURS // HOURS))[: LONG_HOURS * 3600 * RATE]
    Edf([EdfSignal(samples, RATE, label="ECG", physical_dimension="mV")]).write(long)
    peak = measured([long, "--out", folder / "out", *options]).peak_mb
    print(f"{LONG_HOURS} h at {RATE} Hz, the whole command: at most {peak:.0f} MB of anonymous memory")


class Cost(NamedTuple):
    """Of a command: seconds that passed, seconds of a core and most anonymous memory of all its processes."""

    seconds: float
    core_seconds: float
    peak_mb: float


def measured(arguments: Sequence[object]) -> Cost:
    """Run sleepkd predict in a process of its own. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "sleepkd.predict", *map(str, arguments)]
    started, peak, cores = time.monotonic(), 0.0, dict[int, float]()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        pids = process_tree(process.pid)
        cores |= {pid: max(core_seconds(pid), cores.get(pid, 0.0)) for pid in pids}
        peak = max(peak, sum(map(anonymous_mb, pids)))
        time.sleep(0.02)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.monotonic() - started, sum(cores.values()), peak)


if __name__ == "__main__":
    run_command(main)
