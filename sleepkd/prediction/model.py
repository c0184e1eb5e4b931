"""A network that stages nights, with what there is to say of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.checkpoints.temperature import read_temperature, temperature_path
from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.cohorts.signals.derivation import DerivedSignal
from sleepkd.data.store import Night
from sleepkd.errors import UserError
from sleepkd.prediction.recorded import night_of_beats, night_of_signal
from sleepkd.prediction.staged import Staged, stage_night

WEIGHTS = Path(__file__).parents[1] / "weights"
OWN = ("night", "tuned")
"""The networks that come with sleepkd (`scripts/weights.py`), the default first."""
UNNAMED = Path("the signal")


@dataclass(frozen=True)
class Model:
    """trained: the network; temperature: of its probabilities; card: what it was trained on and how it did."""

    trained: TrainedNetwork
    temperature: float
    card: dict[str, Any]

    def stage(self, night: Night, abstain_below: float = 0.0) -> Staged:
        """Stage a night, as `stage_night` does."""
        return stage_night(self.trained, night, self.temperature, abstain_below)

    def predict(self, signal: np.ndarray, fs: float) -> tuple[list[str], np.ndarray]:
        """Sleep stages and probabilities (N, K) of every 30 s of an ECG (samples,) at fs; or of an EEG in µV.

        "unscored" where no heart is usable. Raises UserError where it is no ECG, or too short.
        """
        name = "eeg" if "eeg" in self.trained.inputs else "ecg"
        samples = np.asarray(signal, dtype=np.float64)
        derived = DerivedSignal(samples, float(fs), name.upper(), "uV" if name == "eeg" else "mV")
        return self._labels(lambda: night_of_signal(UNNAMED, name, derived, self.trained.inputs))

    def predict_beats(self, times: np.ndarray) -> tuple[list[str], np.ndarray]:
        """The same of the times of beats (beats,), s."""
        beats = np.unique(np.asarray(times, dtype=np.float64))
        return self._labels(lambda: night_of_beats(Path("the beats"), beats))

    def _labels(self, night: Callable[[], Night]) -> tuple[list[str], np.ndarray]:
        staged = self.stage(night())
        names = [*staged.class_names, "unscored"]
        return [names[k] for k in staged.stages], staged.predicted.probabilities

    @property
    def about(self) -> list[str]:
        """What every output says of it."""
        trained_on = self.card.get("trained_on", "What it was trained on: see the checkpoint's config.")
        real = self.card.get("real_hearts", "How it does on real hearts is not known here.")
        return [f"Staged by {self.trained.path.name}. {trained_on} {real}", "Not a medical device."]


def load(checkpoint: str | Path | None = None) -> Model:
    """The model of a checkpoint, or one that comes with sleepkd: "night" (the default) or "tuned".

    Raises UserError where there is none.
    """
    path = Path(checkpoint or OWN[0])
    if str(path) in OWN and not path.is_file():
        path = own_weights(str(path))
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    trained = load_trained(path)
    temperature = read_temperature(path) if temperature_path(path).is_file() else 1.0
    card = path.with_name("card.json")
    return Model(trained, temperature, json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {})


def own_weights(name: str) -> Path:
    """Where a network that comes with sleepkd lies."""
    return WEIGHTS / name / f"{name}.pt"
