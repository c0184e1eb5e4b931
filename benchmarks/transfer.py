"""Attention transfer: does a student's map depend on the segment, or is it the same for all segments?

    python -m benchmarks.transfer runs/table/runs/single/seed*/3class/feat_train/best.pt

For each student, the attention transfer loss on the validation nights of
- first: the network before training;
- trained: the checkpoint, selected on the validation nights by this loss;
- constant map: one map per tap for all segments, the median of the teacher's maps on the training nights at each
  position (the best constant for an L1 distance);
- other segment: the teacher's maps of another segment drawn at random.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sleepkd.checkpoints.trained import load_trained
from sleepkd.config import require
from sleepkd.data.batches import each_once
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import STUDENT, Segments
from sleepkd.distributed import Processes
from sleepkd.errors import run_command
from sleepkd.losses.at import AttentionTransferSettings, attention_energy, attention_map, map_distance_sum
from sleepkd.training.stage import Stage
from train_ddp import build_stage

BATCH = 256
Energies = dict[str, Tensor]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table row per student, and the mean over students."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.transfer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="FILE", help="checkpoint of a feat_train stage")
    checkpoints = parser.parse_args(arguments).checkpoints
    rows = [row(path) for path in checkpoints]
    names = list(rows[0])
    print(f"| student | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for path, found in zip(checkpoints, rows, strict=True):
        print(f"| {path.parent.relative_to(path.parents[3])} | {' | '.join(f'{v:.4f}' for v in found.values())} |")
    print(f"| mean | {' | '.join(f'{np.mean([found[name] for found in rows]):.4f}' for name in names)} |")


def row(checkpoint: Path) -> dict[str, float]:
    """The four values of the loss for one student."""
    trained = load_trained(checkpoint)
    config = trained.config
    settings = config.loss["at"]
    assert isinstance(settings, AttentionTransferSettings)
    fits = "at" in config.active_losses and settings.normalisation == "sample"
    require(fits, f"{checkpoint}: loss.at", "must have a weight and normalisation: sample")
    nights = {part: open_nights(config.data.sources, part) for part in ("train", "validation")}
    stage = build_stage(config, nights["train"][0].rate_hz)  # its student is untrained
    segments = {part: Segments(of_part, stage.readers, config.data) for part, of_part in nights.items()}
    targets = {part: maps_of(stage, chosen, "teacher") for part, chosen in segments.items()}
    first = maps_of(stage, segments["validation"], "student")
    stage.student.load_state_dict(trained.network.state_dict())
    after = maps_of(stage, segments["validation"], "student")
    held_out = targets["validation"]
    n = len(segments["validation"])
    constant = {tap: maps.median(dim=0).values.expand(n, -1) for tap, maps in targets["train"].items()}
    order = torch.from_numpy(np.random.default_rng(0).permutation(n))
    others = {tap: maps[order] for tap, maps in held_out.items()}

    def loss(maps: Energies) -> float:
        return distance(maps, held_out, settings) / n

    return {"first": loss(first), "trained": loss(after), "constant map": loss(constant), "other segment": loss(others)}


def distance(student: Energies, teacher: Energies, settings: AttentionTransferSettings) -> float:
    """The attention transfer loss of two sets of maps (S, L) by tap, summed over segments."""

    def of_pair(pair: tuple[str, str]) -> float:
        a, b = student[pair[0]], teacher[pair[1]]
        return float(map_distance_sum(a, b, torch.ones_like(a, dtype=torch.bool)))

    return float(np.mean([np.mean([of_pair(pair) for pair in group]) for group in settings.pairs]))


@torch.no_grad()
def maps_of(stage: Stage, segments: Segments, whose: str) -> Energies:
    """The attention maps (S, L) of the student or the teacher, by tap."""
    stage.student.eval()
    assert stage.teacher is not None, "attention transfer has a teacher"
    found: dict[str, list[Tensor]] = {}
    for _, batch in each_once(segments, Processes("cpu"), BATCH):
        if whose == "teacher":
            targets = stage.teacher.targets(batch, stage.objective)
            of_batch = {name.removeprefix("at."): energy for name, energy in targets.items()}
        else:
            stage.student(batch.inputs[STUDENT])
            of_batch = {tap: attention_energy(feature) for tap, feature in stage.taps.pop().items()}
        for tap, energy in of_batch.items():
            found.setdefault(tap, []).append(attention_map(energy))
    return {tap: torch.cat(parts) for tap, parts in found.items()}


if __name__ == "__main__":
    run_command(main)
