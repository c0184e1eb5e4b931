"""EEG-assisted knowledge distillation for single-lead ECG sleep staging."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleepkd.prediction.model import Model

__version__ = "0.2.0.dev0"


def load(checkpoint: str | Path | None = None) -> "Model":
    """Load a network that stages nights: `load().predict(recording)`, `load().predict_beats(times)`.

    Parameters
    ----------
    checkpoint
        The path of a trained network (best.pt); a folder with one; the name of one that ships ("night");
        "hf://owner/name" on the Hugging Face Hub. None: of those that ship, the one that fits the recording best.

    Returns
    -------
    sleepkd.prediction.model.Model
        The network, with the temperature of its probabilities and its model card.

    Raises
    ------
    UserError
        No such checkpoint, or huggingface_hub is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> beats = np.cumsum(np.random.default_rng(0).normal(0.9, 0.05, 2450))  # times of heartbeats, s
    >>> night = load("night").predict_beats(beats)
    >>> stages, probabilities = night
    >>> probabilities.shape  # a row for every 30 s; W, light, deep, REM
    (73, 4)
    """
    from sleepkd.prediction.model import load_model  # here: training imports no reader of recordings

    return load_model(checkpoint)
