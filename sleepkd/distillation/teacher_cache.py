"""What the terms need of a teacher's answers, kept on disk: a teacher sees no row augmented.

One array per thing kept ("kd.logits", "at.bottom"), a row per row of the windows, in float32.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from torch import Tensor

from sleepkd.config import to_dict
from sleepkd.data.batches import each_once
from sleepkd.data.windows import Batch, Windows
from sleepkd.distillation.stage import STUDENT, Stage, autocast
from sleepkd.distributed import Processes
from sleepkd.files import write_text_atomically
from sleepkd.training.run_directory import computed


def use_cached_teacher(stage: Stage, windows: Windows, folder: Path, processes: Processes, rows_at_once: int) -> None:
    """Let batches of these windows bring the teacher's outputs from `folder`, computed first if they are not there.

    Afterwards the windows read the student's inputs alone. Processes share the computing out, rows_at_once each. What
    is there of another teacher, other windows or another precision is replaced.
    """
    identity = _identity(stage, windows)
    whole = folder / "whole.json"
    fresh = not (whole.is_file() and json.loads(whole.read_text(encoding="utf-8")) == identity)
    processes.wait()  # nobody writes before all have looked
    if fresh:
        _compute(stage, windows, folder, processes, rows_at_once)
        if processes.is_first:
            write_text_atomically(whole, json.dumps(identity, indent=1) + "\n")
        processes.wait()
    windows.taught = {path.name.removesuffix(".npy"): path for path in sorted(folder.glob("*.npy"))}
    windows.readers = {STUDENT: windows.readers[STUDENT]}


def _compute(stage: Stage, windows: Windows, folder: Path, processes: Processes, rows_at_once: int) -> None:
    shapes = {name: rows.shape[1:] for name, rows in _rows(stage, windows[np.array([0])], processes).items()}
    if processes.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (*folder.glob("*.npy"), folder / "whole.json"):
            stale.unlink(missing_ok=True)
        for name, shape in shapes.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (len(windows), *shape)).flush()
    processes.wait()
    files = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in shapes}
    for numbers, batch in each_once(windows, processes, rows_at_once):
        for name, rows in _rows(stage, batch, processes).items():
            files[name][numbers] = rows.float().cpu().numpy()
    for file in files.values():
        file.flush()
    processes.wait()


def _rows(stage: Stage, batch: Batch, processes: Processes) -> dict[str, Tensor]:
    """(B, stretches of a row, …) by name: `Stage.teach` flattens the first two again."""
    dtype = next(stage.student.parameters()).dtype
    with autocast(stage.config, processes.device):
        taught = stage.teach(batch.to(processes.device, dtype))
    return {name: x.unflatten(0, (len(batch.labels), -1)) for name, x in taught.items()}


def _identity(stage: Stage, windows: Windows) -> dict[str, str]:
    """What the rows depend on: the teacher's weights, the windows and how it reads them, what is kept, the precision.

    Of the settings, the same are ignored as when a run goes on (`run_directory.FREE`).
    """
    places = hashlib.sha256()
    for name in windows.places.__dataclass_fields__:
        places.update(np.ascontiguousarray(getattr(windows.places, name)).tobytes())
    config = computed(to_dict(stage.config))
    parts = ("data.", "loss.", "distill.")
    settings = {k: v for k, v in config.items() if k.startswith(parts) and not k.startswith("data.augment.")}
    reading = {
        reader: {name: asdict(item) for name, item in spec.items()}
        for reader, spec in windows.readers.items()
        if reader != STUDENT
    }
    nights = [(night.key, asdict(night.info)) for night in windows.nights]
    described = json.dumps([settings, reading, nights], sort_keys=True, default=str)
    return {
        "teacher": stage.teacher.identity(),
        "windows": places.hexdigest(),
        "reading": hashlib.sha256(described.encode()).hexdigest(),
        "precision": stage.config.train.precision,
    }
