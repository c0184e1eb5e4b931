"""The model that `sleepkd.load()` returns: sleep stages from an ECG or from heartbeats."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sleepkd.checkpoints.temperature import read_temperature, temperature_path
from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.cohorts.signals.derivation import DerivedSignal
from sleepkd.data.hypnogram import UNSCORED_NAME
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.store import Night
from sleepkd.errors import UserError
from sleepkd.prediction.recorded import night_of_beats, night_of_signal, signal_to_read
from sleepkd.prediction.staged import StagedNight, stage_night

WEIGHTS = Path(__file__).parents[1] / "weights"
SHIPPED = "night"
"""The name of the network that ships with sleepkd."""


@dataclass(frozen=True)
class Model:
    """A trained network, the temperature of its probabilities, and its model card.

    card: `card.json` beside the checkpoint (`scripts/weights.py` writes one), {} without.
    """

    trained: TrainedNetwork
    temperature: float
    card: dict[str, Any]

    def stage(self, night: Night, abstain_below: float = 0.0) -> StagedNight:
        """Stage a night, as `stage_night` does."""
        return stage_night(self.trained, night, self.temperature, abstain_below)

    def predict(self, signal: np.ndarray | Sequence[float], fs: float) -> tuple[list[str], np.ndarray]:
        """Sleep stages (N,) and probabilities (N, K) of every 30 s of an ECG.

        signal: (samples,), in mV; in any unit if the network normalises by the night, as the shipped one does. For a
        network of another signal: that one, in the unit of its kind (EEG: µV). fs: samples per second.
        A sleep epoch without usable heartbeats is "unscored".
        Raises UserError for a signal that is not an ECG, or is shorter than ten minutes.
        """
        name = signal_to_read(self.trained.inputs)
        kind, samples = SIGNAL_KINDS[name], np.asarray(signal, dtype=np.float64)
        derived = DerivedSignal(samples, float(fs), kind.label, kind.unit)
        return self._stages(lambda: night_of_signal(Path("the signal"), name, derived, self.trained.inputs))

    def predict_beats(self, times: np.ndarray | Sequence[float]) -> tuple[list[str], np.ndarray]:
        """Sleep stages (N,) and probabilities (N, K) of every 30 s from heartbeats.

        times: (beats,), s from the start of the recording, in any order.
        Raises UserError for beats without plausible intervals, or of less than ten minutes.
        """
        beats = np.unique(np.asarray(times, dtype=np.float64))
        return self._stages(lambda: night_of_beats(Path("the beats"), beats))

    def _stages(self, night: Callable[[], Night]) -> tuple[list[str], np.ndarray]:
        staged = self.stage(night())
        names = [*staged.class_names, UNSCORED_NAME]
        return [names[k] for k in staged.stages], staged.predicted.probabilities

    @property
    def about(self) -> list[str]:
        """What the network was trained on and how well it works, as every output states it."""
        trained_on = self.card.get("trained_on", "Its training recordings are in the config of the checkpoint.")
        real = self.card.get("real_recordings", "Its performance on real recordings is unknown.")
        return [f"Staged by {self.trained.path.name}. {trained_on} {real}", "Not a medical device."]


def load_model(checkpoint: str | Path | None = None) -> Model:
    """The model of a checkpoint; without one, the network that ships with sleepkd. Raises UserError: no such file."""
    path = Path(checkpoint or SHIPPED)
    if str(path) == SHIPPED and not path.is_file():
        path = shipped_checkpoint()
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    trained = load_trained(path)
    temperature = read_temperature(path) if temperature_path(path).is_file() else 1.0
    return Model(trained, temperature, read_card(path.with_name("card.json")))


def read_card(path: Path) -> dict[str, Any]:
    """The model card in a JSON file, {} where there is no file. Keys of version 0.1 get their current names."""
    if not path.is_file():
        return {}
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {{"real_hearts": "real_recordings"}.get(key, key): value for key, value in content.items()}


def shipped_checkpoint(name: str = SHIPPED) -> Path:
    """The path of a network that ships with sleepkd."""
    return WEIGHTS / name / f"{name}.pt"
