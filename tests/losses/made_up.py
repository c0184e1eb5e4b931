"""Rows and batches made up of labels alone, for terms that see what networks answered."""

import numpy as np
import torch
from torch import Tensor

from sleepkd.data.views import SegmentTable
from sleepkd.data.segments import Batch
from sleepkd.losses import NetworkOutput, FeatureShapes, Loss

LOGITS = [[[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]], [[-1.0, 3.0, 0.2], [0.0, 0.0, 0.0]]]  # (B=2, n=2, K=3)
TEACHER = [[[1.0, 1.0, 0.0], [0.0, 2.0, -2.0]], [[0.3, -0.7, 0.1], [5.0, 0.0, 1.0]]]
LABELS = [[0, -1], [1, 2]]
WEIGHTS = [0.5, 2.0, 1.25]
PRESENT = torch.ones(2, 2, dtype=torch.bool)


def table(labels: list | Tensor, present: Tensor | None = None, token_spans: int = 0) -> SegmentTable:
    """Rows with these labels (W, n); token_spans: of each row in view `night`, 0 for view `epochs`."""
    labels_WN = np.asarray(labels, dtype=np.int8)
    there = np.ones(labels_WN.shape, dtype=bool) if present is None else present.numpy()
    rows = len(labels_WN)
    return SegmentTable(
        night=np.zeros(rows, dtype=np.int32),
        sleep_epoch=np.where(there, 0, -1),
        onset_s=np.zeros(labels_WN.shape),
        duration_s=np.full(labels_WN.shape, 30.0),
        labels=labels_WN,
        start_s=np.zeros(rows),
        token_spans=np.zeros((*labels_WN.shape, 2 if token_spans else 0), dtype=np.int32),
        mask=np.ones((rows, token_spans), dtype=bool),
    )


def batch(labels: list | Tensor, present: Tensor | None = None, mask: Tensor | None = None) -> Batch:
    """A batch without signals; mask (B, C): which token_spans hold signal, for view `night`."""
    labels_BN = torch.as_tensor(labels)
    there = torch.ones(labels_BN.shape, dtype=torch.bool) if present is None else present
    token_spans = torch.zeros(*labels_BN.shape, 0 if mask is None else 2, dtype=torch.int64)
    mask = torch.zeros(len(labels_BN), 0, dtype=torch.bool) if mask is None else mask
    return Batch(inputs={}, labels=labels_BN, present=there, token_spans=token_spans, mask=mask, targets={})


def rows(nested: list) -> list[list[float]]:
    """The sleep epochs of all rows, one after another."""
    return [row for window in nested for row in window]


def assert_shares_add_up(whole: Tensor, parts: list[Tensor]) -> None:
    torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=0)


SHARES = (slice(0, 3), slice(3, 4), slice(4, 7))


def ragged(seed: int = 0, rows: int = 5, n: int = 6, classes: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Student's and teacher's logits (B, n, K) in float64, labels, some unscored, presence: 6, 4, 1, 0, 5 of a row."""
    drawn = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(rows, n, classes, generator=drawn, dtype=torch.float64) for _ in range(2))
    labels = torch.randint(-1, classes, (rows, n), generator=drawn)
    present = torch.arange(n) < torch.tensor([6, 4, 1, 0, 5])[:rows, None]
    return student, teacher, labels.masked_fill(~present, -1), present


def ragged_features(seed: int = 0, widths: tuple[int, int] = (3, 5), n: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Features of five rows of n cuts, (5 * n, C, L) with L = 4 and 2, and presence, for terms in view `epochs`."""
    drawn = torch.Generator().manual_seed(seed)
    student, teacher = (
        torch.randn(5 * n, width, length, generator=drawn, dtype=torch.float64)
        for width, length in zip(widths, (4, 2), strict=True)
    )
    return student, teacher, torch.arange(n) < torch.tensor([6, 4, 1, 0, 5])[:, None]


def softmax(x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(x / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """Of p from q."""
    return float((p * np.log(p / q)).sum())


def check_logit_term(term: Loss, expected: float, count: float, within: float = 1e-9) -> None:
    """The sum and the divisor of a term on `ragged` rows; its shares, its gradients and its dtypes."""
    student, teacher, labels, present = ragged()
    term = term.double()

    def total(rows: slice, own: Tensor = student) -> Tensor:
        kept = term.targets(NetworkOutput(teacher[rows], {}))
        return term.sum(NetworkOutput(own[rows], {}), kept, batch(labels[rows], present[rows]))

    np.testing.assert_allclose(total(slice(None)).item(), expected, rtol=within)
    assert term.normalizer(table(labels, present)) == count
    assert_shares_add_up(total(slice(None)), [total(slice(0, 2)), total(slice(2, 3)), total(slice(3, 5))])
    own = student.clone().requires_grad_()
    total(slice(None), own).backward()
    assert own.grad.isfinite().all() and own.grad[present].any() and not own.grad[~present].any()
    low = term.float().sum(
        NetworkOutput(student.bfloat16(), {}), term.targets(NetworkOutput(teacher.bfloat16(), {})), batch(labels, present)
    )
    assert low.dtype == torch.float32


def check_feature_term(term: Loss, expected: float, count: float, every: int = 1) -> None:
    """The sum and the divisor of a term on `ragged_features`, tapped "a" and "b"; its shares and its gradients.

    every: which sleep epochs it looks at.
    """
    student, teacher, present = ragged_features()
    term, n = term.double(), present.shape[1]
    nothing = torch.full(present.shape, -1)

    def total(first: int, last: int, own: Tensor = student, other: Tensor = teacher) -> Tensor:
        chosen = slice(n * first, n * last)
        kept = term.targets(NetworkOutput(NO_LOGITS, {"b": other[chosen]}))
        rows_of = batch(nothing[first:last], present[first:last])
        return term.sum(NetworkOutput(NO_LOGITS, {"a": own[chosen]}), kept, rows_of)

    np.testing.assert_allclose(total(0, 5).item(), expected, rtol=1e-9)
    assert term.normalizer(table(nothing, present)) == count
    assert_shares_add_up(total(0, 5), [total(0, 2), total(2, 3), total(3, 5)])
    own, other = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    total(0, 5, own, other).backward()
    there = (present & (torch.arange(n) % every == 0)).flatten()
    assert own.grad.isfinite().all() and own.grad[there].any() and not own.grad[~there].any()
    assert other.grad is None
    assert all(p.grad.isfinite().all() and p.grad.any() for p in term.parameters())


def by_row(feature: Tensor, present: Tensor) -> list[np.ndarray]:
    """The sleep epochs (n, C) that each row holds, the mean over positions."""
    items = feature.mean(dim=-1).unflatten(0, present.shape)
    return [items[row][present[row]].numpy() for row in range(len(present))]


NO_LOGITS = torch.zeros(1, 1, 4)
ONE_TAP = FeatureShapes(4, {"a": (3, 4)}, {"b": (5, 2)})
