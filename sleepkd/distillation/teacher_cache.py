"""What a teacher says of every window, kept on disk: worth it where signals are never augmented, as here.

One row per window: logits (n, K) and, for attention transfer, the energy (L,) of each tap, in float32.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sleepkd.data.batches import load
from sleepkd.data.windows import Batch, Windows
from sleepkd.distillation.stage import Stage, autocast
from sleepkd.distributed import Processes
from sleepkd.files import write_text_atomically


def use_cached_teacher(stage: Stage, windows: Windows, folder: Path, processes: Processes) -> None:
    """Let batches of these windows bring the teacher's outputs from `folder`, computed first if they are not there.

    Afterwards the windows read the student's signal alone. Processes share the computing out. What is there of
    another teacher, other windows or another precision is replaced.
    """
    identity = _identity(stage, windows)
    whole = folder / "whole.json"
    fresh = not (whole.is_file() and json.loads(whole.read_text(encoding="utf-8")) == identity)
    processes.wait()  # nobody writes before all have looked
    if fresh:
        _compute(stage, windows, folder, processes)
        if processes.is_first:
            write_text_atomically(whole, json.dumps(identity, indent=1) + "\n")
        processes.wait()
    windows.extras = {path.stem: path for path in sorted(folder.glob("*.npy"))}
    windows.signals = (stage.config.stage.signal,)


def _compute(stage: Stage, windows: Windows, folder: Path, processes: Processes) -> None:
    shapes = {name: rows.shape[1:] for name, rows in _rows(stage, windows[np.array([0])], processes).items()}
    if processes.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (*folder.glob("*.npy"), folder / "whole.json"):
            stale.unlink(missing_ok=True)
        for name, shape in shapes.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (len(windows), *shape)).flush()
    processes.wait()
    files = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in shapes}
    mine = np.array_split(np.arange(len(windows)), processes.world)[processes.rank]
    size = stage.config.train.batch_size
    chosen = [mine[i : i + size] for i in range(0, len(mine), size)]
    for numbers, batch in zip(chosen, load(windows, chosen, stage.config.data, processes.device), strict=True):
        for name, rows in _rows(stage, batch, processes).items():
            files[name][numbers] = rows.float().cpu().numpy()
    for file in files.values():
        file.flush()
    processes.wait()


def _rows(stage: Stage, batch: Batch, processes: Processes) -> dict[str, Tensor]:
    dtype = next(stage.student.parameters()).dtype
    with autocast(stage.config, processes.device):
        output = stage.teach(batch.to(processes.device, dtype))
    return {"logits": output.logits, **output.energies}


def _identity(stage: Stage, windows: Windows) -> dict[str, str]:
    """What the rows depend on: the teacher's weights, the windows and how they are read, the precision."""
    table = hashlib.sha256()
    for name in windows.table.__dataclass_fields__:
        table.update(np.ascontiguousarray(getattr(windows.table, name)).tobytes())
    reading = {key: value for key, value in asdict(windows.config).items() if key not in ("workers", "prefetch")}
    nights = [(night.info.recording, asdict(night.info)) for night in windows.nights]
    weights = hashlib.sha256()
    for name, value in stage.teacher.network.state_dict().items():
        weights.update(name.encode() + value.detach().to("cpu", torch.float64).numpy().tobytes())
    return {
        "teacher": weights.hexdigest(),
        "windows": table.hexdigest(),
        "reading": hashlib.sha256(json.dumps([reading, nights], sort_keys=True, default=str).encode()).hexdigest(),
        "taps": hashlib.sha256(json.dumps(stage.config.distill.at_taps).encode()).hexdigest(),
        "terms": json.dumps([stage.config.loss.kd > 0, stage.config.loss.at > 0]),
        "precision": stage.config.train.precision,
    }
