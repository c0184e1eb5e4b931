"""Did attention transfer teach the student anything about a window, or only what all segments have in common?

    python -m benchmarks.transfer runs/table/runs/single/seed*/3class/feat_train/best.pt

For each student: the attention transfer loss on the validation nights, by group of taps, of
- first: the same network before training;
- trained: the checkpoint, which validation chose by this very loss;
- same map: one map per tap for all segments, the position-wise median of the teacher's maps on the training nights
  (the best constant for an L1 distance). It knows nothing of a window;
- other window: the teacher's own maps, of another window drawn at random.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sleepkd.config import require
from sleepkd.data.batches import each_once
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.distillation.stage import STUDENT, Stage, build_stage
from sleepkd.losses.at import AttentionTransferSettings, attention_energy, attention_map, map_distance_sum
from sleepkd.checkpoints.trained import load_trained
from sleepkd.distributed import Processes
from sleepkd.errors import run_command

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
    of_windows = "at" in config.active_losses and config.loss["at"].normalisation == "window"
    require(of_windows, f"{checkpoint}: loss.at", "must have a weight and normalisation window: maps of single segments")
    nights = {part: open_nights(config.data.sources, part) for part in ("train", "validation")}
    stage = build_stage(config, nights["train"][0].rate_hz)  # its student is untrained
    segments = {part: Segments(of_part, stage.readers, config.data) for part, of_part in nights.items()}
    targets = {part: maps_of(stage, chosen, "teacher") for part, chosen in segments.items()}
    first = maps_of(stage, segments["validation"], "student")
    stage.student.load_state_dict(trained.network.state_dict())
    after = maps_of(stage, segments["validation"], "student")
    held_out = targets["validation"]
    n = len(segments["validation"])
    same = {tap: maps.median(dim=0).values.expand(n, -1) for tap, maps in targets["train"].items()}
    order = torch.from_numpy(np.random.default_rng(0).permutation(n))
    others = {tap: maps[order] for tap, maps in held_out.items()}

    def loss(maps: Energies) -> float:
        return distance(maps, held_out, config.loss["at"]) / n

    return {"first": loss(first), "trained": loss(after), "same map": loss(same), "other window": loss(others)}


def distance(student: Energies, teacher: Energies, settings: AttentionTransferSettings) -> float:
    """The attention transfer loss of two sets of maps (W, L) by tap, summed over segments."""

    def of_pair(pair: tuple[str, str]) -> float:
        a, b = student[pair[0]], teacher[pair[1]]
        return float(map_distance_sum(a, b, torch.ones_like(a, dtype=torch.bool)))

    return float(np.mean([np.mean([of_pair(pair) for pair in group]) for group in settings.pairs]))


@torch.no_grad()
def maps_of(stage: Stage, segments: Segments, whose: str) -> Energies:
    """The attention maps (W, L) of the student or the teacher, by tap."""
    stage.student.eval()
    found: dict[str, list[Tensor]] = {}
    for _, batch in each_once(segments, Processes("cpu"), BATCH):
        if whose == "teacher":
            of_batch = {name.removeprefix("at."): energy for name, energy in stage.teach(batch).items()}
        else:
            stage.student(batch.inputs[STUDENT])
            of_batch = {tap: attention_energy(feature) for tap, feature in stage.student_taps.pop().items()}
        for tap, energy in of_batch.items():
            found.setdefault(tap, []).append(attention_map(energy))
    return {tap: torch.cat(parts) for tap, parts in found.items()}


if __name__ == "__main__":
    run_command(main)
