"""Attention transfer (AT; Zagoruyko & Komodakis, arXiv 1612.03928, as in Joshi et al., arXiv 2211.13125)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.config import require
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import FeatureShapes, Loss, LossSettings, NetworkOutput, at_least_float32

Groups = tuple[tuple[str, ...], ...]

# Joshi et al.: five groups of U-Time's features, each the mean over its members, the loss the mean over the groups.
UTIME_TAPS: Groups = (
    ("encoder.0.pool", "encoder.1.pool", "encoder.2.pool", "encoder.3.pool", "encoder.4.pool"),
    ("bottom",),
    ("decoder.0", "decoder.1", "decoder.2", "decoder.3", "decoder.4"),
    ("decoder.4",),
    ("dense",),
)


@dataclass(frozen=True)
class AttentionTransferSettings(LossSettings):
    """taps: groups of the student's modules; teacher_taps: the teacher's in the same order, if they are called otherwise.

    normalisation "sample": each map over its positions (the paper); "batch": each position over the batch, as released,
    which depends on how a batch is split.
    """

    taps: Groups = UTIME_TAPS
    teacher_taps: Groups = ()
    normalisation: Literal["sample", "batch"] = "sample"

    @property
    def student_modules(self) -> tuple[str, ...]:
        """Each once, in order of first mention."""
        return _each_once(self.taps)

    @property
    def teacher_modules(self) -> tuple[str, ...]:
        """Each once, in order of first mention."""
        return _each_once(self.teacher_taps or self.taps)

    @property
    def pairs(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """The groups as (student's tap, teacher's tap)."""
        return tuple(
            tuple(zip(*both, strict=True)) for both in zip(self.taps, self.teacher_taps or self.taps, strict=True)
        )

    def check(self, key: str) -> None:
        """Refuse impossible values by key."""
        super().check(key)
        require(bool(self.taps) and all(self.taps), f"{key}.taps", "has no taps or an empty group")
        alike = not self.teacher_taps or [len(g) for g in self.teacher_taps] == [len(g) for g in self.taps]
        require(alike, f"{key}.teacher_taps", f"must have as many groups and taps as {key}.taps")


class AttentionTransfer(Loss):
    """Mean over positions of the L1 distance of attention maps, a mean over sequences: cuts, or rows of a night."""

    Settings = AttentionTransferSettings
    needs_logits = False

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        for pair in (pair for group in settings.pairs for pair in group):
            lengths = [of_taps[tap][-1] for of_taps, tap in zip((shapes.student, shapes.teacher), pair, strict=True)]
            alike = lengths[0] == lengths[1]
            require(
                alike, "loss.at.taps", f"{pair[0]} has {lengths[0]} positions, the teacher's {pair[1]} {lengths[1]}"
            )

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The energies (sequences, L) of the teacher's taps."""
        return {tap: attention_energy(teacher.features[tap]) for tap in self.settings.teacher_modules}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Distances, summed over sequences; what is padded or beyond a night counts in none."""
        distance = {}
        for pair in dict.fromkeys(pair for group in self.settings.pairs for pair in group):
            energies = attention_energy(student.features[pair[0]]), targets[pair[1]].detach()
            there = batch.positions(energies[0].shape[-1])
            distance[pair] = map_distance_sum(*energies, there, self.settings.normalisation)
        groups = [torch.stack([distance[pair] for pair in group]).mean() for group in self.settings.pairs]
        return torch.stack(groups).mean()

    def normalizer(self, table: SegmentTable) -> float:
        """Cuts of view `epochs`, rows of view `night`."""
        return float(table.sequences)


def attention_energy(feature_BCL: Tensor) -> Tensor:
    """Where a feature is strong: the sum over channels of its squares, (B, C, L) → (B, L)."""
    return at_least_float32(feature_BCL).square().sum(dim=1)


def attention_map(energy_BL: Tensor, normalisation: Literal["sample", "batch"] = "sample") -> Tensor:
    """An energy (B, L) at unit L2 norm: over the positions of each stretch, or at each position over the batch."""
    return F.normalize(energy_BL, dim=1 if normalisation == "sample" else 0)


def map_distance_sum(
    student_BL: Tensor, teacher_BL: Tensor, there_BL: Tensor, normalisation: Literal["sample", "batch"] = "sample"
) -> Tensor:
    """L1 distance of the maps of two energies (B, L), a mean over the positions that are there, summed over B."""
    maps = [attention_map(energy * there_BL, normalisation) for energy in (student_BL, teacher_BL)]
    distance_BL = (maps[0] - maps[1]).abs()  # 0 where nothing is
    return (distance_BL.sum(dim=1) / there_BL.sum(dim=1).clamp_min(1)).sum()


def _each_once(groups: Groups) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tap for group in groups for tap in group))
