"""Pseudo-labels: probabilities of the sleep stages that a model assigned, kept in the store, one file per night.

STORE/recordings/<recording>/pseudo_labels/<model>.npy: float32 (N, K), a row per sleep epoch of the hypnogram. K is 3,
4 or 5 (`CLASS_NAMES`). A row of NaN is a sleep epoch of which the model knows nothing. A training node does not need
the model once the files are there.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from sleepkd.data.hypnogram import CLASS_NAMES, merged_classes
from sleepkd.data.store import Night
from sleepkd.data.views import SegmentTable
from sleepkd.errors import UserError

_SMALLEST = 1e-6
FOLDER, FORMER_FOLDER = "pseudo_labels", "stagers"
"""Where a recording's folder keeps them, and where version 0.1 did."""


def pseudo_label_path(model: str, night: Night) -> Path:
    """The file of a model's pseudo-labels of a night; it may not exist yet."""
    former = night.folder / FORMER_FOLDER / f"{model}.npy"
    return former if former.is_file() else night.folder / FOLDER / f"{model}.npy"


def read_pseudo_labels(model: str, night: Night) -> np.ndarray:
    """Read a model's pseudo-labels of a night.

    Parameters
    ----------
    model
        Its name.
    night
        An opened recording.

    Returns
    -------
    numpy.ndarray
        Probabilities (N, K) float32; NaN for sleep epochs of which the model knows nothing.

    Raises
    ------
    UserError
        The file cannot be read or does not fit the hypnogram.
    """
    path = pseudo_label_path(model, night)
    try:
        found = np.load(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read; delete it to have it computed again: {error}") from None
    if found.ndim != 2 or len(found) != len(night.hypnogram):
        raise UserError(f"{path}: belongs to another hypnogram; delete it to have it computed again")
    if found.shape[1] not in CLASS_NAMES:
        raise UserError(f"{path}: has {found.shape[1]} classes, not 3, 4 or 5; delete it to have it computed again")
    return found


def write_pseudo_labels(model: str, night: Night, probabilities_NK: np.ndarray) -> None:
    """Write a model's pseudo-labels of a night into its store, atomically.

    Parameters
    ----------
    model
        Any name of a file.
    night
        An opened recording.
    probabilities_NK
        Of 3, 4 or 5 classes; NaN for sleep epochs that the model does not know.

    Raises
    ------
    ValueError
        For another shape, and for a row that is neither NaN nor sums to 1.

    Examples
    --------
    >>> from sleepkd.data.store import Store
    >>> store = Store(path)
    >>> night = store.open(store.recordings[0])
    >>> uniform = np.full((len(night.hypnogram), 4), 0.25)
    >>> write_pseudo_labels("uniform", night, uniform)
    >>> bool((read_pseudo_labels("uniform", night) == uniform).all())
    True
    """
    _check_probabilities(probabilities_NK, len(night.hypnogram))
    path = pseudo_label_path(model, night)
    path.parent.mkdir(exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        np.save(file, probabilities_NK.astype(np.float32))
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def known_sleep_epochs(probabilities_NK: np.ndarray) -> np.ndarray:
    """Bool (N,): the sleep epochs that a model assigned probabilities to."""
    return ~np.isnan(probabilities_NK).any(axis=-1)


def merge_probabilities(probabilities_NK: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities (N, K) merged to fewer (or as many) classes: (N, classes) float32; merged stages are summed."""
    merged = np.zeros((len(probabilities_NK), classes), dtype=np.float32)
    for label, among in enumerate(merged_classes(probabilities_NK.shape[1], classes)):
        merged[:, among] += probabilities_NK[:, label]
    return merged


def segment_logits(model: str, nights: Sequence[Night], table: SegmentTable, classes: int) -> np.ndarray:
    """A model's log-probabilities (S, n, K) float32 for every segment; 0 where padded, NaN where it knows nothing.

    K: `classes`, or fewer where the model has fewer. The model knows nothing of a night without a file.
    Raises UserError where files differ in their number of classes.
    """
    stored = {i: night for i, night in enumerate(nights) if pseudo_label_path(model, night).is_file()}
    of_night = {i: read_pseudo_labels(model, night) for i, night in stored.items()}
    counts = {found.shape[1]: nights[i].folder for i, found in of_night.items()}
    if len(counts) > 1:
        (a, first), (b, second) = list(counts.items())[:2]
        raise UserError(f"pseudo-labels of {model} have {a} classes in {first}, {b} in {second}; compute them again")
    K = min([classes, *counts])
    logits = np.zeros((*table.sleep_epoch.shape, K), dtype=np.float32)
    logits[table.present] = np.nan
    for i, found in of_night.items():
        chosen = table.night == i
        if not chosen.any():
            continue
        night_logits = np.log(np.maximum(merge_probabilities(found, K), _SMALLEST))  # NaN stays NaN
        logits[chosen] = np.where(table.present[chosen][..., None], night_logits[table.sleep_epoch[chosen]], 0)
    return logits


def _check_probabilities(probabilities_NK: np.ndarray, sleep_epochs: int) -> None:
    """Raise ValueError unless these are the probabilities of so many sleep epochs."""
    shape = probabilities_NK.shape
    if len(shape) != 2 or shape[0] != sleep_epochs or shape[1] not in CLASS_NAMES:
        raise ValueError(f"pseudo-labels of shape {shape}; expected ({sleep_epochs}, 3, 4 or 5)")
    known = probabilities_NK[~np.isnan(probabilities_NK).all(axis=1)]
    if not (np.abs(known.sum(axis=1) - 1) < 1e-3).all() or (known < 0).any():
        raise ValueError("pseudo-labels with a sleep epoch whose probabilities do not sum to 1")
