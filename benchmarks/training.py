"""What the loop costs beside the bare arithmetic, and what reading, memory and a second process cost.

    python -m benchmarks.training loop        # the training loop against a bare step, every stage, in one run
    python -m benchmarks.training reading     # segments per second from a store, warm cache
    python -m benchmarks.training memory      # anonymous memory on 200 full nights against 2
    python -m benchmarks.training processes   # two processes on two cores against one on one
    python -m benchmarks.training cache       # distill.cache_teacher: an update with it and without, and its size

Each prints a table and writes benchmarks/results/training_<name>.json with the machine's description. Stores are made
on the spot (noise in the store's own format; sparse files where only the size matters).
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from sleepkd.distillation.setup import Run, set_up

from sleepkd.checkpoints.checkpoint import save_checkpoint
from sleepkd.checkpoints.trained import untrained
from sleepkd.data.data_settings import DataConfig, Source
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.nights import open_nights
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo, SignalInfo
from sleepkd.data.segments import Batch, Segments
from sleepkd.data.splits import write_split
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.distributed import Processes
from sleepkd.files import write_text_atomically
from sleepkd.provenance import launch_command
from sleepkd.settings import Config, DistillConfig, load_config
from train_ddp import train, update

RESULTS = Path(__file__).parent / "results"
STAGES = ("eeg_base", "ecg_base", "kd_temp", "feat_train", "feat_wce", "feat_temp")


def main() -> None:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(BENCHMARKS))
    what = parser.parse_args().what
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


def loop(folder: Path, updates: int = 8, repeats: int = 3) -> list[dict]:
    """Seconds per update of `train` (second half of each run) and of a bare step, in turn; medians and their ratio.

    The published network on signals at 32 Hz, batches of 16 segments.
    """
    store = make_store(folder / "store", nights=7, hours=0.5, rate_hz=32)  # 26 updates an epoch
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
    """Seconds per update of the training loop, from its own log, without the first flush (it warms up)."""
    with contextlib.redirect_stdout(None):
        train(config, Processes(config.train.device))
    lines = [json.loads(line) for line in (config.run_directory / "metrics.jsonl").read_text().splitlines()]
    times = [(line["step"], line["time"]) for line in lines if line["kind"] == "train" and line["step"] % updates == 0]
    return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(times)]


def bare_seconds(config: Config, updates: int) -> float:
    """Seconds per update of a bare step, after as many to warm up as `loop_seconds` leaves out."""
    step = bare_step(*bare_run(config))
    timed(step, updates)
    return timed(step, updates)


def bare_step(run: Run, rows: np.ndarray, batch: Batch) -> Callable[[], None]:
    """The loop's own `update` on one batch that is in memory: no reading, no log, no checkpoint."""

    def step() -> None:
        update(run, rows, iter([batch]))
        run.log.reset()

    return step


def bare_run(config: Config) -> tuple[Run, np.ndarray, Batch]:
    """A run before its first update, in a folder of its own beside that of the config; its first rows, in memory."""
    config = replace(config, runs_root=f"{config.runs_root}_bare", train=replace(config.train, accumulate=1))
    write_untrained(config, Path(config.data.store))
    with contextlib.redirect_stdout(None):
        run = set_up(config, Processes(config.train.device))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # nothing here looks at the run's stop flag
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    run.begin_epoch()
    rows = np.arange(min(config.train.batch_size, len(run.segments)))
    return run, rows, run.segments[rows].to(run.processes.device, run.dtype)


def reading(folder: Path) -> list[dict]:
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
            rows.append({"normalisation": normalisation, "threads": threads, "windows_per_s": len(segments) / seconds})
    return rows


def memory(folder: Path) -> list[dict]:
    """RssAnon of all training processes, in MB: the largest of a run on 2 full nights and on 200."""
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
                samples.append(sum(anonymous_mb(pid) for pid in tree(process.pid)))
        finally:
            process.terminate()
            process.wait()
        rows.append({"nights": nights, "anonymous_mb": max(samples), "updates": metrics.read_text().count("\n") * 10})
    rows.append({"difference_mb": rows[1]["anonymous_mb"] - rows[0]["anonymous_mb"]})
    return rows


def processes(folder: Path) -> list[dict]:
    """Sleep epochs per second of two processes, each with one thread, against one: medians of three runs in turn.

    The published network, signals at 64 Hz. apart: two runs of one process side by side, that do not talk to each
    other: what the machine allows two busy cores.
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
    """The median of a run's log, without its first update (it warms up)."""
    lines = (root / "4class" / "ecg_base" / "metrics.jsonl").read_text().splitlines()
    return float(np.median([json.loads(line)["sleep_epochs_per_second"] for line in lines][1:]))


def cache(folder: Path, updates: int = 8, repeats: int = 3) -> list[dict]:
    """Seconds per update with the teacher's outputs from disk, and with the teacher run; the cache's bytes per window.

    As `loop`: the published network, signals at 32 Hz, batches of 16; the cache is made before the first update.
    full_size: the floats per window that the published network at 200 Hz would put there, times four bytes.
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
        run, read = (float(np.median(values)) for values in seconds.values())
        rows.append(
            {
                "stage": name, "teacher_run_s": run, "teacher_cached_s": read, "saved": 1 - read / run,
                "bytes_per_window": sum(file.stat().st_size for file in files) / segments,
                "full_size_bytes_per_window": 4 * full_size_floats(config, folder / f"full_{name}"),
            }
        )  # fmt: skip
    return rows


def full_size_floats(config: Config, folder: Path) -> int:
    """The cached numbers per window at 200 Hz: what the terms keep of one window's teacher."""
    store = make_store(folder / "full", nights=1, hours=0.1, rate_hz=200)
    data = replace(config.data, store=str(store))
    config = replace(config, data=data, runs_root=f"{config.runs_root}_full", train=replace(config.train, batch_size=1))
    write_untrained(config, store)
    with contextlib.redirect_stdout(None):
        run = set_up(replace(config, distill=DistillConfig(cache_teacher=False)), Processes("cpu"))
    return sum(x.numel() for x in run.stage.teach(run.segments[np.array([0])]).values())


def make_store(path: Path, nights: int, hours: float, rate_hz: float, sparse: bool = False) -> Path:
    """A store of nights of noise with a beat a second; sparse: files of full size that hold zeros and take no room."""
    create_store(path, StoreSettings("benchmark", rate_hz))
    samples = round(hours * 3600 * rate_hz)
    n = int(hours * 120)
    rng = np.random.default_rng(0)
    hypnogram = Hypnogram(30.0 * np.arange(n), np.full(n, 30.0), rng.integers(0, 5, n).astype(np.int8))
    fact = SignalInfo(
        "C3-A2", "uV", rate_hz, rate_hz, samples, scale=0.1, offset=0, median=0, iqr=30, scored_median=0, scored_iqr=30
    )
    names = [f"n{night:03d}" for night in range(nights)]
    for name in names:
        noise = np.zeros(1, np.int16) if sparse else rng.integers(-3000, 3000, samples).astype(np.int16)
        signals = {"eeg": fact, "ecg": replace(fact, unit="mV")}
        beats = np.cumsum(rng.uniform(0.8, 1.2, size=round(3600 * hours)))
        facts = BeatsInfo("drawn", len(beats), 1.0)
        info = RecordingInfo(name, name, "all", "aasm", "noise", "drawn", 3600 * hours, signals, {}, beats=facts)
        write_recording(path, info, {"eeg": noise, "ecg": noise}, hypnogram, beats, np.ones(n, np.float32))
        if sparse:
            for kind in ("eeg", "ecg"):
                file = path / "recordings" / name / f"{kind}.npy"
                np.lib.format.open_memmap(file, "w+", np.int16, (samples,))
    write_split(path / "splits" / "default", {"train": tuple(names), "validation": (), "test": ()}, "benchmark")
    return path


def write_untrained(config: Config, store: Path) -> None:
    """Checkpoints of the earlier stages, with first weights: speed does not depend on them."""
    rate = Store(store).rate_hz
    for name in config.stage.earlier:
        earlier = load_config([name], [f"data.classes={config.data.classes}"])
        save_checkpoint(config.stage_directory(name) / "best.pt", untrained(earlier, rate))


def timed(work: Callable[[], None], calls: int = 1) -> float:
    """Seconds that a call takes, of so many in a row."""
    started = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - started) / calls


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = 20) -> float:
    """Seconds of one call, of many in a row that the device is through with; a first round warms up."""

    def calls() -> None:
        for _ in range(repeats):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize()

    calls()
    return timed(calls) / repeats


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    pids = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                pids += tree(int(child))
    return pids


def anonymous_mb(pid: int) -> float:
    """RssAnon of one process, 0 where it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
    return 0.0


def machine() -> str:
    """The machine in a line."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {gb:.0f} GiB, {platform.system()}, torch {torch.__version__}"


BENCHMARKS = {"loop": loop, "reading": reading, "memory": memory, "processes": processes, "cache": cache}

if __name__ == "__main__":
    main()
