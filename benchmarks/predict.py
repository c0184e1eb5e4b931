"""Costs of sleepkd predict: seconds of a night of 8 h against its main parts, and memory of a recording of 30 h.

    python -m benchmarks.predict                        # the network that ships with sleepkd
    python -m benchmarks.predict --checkpoint best.pt

The main parts are the forward pass of the network and the detection of R peaks.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from edfio import Edf, EdfSignal

from benchmarks.measuring import anonymous_mb, timed
from sleepkd.cohorts.ecg.detect import detect_beats
from sleepkd.cohorts.signals import open_signals
from sleepkd.errors import run_command
from sleepkd.prediction.model import load_model
from sleepkd.prediction.recorded import ReadingOptions, open_recording
from sleepkd.simulation.cohort import write_cohort

LONG_HOURS, RATE = 30, 256


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate a night, stage it and time its parts; then stage 30 h in a process of its own."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="trained network; default: the shipped one")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (path,) = write_cohort(folder / "raw", nights=1, hours=8, seed=0, channels="needed")
        model = load_model(args.checkpoint)
        file = open_signals(path, "edf")
        channel = next(i for i, label in enumerate(file.labels) if label.startswith("ECG"))
        ecg, rate = file.channel(channel).samples, file.rates[channel]
        inputs = {key: torch.randn(1, 1, *item.shape(8 * 3600)) for key, item in model.trained.inputs.items()}

        def forward() -> None:
            with torch.inference_mode():
                model.trained.network(inputs)

        parts = {"forward pass": timed(forward), "R peaks": timed(lambda: detect_beats(ecg, rate, 1))}
        whole = timed(lambda: model.stage(open_recording(path, model.trained.inputs, ReadingOptions()).night))
        total = sum(parts.values())
        listed = ", ".join(f"{key} {seconds:.2f} s" for key, seconds in parts.items())
        print(f"a night of 8 h, one core: {whole:.2f} s; {listed}; {whole / total:.2f} times their sum")

        long = folder / "long.edf"
        samples = np.tile(ecg, -(-LONG_HOURS // 8))[: LONG_HOURS * 3600 * RATE]
        Edf([EdfSignal(samples, RATE, label="ECG", physical_dimension="mV")]).write(long)
        command = [sys.executable, "-m", "sleepkd.predict", long, "--out", folder / "out"]
        command += ["--checkpoint", args.checkpoint] if args.checkpoint else []
        process = subprocess.Popen([str(x) for x in command], stdout=subprocess.DEVNULL)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, anonymous_mb(process.pid))
            time.sleep(0.02)
        line = f"{LONG_HOURS} h at {RATE} Hz, the whole command: at most {peak:.0f} MB of anonymous memory"
        print(line if process.returncode == 0 else f"{line}; exit code {process.returncode}")


if __name__ == "__main__":
    run_command(main)
