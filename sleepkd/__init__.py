"""EEG-assisted knowledge distillation for single-lead ECG sleep staging."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleepkd.prediction.model import Model

__version__ = "0.2.0.dev0"


def load(checkpoint: str | Path | None = None) -> "Model":
    """A network that stages nights: `load().predict(ecg, fs)`, `.predict_beats(times)`; see `prediction.model.Model`.

    checkpoint: a trained network (best.pt).
    """
    from sleepkd.prediction.model import load_model  # here: training imports no reader of recordings

    return load_model(checkpoint)
