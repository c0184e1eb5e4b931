"""Did attention transfer teach the student anything about a window, or only what all windows have in common?

    python -m benchmarks.transfer runs/table/runs/single/seed*/3class/feat_train/best.pt

For each student: the attention transfer loss on the validation nights, by group of taps, of
- first: the same network before training;
- trained: the checkpoint, which validation chose by this very loss;
- same map: one map per tap for all windows, the position-wise median of the teacher's maps on the training nights
  (the best constant for an L1 distance). It knows nothing of a window;
- other window: the teacher's own maps, of another window drawn at random.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from sleepkd.distillation.losses import attention_map, attention_sum
from sleepkd.models.build import load_trained
from torch import Tensor

from sleepkd.data.batches import load
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.data.windows import Windows
from sleepkd.distillation.stage import Stage, build_stage, energies

BATCH = 256
Energies = dict[str, Tensor]


def main() -> None:
    """Print a table row per student, and the mean over students."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    rows = [row(path) for path in parser.parse_args().checkpoints]
    names = list(rows[0])
    print(f"| student | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for path, found in zip(parser.parse_args().checkpoints, rows, strict=True):
        print(f"| {path.parent.relative_to(path.parents[3])} | {' | '.join(f'{v:.4f}' for v in found.values())} |")
    print(f"| mean | {' | '.join(f'{np.mean([found[name] for found in rows]):.4f}' for name in names)} |")


def row(checkpoint: Path) -> dict[str, float]:
    """The four losses of one student."""
    trained = load_trained(checkpoint)
    config = trained.config
    store = Store(config.data.store)
    stage = build_stage(config, store.rate_hz)  # its student is untrained
    split = read_split(store, config.data.split)
    windows = {part: Windows(store, split.part(part), config.data, stage.signals) for part in ("train", "validation")}
    taught = {part: maps_of(stage, chosen, "teacher") for part, chosen in windows.items()}
    first = maps_of(stage, windows["validation"], "student")
    stage.student.load_state_dict(trained.network.state_dict())
    after = maps_of(stage, windows["validation"], "student")
    held_out = taught["validation"]
    n = len(windows["validation"])
    same = {tap: maps.median(dim=0).values.expand(n, -1) for tap, maps in taught["train"].items()}
    order = torch.from_numpy(np.random.default_rng(0).permutation(n))
    others = {tap: maps[order] for tap, maps in held_out.items()}

    def loss(maps: Energies) -> float:
        return float(attention_sum(maps, held_out, config.distill.at_taps)) / n

    return {"first": loss(first), "trained": loss(after), "same map": loss(same), "other window": loss(others)}


@torch.no_grad()
def maps_of(stage: Stage, windows: Windows, whose: str) -> Energies:
    """The attention maps (W, L) of the student or the teacher, by tap."""
    stage.student.eval()
    batches = [np.arange(i, min(i + BATCH, len(windows))) for i in range(0, len(windows), BATCH)]
    found: dict[str, list[Tensor]] = {}
    for batch in load(windows, batches, stage.config.data, torch.device("cpu")):
        if whose == "teacher":
            of_batch = stage.teach(batch).energies
        else:
            stage.student(batch.signals[stage.config.stage.signal])
            of_batch = energies(stage.student_taps)
        for tap, energy in of_batch.items():
            found.setdefault(tap, []).append(attention_map(energy))
    return {tap: torch.cat(parts) for tap, parts in found.items()}


if __name__ == "__main__":
    main()
