"""A teacher whose targets are computed once and kept on disk, from segments without augmentation.

There is one float32 array per target ("kd.logits", "at.bottom"), with a row per segment.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sleepkd.data.batches import each_once
from sleepkd.data.inputs import InputSpec
from sleepkd.data.segments import STUDENT, Batch, Segments
from sleepkd.distributed import Processes
from sleepkd.files import write_text_atomically
from sleepkd.losses.loss import NetworkOutput, at_least_float32
from sleepkd.losses.objective import Objective
from sleepkd.precision import autocast, signal_dtype
from sleepkd.settings import Config, result_settings
from sleepkd.teachers.base import Teacher
from sleepkd.teachers.networks import TrainedTeacher
from sleepkd.teachers.shared_logits import SharedLogits


class CachedTeacher(Teacher):
    """A trained teacher with its targets on disk. `prepare` computes missing and outdated ones."""

    has_features = True

    def __init__(self, teacher: TrainedTeacher, config: Config):
        self._teacher, self._config = teacher, config
        self.networks: Sequence[nn.Module] = teacher.networks
        self.readers: Mapping[str, InputSpec] = teacher.readers
        self.may_lack = teacher.may_lack
        self.classes = teacher.classes
        self._taps_features = False

    def __str__(self) -> str:
        return str(self._teacher)

    @property
    def trained_on(self) -> dict[str, list[str]]:
        """{cohort/recording: digests} of the nights that the networks were trained on."""
        return self._teacher.trained_on

    def tap(self, paths: tuple[str, ...], key: str, view: str) -> dict[str, tuple[int, ...]]:
        """Register forward hooks on the teacher; returns feature shapes."""
        self._taps_features = self._taps_features or bool(paths)
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
        shared = None if self._taps_features else self._shared(segments)
        found = (
            self._each_once(segments, objective, processes, batch_size)
            if shared is None
            else self._by_night(segments, objective, processes, batch_size, shared)
        )
        for numbers, targets in found:
            for name, x in targets.items():
                files[name][numbers] = x.float().cpu().numpy()
        for file in files.values():
            file.flush()
        processes.wait()

    def _each_once(
        self, segments: Segments, objective: Objective, processes: Processes, batch_size: int
    ) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
        """The indices of segments of this process, and their targets."""
        for numbers, batch in each_once(segments, processes, batch_size):
            yield numbers, self._per_segment(batch, objective, processes)

    def _by_night(
        self, segments: Segments, objective: Objective, processes: Processes, batch_size: int, shared: SharedLogits
    ) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
        """As `_each_once`, night by night; logits that another run has computed are read."""
        nights = segments.table.night
        for night in np.unique(nights)[processes.rank :: processes.world]:
            rows = np.flatnonzero(nights == night)
            logits = shared.read(segments, rows)
            if logits is None:
                parts = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
                outputs = [self._output_of(segments[part], processes).logits for part in parts]
                logits = np.concatenate([at_least_float32(x).cpu().numpy() for x in outputs])
                shared.write(segments, rows, logits)
            targets = objective.targets(NetworkOutput(torch.from_numpy(logits), {}))
            yield rows, per_segment(targets, len(rows))

    def _shared(self, segments: Segments) -> SharedLogits | None:
        """The logits of this teacher that other runs have computed, or will read; None without a folder for them."""
        if not self._config.distill.shared_cache:
            return None
        data = self._data_settings(("data.",))
        data = {key: value for key, value in data.items() if key not in ("data.split", "data.nights")}
        identity = {
            "teacher": self._teacher.identity(),
            "reading": self._reading(segments),
            "data": data,
            "precision": self._config.train.precision,
        }
        return SharedLogits(Path(self._config.distill.shared_cache), identity)

    def _per_segment(self, batch: Batch, objective: Objective, processes: Processes) -> dict[str, Tensor]:
        """Targets (B, sequences per segment, …) by name; `targets` flattens the first two dimensions again."""
        return per_segment(objective.targets(self._output_of(batch, processes)), len(batch.labels))

    @torch.no_grad()
    def _output_of(self, batch: Batch, processes: Processes) -> NetworkOutput:
        with autocast(self._config, processes.device):
            return self._teacher.output(batch.to(processes.device, signal_dtype(self._config)))

    def _data_settings(self, parts: tuple[str, ...]) -> dict[str, Any]:
        """Settings of these parts that change results, but for augmentation."""
        return {
            key: value
            for key, value in result_settings(self._config).items()
            if key.startswith(parts) and not key.startswith("data.augment.")
        }

    def _reading(self, segments: Segments) -> dict[str, dict[str, Any]]:
        """The inputs of the teacher's readers."""
        return {
            reader: {name: asdict(item) for name, item in spec.items()}
            for reader, spec in segments.readers.items()
            if reader != STUDENT
        }

    def _identity(self, segments: Segments) -> dict[str, str]:
        """What the targets depend on: teacher weights, segments, inputs, losses, precision.

        Settings that do not change results (`settings.RUNTIME_KEYS`) are left out.
        """
        table = hashlib.sha256()
        for name in segments.table.COLUMNS:
            table.update(np.ascontiguousarray(getattr(segments.table, name)).tobytes())
        settings, reading = self._data_settings(("data.", "loss.", "distill.")), self._reading(segments)
        nights = [(night.key, asdict(night.info)) for night in segments.nights]
        described = json.dumps([settings, reading, nights], sort_keys=True, default=str)
        return {
            "teacher": self._teacher.identity(),
            "segments": table.hexdigest(),
            "reading": hashlib.sha256(described.encode()).hexdigest(),
            "precision": self._config.train.precision,
        }


def per_segment(targets: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Targets by sequence as targets of so many segments, (segments, sequences per segment, …)."""
    return {name: x.unflatten(0, (count, -1)) for name, x in targets.items()}
