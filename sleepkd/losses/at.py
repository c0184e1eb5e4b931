"""Attention transfer (AT; Zagoruyko & Komodakis, arXiv 1612.03928, as in Joshi et al., arXiv 2211.13125)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.config import require
from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses.loss import (
    FeatureShapes,
    Loss,
    LossSettings,
    NetworkOutput,
    at_least_float32,
    count_sequences,
)

Groups = tuple[tuple[str, ...], ...]

UTIME_TAPS: Groups = (
    ("encoder.0.pool", "encoder.1.pool", "encoder.2.pool", "encoder.3.pool", "encoder.4.pool"),
    ("bottom",),
    ("decoder.0", "decoder.1", "decoder.2", "decoder.3", "decoder.4"),
    ("decoder.4",),
    ("dense",),
)
"""The five groups of U-Time features of Joshi et al. The loss is the mean over groups of the mean over each group."""


@dataclass(frozen=True)
class AttentionTransferSettings(LossSettings):
    """Settings of attention transfer.

    taps: groups of the student's modules. teacher_taps: the teacher's modules in the same order, if their paths differ.
    normalisation: "sample" scales each map to unit norm over its positions (the paper). "batch" scales each position
    to unit norm over the batch (the released code); its value depends on how a batch is split.
    """

    taps: Groups = UTIME_TAPS
    teacher_taps: Groups = ()
    normalisation: Literal["sample", "batch"] = "sample"

    @property
    def student_modules(self) -> tuple[str, ...]:
        """The student's tapped modules, each once."""
        return _each_once(self.taps)

    @property
    def teacher_modules(self) -> tuple[str, ...]:
        """The teacher's tapped modules, each once."""
        return _each_once(self.teacher_taps or self.taps)

    @property
    def pairs(self) -> tuple[tuple[tuple[str, str], ...], ...]:
        """The groups as pairs (student's tap, teacher's tap)."""
        return tuple(
            tuple(zip(*both, strict=True)) for both in zip(self.taps, self.teacher_taps or self.taps, strict=True)
        )

    def check(self, key: str) -> None:
        """Raise UserError naming the key of an impossible value."""
        super().check(key)
        require(bool(self.taps) and all(self.taps), f"{key}.taps", "has no taps or an empty group")
        same = not self.teacher_taps or [len(g) for g in self.teacher_taps] == [len(g) for g in self.taps]
        require(same, f"{key}.teacher_taps", f"must have as many groups and taps as {key}.taps")


class AttentionTransfer(Loss):
    """L1 distance of the attention maps of student and teacher: the mean over positions, then over sequences.

    A sequence is a sleep epoch in view `epochs`, a segment in view `night`.
    """

    Settings = AttentionTransferSettings
    needs_logits = False

    def __init__(self, settings: Any, shapes: FeatureShapes):
        super().__init__(settings, shapes)
        for pair in (pair for group in settings.pairs for pair in group):
            length, other = shapes.student[pair[0]][-1], shapes.teacher[pair[1]][-1]
            problem = f"{pair[0]} has {length} positions, the teacher's {pair[1]} has {other}"
            require(length == other, "loss.at.taps", problem)

    def targets(self, teacher: NetworkOutput) -> dict[str, Tensor]:
        """The attention energies (sequences, L) of the teacher's taps."""
        return {tap: attention_energy(teacher.features[tap]) for tap in self.settings.teacher_modules}

    def sum(self, student: NetworkOutput, targets: dict[str, Tensor], batch: Batch) -> Tensor:
        """Distances, summed over sequences. Padding and gaps are masked."""
        distance = {}
        for pair in dict.fromkeys(pair for group in self.settings.pairs for pair in group):
            energies = attention_energy(student.features[pair[0]]), targets[pair[1]].detach()
            mask = batch.positions(energies[0].shape[-1])
            distance[pair] = map_distance_sum(*energies, mask, self.settings.normalisation)
        groups = [torch.stack([distance[pair] for pair in group]).mean() for group in self.settings.pairs]
        return torch.stack(groups).mean()

    def normalizer(self, table: SegmentTable) -> float:
        """Number of sequences."""
        return count_sequences(table)


def attention_energy(feature_BCL: Tensor) -> Tensor:
    """The sum over channels of the squares of a feature, (B, C, L) → (B, L)."""
    return at_least_float32(feature_BCL).square().sum(dim=1)


def attention_map(energy_BL: Tensor, normalisation: Literal["sample", "batch"] = "sample") -> Tensor:
    """An energy (B, L) at unit L2 norm: over the positions of each sequence, or at each position over the batch."""
    return F.normalize(energy_BL, dim=1 if normalisation == "sample" else 0)


def map_distance_sum(
    student_BL: Tensor, teacher_BL: Tensor, mask_BL: Tensor, normalisation: Literal["sample", "batch"] = "sample"
) -> Tensor:
    """L1 distance of the maps of two energies (B, L), the mean over the positions in the mask, summed over B."""
    maps = [attention_map(energy * mask_BL, normalisation) for energy in (student_BL, teacher_BL)]
    distance_BL = (maps[0] - maps[1]).abs()  # 0 where masked
    return (distance_BL.sum(dim=1) / mask_BL.sum(dim=1).clamp_min(1)).sum()


def _each_once(groups: Groups) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tap for group in groups for tap in group))
