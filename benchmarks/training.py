"""Costs of training: the loop against bare updates, reading, memory, two processes, the teacher cache.

    python -m benchmarks.training loop        # the training loop against bare updates, every stage
    python -m benchmarks.training reading     # segments per second from a store in the page cache
    python -m benchmarks.training memory      # anonymous memory on 200 full nights against 2
    python -m benchmarks.training processes   # two processes on two cores against one on one
    python -m benchmarks.training cache       # distill.cache_teacher: an update with it and without, and its size

Each prints a table and writes benchmarks/results/training_<name>.json with a description of the machine. The stores are
made for the benchmark (noise in the store's format; sparse files if only the size matters).
"""

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import (
    RESULTS,
    STAGES,
    BareUpdate,
    anonymous_mb,
    machine,
    make_store,
    process_tree,
    timed,
    write_untrained,
)
from sleepkd.data.data_settings import DataConfig, Source
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.errors import run_command
from sleepkd.files import write_text_atomically
from sleepkd.provenance import launch_command
from sleepkd.settings import Config, DistillConfig, load_config
from train_ddp import train

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=tuple(BENCHMARKS), metavar="BENCHMARK", help=", ".join(BENCHMARKS))
    what = parser.parse_args(arguments).what
    with tempfile.TemporaryDirectory() as folder:
        rows = BENCHMARKS[what](Path(folder))
    content = {"benchmark": what, "machine": machine(), "rows": rows}
    write_text_atomically(RESULTS / f"training_{what}.json", json.dumps(content, indent=1) + "\n")
    for row in rows:
        print(
            "  ".join(
                f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()
            )
        )


def loop(folder: Path, updates: int = 8, repeats: int = 3) -> list[Row]:
    """Seconds per update of the training loop and of bare updates, in turn; medians and their ratio.

    The published network on signals at 32 Hz, batches of 16 segments.
    """
    store = make_store(folder / "store", nights=7, hours=0.5, rate_hz=32)  # 26 updates per training epoch
    rows = []
    for name in STAGES:
        overrides = [
            f"data.store={store}", "train.batch_size=16", f"train.log_every={updates}", "train.validate_every=0",
            "train.device=cpu", "train.epochs=1",
        ]  # fmt: skip
        in_loop, bare = [], []
        for repeat in range(repeats):
            root = folder / f"{name}{repeat}"
            config = load_config([name], [*overrides, f"runs_root={root}"])
            write_untrained(config, store)
            in_loop += loop_seconds(config, updates)
            bare.append(bare_seconds(config, updates))
        ratio = float(np.median(in_loop) / np.median(bare))
        rows.append(
            {"stage": name, "loop_s": float(np.median(in_loop)), "bare_s": float(np.median(bare)), "ratio": ratio}
        )
    return rows


def loop_seconds(config: Config, updates: int) -> list[float]:
    """Seconds per update of the training loop, from its own log, without its first report (a warm-up)."""
    with contextlib.redirect_stdout(None):
        train(config, Processes(config.train.device))
    lines = [json.loads(line) for line in (config.run_directory / "metrics.jsonl").read_text().splitlines()]
    times = [(line["step"], line["time"]) for line in lines if line["kind"] == "train" and line["step"] % updates == 0]
    return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(times)]


def bare_seconds(config: Config, updates: int) -> float:
    """Seconds per bare update, after as many to warm up as `loop_seconds` leaves out."""
    bare_update = BareUpdate(config)
    timed(bare_update, updates)
    return timed(bare_update, updates)


def reading(folder: Path) -> list[Row]:
    """Segments of 30 s (EEG and ECG, 200 Hz) per second in one process: median of seven passes over a warm store."""
    store = Store(make_store(folder / "store", nights=4, hours=2, rate_hz=200))
    rows = []
    for normalisation in ("robust_night", "minmax_window"):
        for threads in (1, 2):
            torch.set_num_threads(threads)
            config = DataConfig(normalisation=normalisation)
            spec = resolve({"eeg": {}, "ecg": {}}, config, store.rate_hz)
            segments = Segments(open_nights((Source(str(store.path)),), "all"), {"both": spec}, config)
            order = np.random.default_rng(0).permutation(len(segments))
            batches = [order[i : i + 256] for i in range(0, len(order), 256)]

            def read(segments: Segments = segments, batches: list[np.ndarray] = batches) -> None:
                for batch in batches:
                    segments[batch]

            read()
            seconds = float(np.median([timed(read) for _ in range(7)]))
            rows.append({"normalisation": normalisation, "threads": threads, "segments_per_s": len(segments) / seconds})
    return rows


def memory(folder: Path) -> list[Row]:
    """Peak anonymous memory of all training processes, MB, of a run on 2 full nights and of one on 200."""
    rows = []
    for nights in (2, 200):
        store = make_store(folder / f"store{nights}", nights=nights, hours=8, rate_hz=200, sparse=True)
        settings = (
            f"data.store={store}", f"runs_root={folder / f'runs{nights}'}", "train.validate_every=0",
            "train.batch_size=32", "model.filters=[2,2,2,2,2]", "model.bottom_filters=4", "data.workers=1",
            "train.epochs=1000", "train.device=cpu",
        )  # fmt: skip
        command = launch_command("train_ddp.py", 2, ("--config", "eeg_base", "--set", *settings))
        process = subprocess.Popen(
            command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            metrics = folder / f"runs{nights}" / "4class" / "eeg_base" / "metrics.jsonl"
            while not metrics.exists():
                time.sleep(0.2)
            samples = []
            for _ in range(60):
                time.sleep(0.5)
                samples.append(sum(anonymous_mb(pid) for pid in process_tree(process.pid)))
        finally:
            process.terminate()
            process.wait()
        rows.append({"nights": nights, "anonymous_mb": max(samples), "updates": metrics.read_text().count("\n") * 10})
    rows.append({"difference_mb": rows[1]["anonymous_mb"] - rows[0]["anonymous_mb"]})
    return rows


def processes(folder: Path) -> list[Row]:
    """Sleep epochs per second of two processes, each with one thread, against one: medians of three runs in turn.

    The published network, signals at 64 Hz. apart: two independent runs of one process side by side, the limit that the
    machine sets.
    """
    store = make_store(folder / "store", nights=8, hours=1, rate_hz=64)
    rows = []
    for batch_size in (32, 256):
        speeds: dict[str, list[float]] = {"one": [], "two": [], "apart": []}
        for repeat in range(3):
            for name, runs, count in (("one", 1, 1), ("two", 1, 2), ("apart", 2, 1)):
                roots = [folder / f"{name}{batch_size}_{repeat}_{i}" for i in range(runs)]
                started = [start_training(store, root, count, batch_size) for root in roots]
                if any([process.wait() for process in started]):
                    raise RuntimeError("training failed")
                speeds[name].append(sum(sleep_epochs_per_second(root) for root in roots))
        one, two, apart = (float(np.median(values)) for values in speeds.values())
        rows.append({"batch_size": batch_size, "one": one, "two": two, "ratio": two / one, "apart_ratio": apart / one})
    return rows


def start_training(store: Path, root: Path, count: int, batch_size: int) -> subprocess.Popen:
    """Start ecg_base on `count` processes of one thread each."""
    settings = (
        f"data.store={store}", f"runs_root={root}", "train.validate_every=0", f"train.batch_size={batch_size}",
        "train.log_every=1", f"train.epochs={2 if batch_size > 100 else 1}", "train.device=cpu",
    )  # fmt: skip
    command = launch_command("train_ddp.py", count, ("--config", "ecg_base", "--set", *settings))
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)


def sleep_epochs_per_second(root: Path) -> float:
    """The median of a run's log, without its first update (a warm-up)."""
    lines = (root / "4class" / "ecg_base" / "metrics.jsonl").read_text().splitlines()
    return float(np.median([json.loads(line)["sleep_epochs_per_second"] for line in lines][1:]))


def cache(folder: Path, updates: int = 8, repeats: int = 3) -> list[Row]:
    """Seconds per update with teacher targets from the cache and with the teacher computed; bytes per segment.

    As in `loop`: the published network, signals at 32 Hz, batches of 16; the cache is filled before the first update.
    full_size_bytes_per_segment: of the published network at 200 Hz.
    """
    store = make_store(folder / "store", nights=7, hours=0.5, rate_hz=32)
    rows = []
    for name in ("kd_temp", "feat_train"):
        seconds: dict[str, list[float]] = {"false": [], "true": []}
        for repeat in range(repeats):
            for cached, found in seconds.items():
                overrides = [
                    f"data.store={store}", f"runs_root={folder / f'{name}{repeat}{cached}'}", "train.batch_size=16",
                    f"train.log_every={updates}", "train.validate_every=0", "train.device=cpu", "train.epochs=1",
                    f"distill.cache_teacher={cached}",
                ]  # fmt: skip
                config = load_config([name], overrides)
                write_untrained(config, store)
                found += loop_seconds(config, updates)
        files = list((config.run_directory / "teacher" / "train").glob("*.npy"))
        segments = len(np.load(files[0], mmap_mode="r"))
        computed, read = (float(np.median(values)) for values in seconds.values())
        rows.append(
            {
                "stage": name, "teacher_computed_s": computed, "teacher_cached_s": read, "saved": 1 - read / computed,
                "bytes_per_segment": sum(file.stat().st_size for file in files) / segments,
                "full_size_bytes_per_segment": 4 * full_size_floats(config, folder / f"full_{name}"),
            }
        )  # fmt: skip
    return rows


def full_size_floats(config: Config, folder: Path) -> int:
    """The numbers that the cache holds per segment of signals at 200 Hz."""
    store = make_store(folder / "full", nights=1, hours=0.1, rate_hz=200)
    data, train_one = replace(config.data, store=str(store)), replace(config.train, batch_size=1)
    config = replace(config, data=data, runs_root=f"{config.runs_root}_full", train=train_one)
    bare_update = BareUpdate(replace(config, distill=DistillConfig(cache_teacher=False)))
    return sum(x.numel() for x in bare_update.teacher_targets().values())


BENCHMARKS = {"loop": loop, "reading": reading, "memory": memory, "processes": processes, "cache": cache}

if __name__ == "__main__":
    run_command(main)
