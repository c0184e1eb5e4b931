"""Rows and batches made up of labels alone, for terms that see what networks answered."""

import numpy as np
import torch
from torch import Tensor

from sleepkd.data.views import Places
from sleepkd.data.windows import Batch

LOGITS = [[[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]], [[-1.0, 3.0, 0.2], [0.0, 0.0, 0.0]]]  # (B=2, n=2, K=3)
TEACHER = [[[1.0, 1.0, 0.0], [0.0, 2.0, -2.0]], [[0.3, -0.7, 0.1], [5.0, 0.0, 1.0]]]
LABELS = [[0, -1], [1, 2]]
WEIGHTS = [0.5, 2.0, 1.25]
PRESENT = torch.ones(2, 2, dtype=torch.bool)


def places(labels: list | Tensor, present: Tensor | None = None, cells: int = 0) -> Places:
    """Rows with these labels (W, n); cells: of each row in view `night`, 0 for view `epochs`."""
    labels_WN = np.asarray(labels, dtype=np.int8)
    there = np.ones(labels_WN.shape, dtype=bool) if present is None else present.numpy()
    rows = len(labels_WN)
    return Places(
        night=np.zeros(rows, dtype=np.int32),
        sleep_epoch=np.where(there, 0, -1),
        onset_s=np.zeros(labels_WN.shape),
        duration_s=np.full(labels_WN.shape, 30.0),
        labels=labels_WN,
        start_s=np.zeros(rows),
        cells=np.zeros((*labels_WN.shape, 2 if cells else 0), dtype=np.int32),
        mask=np.ones((rows, cells), dtype=bool),
    )


def batch(labels: list | Tensor, present: Tensor | None = None, mask: Tensor | None = None) -> Batch:
    """A batch without signals; mask (B, C): which cells hold signal, for view `night`."""
    labels_BN = torch.as_tensor(labels)
    there = torch.ones(labels_BN.shape, dtype=torch.bool) if present is None else present
    cells = torch.zeros(*labels_BN.shape, 0 if mask is None else 2, dtype=torch.int64)
    mask = torch.zeros(len(labels_BN), 0, dtype=torch.bool) if mask is None else mask
    return Batch(inputs={}, labels=labels_BN, present=there, cells=cells, mask=mask, taught={})


def rows(nested: list) -> list[list[float]]:
    """The sleep epochs of all rows, one after another."""
    return [row for window in nested for row in window]


def assert_shares_add_up(whole: Tensor, parts: list[Tensor]) -> None:
    torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=0)


SHARES = (slice(0, 3), slice(3, 4), slice(4, 7))
