"""What readers of beats share: what a dataset YAML says of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepkd.errors import UserError


@dataclass(frozen=True)
class BeatLayout:
    """Where the beats are. files: as `LabelLayout.files`; format: a key of `BEATS`."""

    files: tuple[str, ...]
    format: str


def in_order(path: Path, times: np.ndarray) -> np.ndarray:
    """Beat times in order, each once. Raises UserError where there is none or one is no time."""
    if not len(times):
        raise UserError(f"{path}: holds no beat")
    if not np.isfinite(times).all():
        raise UserError(f"{path}: holds a beat at no time (NaN or infinite)")
    return np.unique(times.astype(np.float64))
