"""Synthetic batches without signals, and checks that every loss on logits or on features must pass."""

import numpy as np
import torch
from torch import Tensor

from sleepkd.data.segments import Batch
from sleepkd.data.views import SegmentTable
from sleepkd.losses import FeatureShapes, Loss, NetworkOutput

LOGITS = [[[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]], [[-1.0, 3.0, 0.2], [0.0, 0.0, 0.0]]]  # (B=2, n=2, K=3)
TEACHER = [[[1.0, 1.0, 0.0], [0.0, 2.0, -2.0]], [[0.3, -0.7, 0.1], [5.0, 0.0, 1.0]]]
LABELS = [[0, -1], [1, 2]]
WEIGHTS = [0.5, 2.0, 1.25]
PRESENT = torch.ones(2, 2, dtype=torch.bool)


def table(labels: list | Tensor, present: Tensor | None = None, tokens: int = 0) -> SegmentTable:
    """Segments with these labels (S, n). tokens: per segment in view `night`, 0 for view `epochs`."""
    labels_SN = np.asarray(labels, dtype=np.int8)
    present_SN = np.ones(labels_SN.shape, dtype=bool) if present is None else present.numpy()
    segments = len(labels_SN)
    return SegmentTable(
        night=np.zeros(segments, dtype=np.int32),
        sleep_epoch=np.where(present_SN, 0, -1),
        onset_s=np.zeros(labels_SN.shape),
        duration_s=np.full(labels_SN.shape, 30.0),
        labels=labels_SN,
        start_s=np.zeros(segments),
        token_spans=np.zeros((*labels_SN.shape, 2 if tokens else 0), dtype=np.int32),
        mask=np.ones((segments, tokens), dtype=bool),
    )


def batch(labels: list | Tensor, present: Tensor | None = None, mask: Tensor | None = None) -> Batch:
    """A batch without signals. mask: bool (B, tokens), which tokens hold signal, for view `night`."""
    labels_BN = torch.as_tensor(labels)
    present_BN = torch.ones(labels_BN.shape, dtype=torch.bool) if present is None else present
    token_spans = torch.zeros(*labels_BN.shape, 0 if mask is None else 2, dtype=torch.int64)
    mask = torch.zeros(len(labels_BN), 0, dtype=torch.bool) if mask is None else mask
    return Batch(inputs={}, labels=labels_BN, present=present_BN, token_spans=token_spans, mask=mask, targets={})


def flat(nested: list) -> list:
    """The sleep epochs of all segments in one list."""
    return [sleep_epoch for segment in nested for sleep_epoch in segment]


def assert_shares_add_up(whole: Tensor, parts: list[Tensor]) -> None:
    torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=0)


SHARES = (slice(0, 3), slice(3, 4), slice(4, 7))


def ragged(seed: int = 0, segments: int = 5, n: int = 6, classes: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits (B, n, K) float64 of student and teacher, labels, some unscored, and which sleep epochs are present."""
    drawn = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(segments, n, classes, generator=drawn, dtype=torch.float64) for _ in range(2))
    labels = torch.randint(-1, classes, (segments, n), generator=drawn)
    present = torch.arange(n) < torch.tensor([6, 4, 1, 0, 5])[:segments, None]
    return student, teacher, labels.masked_fill(~present, -1), present


def ragged_features(seed: int = 0, widths: tuple[int, int] = (3, 5), n: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Features (5 * n, C, L) of five segments in view `epochs`, L = 4 and 2, and which sleep epochs are present."""
    drawn = torch.Generator().manual_seed(seed)
    student, teacher = (
        torch.randn(5 * n, width, length, generator=drawn, dtype=torch.float64)
        for width, length in zip(widths, (4, 2), strict=True)
    )
    return student, teacher, torch.arange(n) < torch.tensor([6, 4, 1, 0, 5])[:, None]


def softmax(x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax over the last axis."""
    powers = np.exp(x / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p ‖ q)."""
    return float((p * np.log(p / q)).sum())


def check_logit_loss(loss: Loss, expected: float, normalizer: float, within: float = 1e-9) -> None:
    """Check a loss on `ragged` logits: its sum, normalizer, shares of a batch, gradients and dtypes."""
    student, teacher, labels, present = ragged()
    loss = loss.double()

    def total(share: slice, own: Tensor = student) -> Tensor:
        targets = loss.targets(NetworkOutput(teacher[share], {}))
        return loss.sum(NetworkOutput(own[share], {}), targets, batch(labels[share], present[share]))

    np.testing.assert_allclose(total(slice(None)).item(), expected, rtol=within)
    assert loss.normalizer(table(labels, present)) == normalizer
    assert_shares_add_up(total(slice(None)), [total(slice(0, 2)), total(slice(2, 3)), total(slice(3, 5))])
    own = student.clone().requires_grad_()
    total(slice(None), own).backward()
    assert own.grad.isfinite().all() and own.grad[present].any() and not own.grad[~present].any()
    targets = loss.float().targets(NetworkOutput(teacher.bfloat16(), {}))
    in_bf16 = loss.sum(NetworkOutput(student.bfloat16(), {}), targets, batch(labels, present))
    assert in_bf16.dtype == torch.float32


def check_feature_loss(loss: Loss, expected: float, normalizer: float, every: int = 1) -> None:
    """Check a loss on `ragged_features`, tapped as "a" and "b": its sum, normalizer, shares of a batch and gradients.

    every: it uses every so many sleep epochs.
    """
    student, teacher, present = ragged_features()
    loss, n = loss.double(), present.shape[1]
    unscored = torch.full(present.shape, -1)

    def total(first: int, last: int, own: Tensor = student, other: Tensor = teacher) -> Tensor:
        chosen = slice(n * first, n * last)
        targets = loss.targets(NetworkOutput(NO_LOGITS, {"b": other[chosen]}))
        share = batch(unscored[first:last], present[first:last])
        return loss.sum(NetworkOutput(NO_LOGITS, {"a": own[chosen]}), targets, share)

    np.testing.assert_allclose(total(0, 5).item(), expected, rtol=1e-9)
    assert loss.normalizer(table(unscored, present)) == normalizer
    assert_shares_add_up(total(0, 5), [total(0, 2), total(2, 3), total(3, 5)])
    own, other = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    total(0, 5, own, other).backward()
    used = (present & (torch.arange(n) % every == 0)).flatten()
    assert own.grad.isfinite().all() and own.grad[used].any() and not own.grad[~used].any()
    assert other.grad is None
    assert all(p.grad.isfinite().all() and p.grad.any() for p in loss.parameters())


def by_segment(feature: Tensor, present: Tensor) -> list[np.ndarray]:
    """The features (n, C) of the sleep epochs present in each segment, the mean over positions."""
    features = feature.mean(dim=-1).unflatten(0, present.shape)
    return [features[i][present[i]].numpy() for i in range(len(present))]


NO_LOGITS = torch.zeros(1, 1, 4)
ONE_TAP = FeatureShapes(4, {"a": (3, 4)}, {"b": (5, 2)})
