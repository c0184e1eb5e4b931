"""Pseudo-labels of external models, computed once per night and kept in its store.

STORE/recordings/<recording>/pseudo_labels/<model>.npy: float32 (N, 5), probabilities of W, N1, N2, N3, REM for every
sleep epoch of the hypnogram. A training node does not need the model's library once they are there.
"""

from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from sleepkd.data.hypnogram import SLEEP_STAGES, merge_labels
from sleepkd.data.segments import Segments
from sleepkd.data.store import Night
from sleepkd.errors import UserError

_SMALLEST = 1e-6
FOLDER, FORMER_FOLDER = "pseudo_labels", "stagers"
"""Where a recording's folder keeps them, and where version 0.1 did."""


def pseudo_label_path(model: str, night: Night) -> Path:
    """The file of a model's pseudo-labels of a night; it may not exist yet."""
    former = night.folder / FORMER_FOLDER / f"{model}.npy"
    return former if former.is_file() else night.folder / FOLDER / f"{model}.npy"


def read_pseudo_labels(model: str, night: Night) -> np.ndarray:
    """Probabilities (N, 5) float32. Raises UserError where the file cannot be read or does not fit the hypnogram."""
    path = pseudo_label_path(model, night)
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read; delete it to have it computed again: {error}") from None
    if found.shape != (len(night.hypnogram), len(SLEEP_STAGES)):
        raise UserError(f"{path}: belongs to another hypnogram; delete it to have it computed again")
    return found


def write_pseudo_labels(model: str, night: Night, probabilities_N5: np.ndarray) -> None:
    """Write a model's pseudo-labels of a night into its store, atomically."""
    path = pseudo_label_path(model, night)
    path.parent.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        np.save(file, probabilities_N5)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def merge_probabilities(probabilities_N5: np.ndarray, classes: int) -> np.ndarray:
    """Five-class probabilities (N, 5) as (N, K) of a 3-, 4- or 5-class scheme: merged stages are summed."""
    merged_NK = np.zeros((len(probabilities_N5), classes), dtype=np.float32)
    for stage, merged in enumerate(merge_labels(np.arange(len(SLEEP_STAGES), dtype=np.int8), classes)):
        merged_NK[:, merged] += probabilities_N5[:, stage]
    return merged_NK


def segment_logits(model: str, segments: Segments) -> np.ndarray:
    """A model's log-probabilities (S, n, K) float32 for every segment; 0 where a segment is padded."""
    table = segments.table
    logits = np.zeros((*table.sleep_epoch.shape, segments.data.classes), dtype=np.float32)
    for index, night in enumerate(segments.nights):
        chosen = table.night == index
        if not chosen.any():
            continue
        of_night = np.log(
            np.maximum(merge_probabilities(read_pseudo_labels(model, night), segments.data.classes), _SMALLEST)
        )
        logits[chosen] = np.where(table.present[chosen][..., None], of_night[table.sleep_epoch[chosen]], 0)
    return logits
