"""Training runs in the test's own process, the stores they read, and what they leave: checkpoints and logs."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import train_ddp
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint
from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.settings import load_config


def train(stage: str, overrides: list[str], *overlays: str, code: int = 0) -> tuple[Path, Checkpoint]:
    """Train in this process; returns the run directory and last.pt. The test fails where it ends with another code."""
    config = load_config([stage, *overlays], overrides)
    assert train_ddp.train(config, Processes("cpu")) == code
    return config.run_directory, read_checkpoint(config.run_directory / "last.pt")


def logged(folder: Path, kind: str = "train") -> list[dict[str, Any]]:
    """The lines of a run's metrics.jsonl of one kind."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def same_weights(a: Checkpoint, b: Checkpoint) -> bool:
    """Whether two checkpoints hold the same weights, to the last bit."""
    return a.model.keys() == b.model.keys() and all(torch.equal(a.model[name], b.model[name]) for name in a.model)


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """The largest distance of two tensors of the same name, relative to the norm of the first."""
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a if a[name].norm() == 0)
    return max(float((a[name] - b[name]).norm() / a[name].norm()) for name in a if a[name].norm() > 0)


def stop_in_update(number: int) -> Callable[..., torch.Tensor]:
    """`train_ddp.update`, in whose call `number` the process gets SIGTERM."""
    update, calls = train_ddp.update, 0

    def stopped(*args: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == number:
            signal.raise_signal(signal.SIGTERM)
        return update(*args)

    return stopped


def other_nights(store: Path, path: Path, cohort: str = "other") -> Store:
    """A copy of a store as if of other nights: of another cohort, without the digests that would tell."""
    shutil.copytree(store, path)
    about = json.loads((path / "store.json").read_text())
    (path / "store.json").write_text(json.dumps(about | {"cohort": cohort}))
    for file in path.glob("recordings/*/recording.json"):
        file.write_text(re.sub('"digest": "[0-9a-f]+"', '"digest": ""', file.read_text()))
    return Store(path)
