"""What the benchmarks share: stores of noise, an update without the loop, timing, and the memory of processes."""

import contextlib
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sleepkd.checkpoints.checkpoint import Position, save_checkpoint
from sleepkd.checkpoints.trained import untrained
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.nights import open_nights
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo, SignalInfo
from sleepkd.data.segments import STUDENT, Batch, Segments
from sleepkd.data.splits import write_split
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.distributed import Processes
from sleepkd.precision import for_device, signal_dtype
from sleepkd.settings import Config, load_config
from sleepkd.teachers import earlier_stages
from sleepkd.training.log import TrainingLog
from sleepkd.training.state import TrainingState
from train_ddp import build_optimizer, build_stage, forward, update

RESULTS = Path(__file__).parent / "results"
STAGES = ("eeg_base", "ecg_base", "kd_temp", "feat_train", "feat_wce", "feat_temp")


class BareUpdate:
    """The update of train_ddp.py on one batch in memory, without reading, logging or checkpoints. Call it to do one.

    The batch holds the first `train.batch_size` segments, in one micro-batch.
    """

    def __init__(self, config: Config):
        self._processes = Processes(config.train.device)
        config = replace(config, runs_root=f"{config.runs_root}_bare", train=replace(config.train, accumulate=1))
        config = for_device(config, self._processes.device)
        write_untrained(config, Path(config.data.store))
        nights = open_nights(config.data.sources, "train")
        self.stage = build_stage(config, nights[0].rate_hz)
        self.stage.to(self._processes.device, signal_dtype(config))
        uses_unlabelled = self.stage.objective.uses_unlabelled
        segments = Segments(
            nights,
            self.stage.readers,
            config.data,
            uses_unlabelled,
            STUDENT,
            config.train.seed,
            absent=self.stage.absent,
        )
        self.stage.objective.fit(segments.table.labels)
        rows = np.arange(min(config.train.batch_size, len(segments)))
        self._table, self._batch = segments.table.take(rows), self._on_device(segments[rows])
        self._state = self._training_state(config)
        self.stage.learner.train()

    def __call__(self) -> None:
        """One update."""
        update(self.stage, self.stage.learner, self._state, self._table, iter([self._batch]), NoLog())

    def forward(self) -> None:
        """The forward part of an update alone, losses included."""
        normalizers = self.stage.objective.normalizers(self._table)
        forward(self.stage, self.stage.learner, self._batch, normalizers)

    def teacher_targets(self) -> dict[str, Tensor]:
        """What the losses read of the teacher for the batch."""
        assert self.stage.teacher is not None
        return self.stage.teacher.targets(self._batch, self.stage.objective)

    def _on_device(self, batch: Batch) -> Batch:
        return batch.to(self._processes.device, signal_dtype(self.stage.config))

    def _training_state(self, config: Config) -> TrainingState:
        settings, student = config.train, self.stage.student
        average = None
        if settings.ema_decay:
            average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True)
        scaler = torch.amp.GradScaler(self._processes.device.type, enabled=settings.precision == "fp16")
        optimizer = build_optimizer(self.stage.learner, settings)
        return TrainingState(student, self.stage.objective, optimizer, scaler, average, Position(), self._processes)


class NoLog(TrainingLog):
    """A training log that drops what it gets."""

    def __init__(self) -> None:
        pass

    def add(self, values: dict[str, Tensor], logits: Tensor, batch: Batch) -> None:
        """Drop the losses of a micro-batch."""


def make_store(path: Path, nights: int, hours: float, rate_hz: float, sparse: bool = False) -> Path:
    """A store of nights of noise with a heartbeat per second.

    sparse: signals of full length that hold zeros and take no space on disk.
    """
    create_store(path, StoreSettings("benchmark", rate_hz))
    samples = round(hours * 3600 * rate_hz)
    n = int(hours * 120)
    rng = np.random.default_rng(0)
    hypnogram = Hypnogram(30.0 * np.arange(n), np.full(n, 30.0), rng.integers(0, 5, n).astype(np.int8))
    eeg = SignalInfo(
        "C3-A2", "uV", rate_hz, rate_hz, samples, scale=0.1, offset=0, median=0, iqr=30, scored_median=0, scored_iqr=30
    )
    names = [f"n{night:03d}" for night in range(nights)]
    for name in names:
        noise = np.zeros(1, np.int16) if sparse else rng.integers(-3000, 3000, samples).astype(np.int16)
        signals = {"eeg": eeg, "ecg": replace(eeg, unit="mV")}
        beats = np.cumsum(rng.uniform(0.8, 1.2, size=round(3600 * hours)))
        beats_info = BeatsInfo("drawn", len(beats), 1.0)
        info = RecordingInfo(name, name, "all", "aasm", "noise", "drawn", 3600 * hours, signals, {}, beats=beats_info)
        write_recording(path, info, {"eeg": noise, "ecg": noise}, hypnogram, beats, np.ones(n, np.float32))
        if sparse:
            for kind in ("eeg", "ecg"):
                file = path / "recordings" / name / f"{kind}.npy"
                np.lib.format.open_memmap(file, "w+", np.int16, (samples,))
    write_split(path / "splits" / "default", {"train": tuple(names), "validation": (), "test": ()}, "benchmark")
    return path


def write_untrained(config: Config, store: Path) -> None:
    """Write checkpoints of a stage's earlier stages with initial weights; speed does not depend on the weights."""
    rate_hz = Store(store).rate_hz
    for name in earlier_stages(config):
        earlier = load_config([name], [f"data.classes={config.data.classes}"])
        save_checkpoint(config.stage_directory(name) / "best.pt", untrained(earlier, rate_hz))


def timed(work: Callable[[], object], calls: int = 1) -> float:
    """Seconds per call of so many calls in a row."""
    started = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - started) / calls


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = 20) -> float:
    """Seconds per call of so many calls that the device has finished, after as many to warm up."""

    def calls() -> None:
        for _ in range(repeats):
            work()
        if device.type == "cuda":
            torch.cuda.synchronize()

    calls()
    return timed(calls) / repeats


def process_tree(pid: int) -> list[int]:
    """The ids of a process and of all its descendants (Linux)."""
    pids = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                pids += process_tree(int(child))
    return pids


def anonymous_mb(pid: int) -> float:
    """Anonymous memory of one process (RssAnon of Linux), MB; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
    return 0.0


def core_seconds(pid: int) -> float:
    """Seconds of a core that one process has taken (Linux); 0 if it has ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def machine() -> str:
    """Cores, processor, memory, system and torch version in one line."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {gb:.0f} GiB, {platform.system()}, torch {torch.__version__}"
