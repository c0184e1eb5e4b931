"""The model that `sleepkd.load()` returns: sleep stages from an ECG or from heartbeats."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sleepkd.checkpoints.shipped import SHIPPED as SHIPPED  # scripts find it here
from sleepkd.checkpoints.shipped import find_shipped, shipped_networks
from sleepkd.checkpoints.shipped import shipped_checkpoint as shipped_checkpoint
from sleepkd.checkpoints.temperature import read_temperature, temperature_path
from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.cohorts.recording import Recording
from sleepkd.cohorts.signals.derivation import DerivedSignal
from sleepkd.data.hypnogram import UNSCORED_NAME
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.data.store import Night
from sleepkd.errors import UserError
from sleepkd.prediction.arrays import checked_beats, checked_rate, checked_samples
from sleepkd.prediction.card import CARD_FILE, ModelCard, read_card
from sleepkd.prediction.judged import GivenInput, JudgedInput, given_input, judged_input
from sleepkd.prediction.recorded import opened_night, recording_of_beats, recording_of_signal, signal_to_read
from sleepkd.prediction.staged import StagedNight, stage_night

NOT_MEDICAL = "Not a medical device."
UNKNOWN = "Its performance on real recordings is unknown."


@dataclass(frozen=True)
class Model:
    """A trained network, the temperature of its probabilities, and its model card.

    card: `card.json` beside the checkpoint (`scripts/weights.py` writes one), empty without.
    others: the other networks that ship, one of which may have a higher kappa on an input.
    """

    trained: TrainedNetwork
    temperature: float
    card: ModelCard
    others: tuple["Model", ...] = ()

    def judged(self, given: GivenInput) -> JudgedInput:
        """An input with the kappa of this network on such input, and a warning of a low or unknown one."""
        return judged_input(self.card, given, "ecg" in self.trained.inputs)

    def best_for(self, given: GivenInput) -> "Model":
        """The network with the highest kappa on such input: this one or one of `others`; this one if none has any."""
        return max((self, *self.others), key=lambda model: model.judged(given).rank)

    def stage(self, night: Night, abstain_below: float = 0.0) -> StagedNight:
        """Stage a night, as `stage_night` does."""
        return stage_night(self.trained, night, self.temperature, abstain_below)

    def predict(self, signal: np.ndarray | Sequence[float], fs: float) -> tuple[list[str], np.ndarray]:
        """Sleep stages (N,) and probabilities (N, K) of every 30 s of an ECG.

        signal: (samples,) or (samples, 1), in mV; in any unit if the network normalises by the night, as the shipped
        one does. For a network of another signal: that one, in the unit of its kind (EEG: µV). NaN is missing: a second
        of it or more is a gap. fs: samples per second.
        A sleep epoch without usable heartbeats is "unscored"; so is one of an EEG in a gap, its probabilities NaN.
        Warns of a low or unknown kappa on an ECG.
        Raises UserError for a signal that is not an ECG, is shorter than ten minutes or longer than 14 days, or has
        another shape or dtype; and for a rate that is no number or too low.
        """
        name, rate_hz = signal_to_read(self.trained.inputs), checked_rate(fs)
        kind, given = SIGNAL_KINDS[name], checked_samples(signal, rate_hz)
        derived = DerivedSignal(given.samples, rate_hz, kind.label, kind.unit)
        # Over NaN an ECG holds no beats, so it is left unscored as if an electrode were off, and as in a stream.
        gaps = () if kind.has_heartbeats else given.gaps
        return self._stages(recording_of_signal(Path("the signal"), name, derived, gaps))

    def predict_beats(self, times: np.ndarray | Sequence[float]) -> tuple[list[str], np.ndarray]:
        """Sleep stages (N,) and probabilities (N, K) of every 30 s from heartbeats.

        times: (beats,), s from the start of the recording, in any order. Beats that were made from an averaged heart
        rate are recognised, if its values are 4 s apart or more. Warns of a low or unknown kappa on such input.
        Raises UserError for beats without plausible intervals, of less than ten minutes or more than 14 days (as times
        since 1970), before 0 s, NaN, in ms, or RR intervals.
        """
        return self._stages(recording_of_beats(Path("the beats"), checked_beats(times)))

    def _stages(self, recording: Recording) -> tuple[list[str], np.ndarray]:
        given = given_input(recording)
        model = self.best_for(given)
        if warning := model.judged(given).warning:
            warnings.warn(warning, stacklevel=3)
        night = opened_night(recording, model.trained.inputs)
        staged = model.stage(night)
        names, onset_s = [*staged.class_names, UNSCORED_NAME], night.hypnogram.onset_s
        rows = np.searchsorted(onset_s, staged.predicted.onset_s)  # those in gaps are not predicted
        stages = [UNSCORED_NAME] * len(onset_s)
        probabilities = np.full((len(onset_s), len(staged.class_names)), np.nan, dtype=np.float32)
        probabilities[rows] = staged.predicted.probabilities
        for row, stage in zip(rows, staged.stages, strict=True):
            stages[row] = names[stage]
        return stages, probabilities

    @property
    def about(self) -> list[str]:
        """What the network was trained on and how well it works, as every output states it."""
        trained_on = self.card.trained_on or "Its training recordings are in the config of the checkpoint."
        real = [f"{score.input_text} {score.text}" for score in self.card.main_scores]
        kappa = f"Kappa on real recordings: {'; '.join(real)}." if real else UNKNOWN
        return [f"Staged by {self.trained.path.name}. {trained_on} {kappa}", NOT_MEDICAL]


def load_model(checkpoint: str | Path | None = None) -> Model:
    """The model of a checkpoint; without one, the network that ships with sleepkd. Raises UserError: no such file.

    If several ship, `Model.best_for` chooses for each recording; a named one stages every recording.
    """
    if checkpoint is None:
        default, *others = map(_load, shipped_networks())
        return replace(default, others=tuple(others))
    return _load(checkpoint)


def _load(checkpoint: str | Path) -> Model:
    path = Path(checkpoint)
    if not path.is_file():
        path = find_shipped(str(path)) or path
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    trained = load_trained(path)
    temperature = read_temperature(path) if temperature_path(path).is_file() else 1.0
    return Model(trained, temperature, read_card(path.with_name(CARD_FILE)))
