"""Costs of training on many stores: 30,000 nights on ten disks, opened, and read by workers ahead of the updates.

    python -m benchmarks.stores
    python -m benchmarks.stores --nights 3000 --ecg

The stores hold nights of 8 h, an ECG of 200 Hz (sparse files of full length) and heartbeats (one file, linked).
Opening is measured in a process of its own, the first time (when the index of each store is written) and later.
Reading: segments of two hours, 64 in a batch, each batch followed by an "update" that leaves the cores alone; what
the loop waits for a batch is what a GPU would wait.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.measuring import anonymous_mb, make_store
from sleepkd.data.batches import load_batches
from sleepkd.data.data_settings import DataConfig, Source
from sleepkd.data.nights import open_nights
from sleepkd.data.recording_info import to_json
from sleepkd.data.segments import STUDENT, Segments
from sleepkd.data.splits import write_split
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store
from sleepkd.errors import run_command

DISKS, HOURS, RATE = 10, 8.0, 200.0
BATCH, BATCHES, MINUTES = 64, 12, 120
OPEN = """
import sys, time
from sleepkd.data.data_settings import DataConfig, Source
from sleepkd.data.nights import open_nights
started, cpu = time.monotonic(), time.process_time()
nights = open_nights(DataConfig(nights=(Source(sys.argv[1]),)).sources, "train")
print(len(nights), round(time.monotonic() - started, 2), round(time.process_time() - cpu, 2))
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the stores, open them, and read batches."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stores", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nights", type=int, default=30_000, help="nights in all (30000)")
    parser.add_argument("--update-seconds", type=float, default=0.1, metavar="S", help="length of an update (0.1)")
    parser.add_argument("--ecg", action="store_true", help="read the ECG too, not only heartbeats")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        stores = make_stores(Path(name), args.nights)
        for which in ("the first time", "later"):
            done = subprocess.run([sys.executable, "-c", OPEN, stores], capture_output=True, text=True, check=True)
            count, seconds, cpu = done.stdout.split()
            print(f"{count} nights opened {which}: {seconds} s, {cpu} s of a core", flush=True)
        for workers in (0, 1, 2):
            measure_reading(stores, workers, args.update_seconds, args.ecg)


def make_stores(folder: Path, nights: int) -> str:
    """Ten stores with so many nights in all; returns the glob that names them."""
    first = Store(make_store(folder / "template", nights=1, hours=HOURS, rate_hz=RATE, sparse=True))
    (name,) = first.recordings
    night, info = folder / "template" / "recordings" / name, first.info(name)
    info = replace(info, signals={"ecg": info.signals["ecg"]})
    with (night / "ecg.npy").open("rb") as recorded:
        header = recorded.read(128)
    size = (night / "ecg.npy").stat().st_size
    for disk in range(DISKS):
        store = folder / f"disk{disk}" / "store"
        create_store(store, StoreSettings(f"cohort{disk}", RATE))
        names = [f"n{k:05d}" for k in range(nights // DISKS)]
        for name in names:
            own = store / "recordings" / name
            own.mkdir(parents=True)
            (own / "recording.json").write_text(to_json(replace(info, recording=name, subject=name)), encoding="utf-8")
            for file in night.iterdir():
                if file.name not in ("recording.json", "ecg.npy", "eeg.npy"):
                    os.link(file, own / file.name)
            (own / "ecg.npy").write_bytes(header)
            os.truncate(own / "ecg.npy", size)
        write_split(store / "splits" / "default", {"train": tuple(names), "validation": (), "test": ()}, "benchmark")
    return str(folder / "disk*" / "store")


def measure_reading(stores: str, workers: int, update_seconds: float, ecg: bool) -> None:
    """Print segments per second and how long a loop waits for each batch."""
    data = DataConfig(
        nights=(Source(stores),), view="night", segment_minutes=MINUTES, workers=workers, prefetch=4, pin_memory="no"
    )
    inputs: dict[str, dict] = {"ecg": {}, "beats": {"rate": 2.0}} if ecg else {"beats": {"rate": 2.0}}
    nights = open_nights(data.sources, "train")
    segments = Segments(nights, {STUDENT: resolve(inputs, data, RATE)}, data, unlabelled=True)
    drawn = np.random.default_rng(0).permutation(len(segments))[: BATCH * BATCHES].reshape(BATCHES, BATCH)
    batches = load_batches(segments, list(drawn), torch.device("cpu"))
    next(batches)  # the workers start
    started, waited = time.monotonic(), 0.0
    for _ in range(BATCHES - 1):
        asked = time.monotonic()
        next(batches)
        waited += time.monotonic() - asked
        time.sleep(update_seconds)
    seconds = time.monotonic() - started
    print(
        f"{workers} workers: {BATCH * (BATCHES - 1) / seconds:.0f} segments per second, a batch is waited for "
        f"{1e3 * waited / (BATCHES - 1):.0f} ms; {anonymous_mb(os.getpid()):.0f} MB of anonymous memory",
        flush=True,
    )


if __name__ == "__main__":
    run_command(main)
