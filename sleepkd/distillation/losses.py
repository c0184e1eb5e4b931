"""The three losses as pure functions.

Each returns a *sum* over what one process holds; the training loop divides by what the whole batch holds
(`normalisers`), so that the result does not depend on how a batch is shared out over processes and micro-batches.
All are computed in float32 at least, whatever precision the networks ran in.
"""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sleepkd.data.hypnogram import UNSCORED


def normalisers(labels_BN: np.ndarray, present_BN: np.ndarray, class_weights_K: np.ndarray) -> dict[str, float]:
    """What the sums of one update are divided by, counted over its whole batch, by the name of the term.

    labels (B, n) with -1 unscored; present (B, n), false where a window is padded. ce: the class weights of all scored
    labels together, as in PyTorch's weighted mean; kd: sleep epochs; at: windows.
    """
    weight = float(class_weights_K[labels_BN[labels_BN != UNSCORED]].sum())
    # A batch without one scored label has a cross-entropy sum of 0; dividing it by 1 keeps it 0.
    return {"ce": weight or 1.0, "kd": float(present_BN.sum()), "at": float(len(labels_BN))}


def balanced_class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weights (K,) float64, n / (K * n_k): scikit-learn's 'balanced', over the scored labels of the training set.

    A class that never occurs gets weight 0 (no label will ask for it) and does not count towards K.
    """
    counts = np.bincount(labels[labels != UNSCORED].ravel(), minlength=classes)
    occurring = counts > 0
    weights = np.zeros(classes)
    weights[occurring] = counts.sum() / (occurring.sum() * counts[occurring])
    return weights


def cross_entropy_sum(logits_BNK: Tensor, labels_BN: Tensor, class_weights_K: Tensor) -> Tensor:
    """Class-weighted cross-entropy (CL), summed over scored sleep epochs; divide by the sum of their weights."""
    return F.cross_entropy(
        _precise(logits_BNK).flatten(0, 1),
        labels_BN.flatten(),
        weight=class_weights_K,
        ignore_index=UNSCORED,
        reduction="sum",
    )


def distillation_sum(
    student_BNK: Tensor,
    teacher_BNK: Tensor,
    present_BN: Tensor,
    temperature: float,
    mean: Literal["sleep_epoch", "element"] = "sleep_epoch",
) -> Tensor:
    """Softmax distillation (SD; Hinton et al., arXiv 1503.02531): T^2 * KL(teacher_T || student_T), summed.

    Divide by the number of sleep epochs. mean="element" divides by the number of classes too, as PyTorch's
    reduction='mean' and with it the release does.
    """
    student = F.log_softmax(_precise(student_BNK) / temperature, dim=-1)
    teacher = F.log_softmax(_precise(teacher_BNK).detach() / temperature, dim=-1)
    divergence_BN = F.kl_div(student, teacher, reduction="none", log_target=True).sum(-1)
    total = temperature**2 * (divergence_BN * present_BN).sum()
    return total / student_BNK.shape[-1] if mean == "element" else total


def attention_energy(feature_BCL: Tensor) -> Tensor:
    """Where a feature is strong: the sum over channels of its squares, (B, C, L) → (B, L)."""
    return _precise(feature_BCL).square().sum(dim=1)


def attention_map(energy_BL: Tensor, normalisation: Literal["window", "batch"] = "window") -> Tensor:
    """An energy (B, L) at unit L2 norm.

    "window" normalises each window's map over its positions (Zagoruyko & Komodakis, arXiv 1612.03928);
    "batch" normalises each position over the batch, as the release does, and so depends on how a batch is split.
    """
    return F.normalize(energy_BL, dim=1 if normalisation == "window" else 0)


def attention_sum(
    student: dict[str, Tensor],
    teacher: dict[str, Tensor],
    groups: tuple[tuple[str, ...], ...],
    normalisation: Literal["window", "batch"] = "window",
) -> Tensor:
    """Attention transfer (AT): mean over positions of the maps' L1 distance, summed over windows.

    student, teacher: energies (B, L) by tap. Each group is the mean over its taps, the loss the mean over groups
    (Joshi et al., arXiv 2211.13125). Divide by the number of windows.
    """
    distance = {}
    for tap in unique_taps(groups):
        student_map = attention_map(student[tap], normalisation)
        teacher_map = attention_map(teacher[tap].detach(), normalisation)
        distance[tap] = (student_map - teacher_map).abs().mean(dim=1).sum()
    per_group = [torch.stack([distance[tap] for tap in group]).mean() for group in groups]
    return torch.stack(per_group).mean()


def unique_taps(groups: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """The taps of all groups, each once, in order of first mention."""
    return tuple(dict.fromkeys(tap for group in groups for tap in group))


def _precise(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
