"""A teacher whose targets are computed once and kept on disk, from segments without augmentation.

There is one float32 array per target ("kd.logits", "at.bottom"), with a row per segment.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sleepkd.data.batches import each_once
from sleepkd.data.inputs import InputSpec
from sleepkd.data.segments import STUDENT, Batch, Segments
from sleepkd.distributed import Processes
from sleepkd.files import write_text_atomically
from sleepkd.losses.loss import NetworkOutput
from sleepkd.losses.objective import Objective
from sleepkd.precision import autocast, signal_dtype
from sleepkd.settings import Config, result_settings
from sleepkd.teachers.base import Teacher
from sleepkd.teachers.networks import TrainedTeacher


class CachedTeacher(Teacher):
    """A trained teacher with its targets on disk. `prepare` computes missing and outdated ones."""

    has_features = True

    def __init__(self, teacher: TrainedTeacher, config: Config):
        self._teacher, self._config = teacher, config
        self.networks: Sequence[nn.Module] = teacher.networks
        self.readers: Mapping[str, InputSpec] = teacher.readers
        self.may_lack = teacher.may_lack
        self.classes = teacher.classes

    def __str__(self) -> str:
        return str(self._teacher)

    @property
    def trained_on(self) -> dict[str, list[str]]:
        """{cohort/recording: digests} of the nights that the networks were trained on."""
        return self._teacher.trained_on

    def tap(self, paths: tuple[str, ...], key: str, view: str) -> dict[str, tuple[int, ...]]:
        """Register forward hooks on the teacher; returns feature shapes."""
        return self._teacher.tap(paths, key, view)

    def output(self, batch: Batch) -> NetworkOutput:
        """The teacher's output, computed."""
        return self._teacher.output(batch)

    def targets(self, batch: Batch, objective: Objective) -> dict[str, Tensor]:
        """The targets that the batch brings from the cache."""
        return {name: rows.flatten(0, 1) for name, rows in batch.targets.items()}

    def prepare(
        self, segments: Segments, objective: Objective, folder: Path, processes: Processes, batch_size: int
    ) -> None:
        """Let batches of these segments bring the targets from `folder`; they no longer read the teacher's inputs.

        Processes share the computation, `batch_size` segments at a time. Targets of another teacher, other segments or
        another precision are replaced.
        """
        identity = self._identity(segments)
        whole = folder / "whole.json"
        stale = not (whole.is_file() and json.loads(whole.read_text(encoding="utf-8")) == identity)
        processes.wait()  # all have looked before one writes
        if stale:
            self._compute(segments, objective, folder, processes, batch_size)
            if processes.is_first:
                write_text_atomically(whole, json.dumps(identity, indent=1) + "\n")
            processes.wait()
        segments.targets = {path.name.removesuffix(".npy"): path for path in sorted(folder.glob("*.npy"))}
        segments.readers = {STUDENT: segments.readers[STUDENT]}

    def _compute(
        self, segments: Segments, objective: Objective, folder: Path, processes: Processes, batch_size: int
    ) -> None:
        first = self._per_segment(segments[np.array([0])], objective, processes)
        shapes = {name: x.shape[1:] for name, x in first.items()}
        if processes.is_first:
            folder.mkdir(parents=True, exist_ok=True)
            for stale in (*folder.glob("*.npy"), folder / "whole.json"):
                stale.unlink(missing_ok=True)
            for name, shape in shapes.items():
                np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (len(segments), *shape)).flush()
        processes.wait()
        files = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in shapes}
        for numbers, batch in each_once(segments, processes, batch_size):
            for name, x in self._per_segment(batch, objective, processes).items():
                files[name][numbers] = x.float().cpu().numpy()
        for file in files.values():
            file.flush()
        processes.wait()

    @torch.no_grad()
    def _per_segment(self, batch: Batch, objective: Objective, processes: Processes) -> dict[str, Tensor]:
        """Targets (B, sequences per segment, …) by name; `targets` flattens the first two dimensions again."""
        on_device = batch.to(processes.device, signal_dtype(self._config))
        with autocast(self._config, processes.device):
            targets = self._teacher.targets(on_device, objective)
        return {name: x.unflatten(0, (len(batch.labels), -1)) for name, x in targets.items()}

    def _identity(self, segments: Segments) -> dict[str, str]:
        """What the targets depend on: teacher weights, segments, inputs, losses, precision.

        Settings that do not change results (`settings.RUNTIME_KEYS`) are left out.
        """
        table = hashlib.sha256()
        for name in segments.table.COLUMNS:
            table.update(np.ascontiguousarray(getattr(segments.table, name)).tobytes())
        parts = ("data.", "loss.", "distill.")
        settings = {
            key: value
            for key, value in result_settings(self._config).items()
            if key.startswith(parts) and not key.startswith("data.augment.")
        }
        reading = {
            reader: {name: asdict(item) for name, item in spec.items()}
            for reader, spec in segments.readers.items()
            if reader != STUDENT
        }
        nights = [(night.key, asdict(night.info)) for night in segments.nights]
        described = json.dumps([settings, reading, nights], sort_keys=True, default=str)
        return {
            "teacher": self._teacher.identity(),
            "segments": table.hexdigest(),
            "reading": hashlib.sha256(described.encode()).hexdigest(),
            "precision": self._config.train.precision,
        }
