"""The model that `sleepkd.load()` returns: sleep stages from an ECG or from heartbeats."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sleepkd.checkpoints.shipped import SHIPPED as SHIPPED  # scripts find it here
from sleepkd.checkpoints.shipped import shipped_checkpoint as shipped_checkpoint
from sleepkd.checkpoints.shipped import shipped_networks
from sleepkd.checkpoints.temperature import read_temperature, temperature_path
from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.checkpoints.weights_by_name import find_checkpoint
from sleepkd.cohorts.recording import Recording
from sleepkd.data.store import Night
from sleepkd.errors import UserError
from sleepkd.prediction.card import CARD_FILE, ModelCard, read_card
from sleepkd.prediction.judged import GivenInput, JudgedInput, given_input, judged_input
from sleepkd.prediction.memory.arrays import checked_beats
from sleepkd.prediction.memory.in_memory import GivenSignal, nights_in_memory, recording_in_memory
from sleepkd.prediction.predicted_night import PredictedNight
from sleepkd.prediction.recorded import opened, recording_of_beats
from sleepkd.prediction.staged import StagedNight, stage_night

NOT_MEDICAL = "Not a medical device."
UNKNOWN = "Its performance on real recordings is unknown."


@dataclass(frozen=True)
class Model:
    """A trained network, the temperature of its probabilities, and its model card; `sleepkd.load` returns one.

    Attributes
    ----------
    trained
        The network, its settings, its inputs and the nights that it was trained on.
    temperature
        Divides the logits; 1 leaves them as they are.
    card
        `card.json` beside the checkpoint (`scripts/weights.py` writes one), empty without.
    others
        The other networks that ship, one of which may have a higher kappa on an input.
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

    def predict(self, signal: GivenSignal, fs: float | None = None, channel: str = "") -> PredictedNight:
        """Stage a recording: sleep stages (N,) and probabilities (N, K) of every 30 s.

        The recording is staged whole; see `predict_nights` for days. A sleep epoch without usable heartbeats is
        "unscored"; so is one of an EEG in a gap, its probabilities NaN. Warns of a low or unknown kappa on such input.

        Parameters
        ----------
        signal
            One of

            - samples (samples,) or (samples, 1) of an ECG, in mV; in any unit if the network normalises by the night,
              as the shipped one does. For a network of another signal: that one, in the unit of its kind (EEG: µV).
              NaN is missing: a second of it or more is a gap.
            - an mne.io.Raw. Samples within annotations "BAD…" are missing, and channels marked bad are not chosen.
            - a wfdb.Record.
            - a frame or series of pandas. A column named like RR intervals or a heart rate is read as such, with the
              times of the index; other columns are samples at the times of the index (dates, durations, or seconds).
            - the path of a file that `sleepkd predict` reads.
        fs
            Samples per second, of arrays, and of frames without times; others state it.
        channel
            One of several channels, as `sleepkd predict --channel` takes it; "" takes the ECG with the best
            heartbeats. Of other signals, several that fit are an error.

        Returns
        -------
        PredictedNight
            Also the pair of stages and probabilities: `stages, probabilities = model.predict(raw)`.

        Raises
        ------
        UserError
            For a signal that is not an ECG, is shorter than ten minutes or longer than 14 days, or has another shape or
            dtype; for a rate that is not a number, too low, or not that of the recording; for a channel that does not
            exist.

        Examples
        --------
        >>> import pandas as pd, sleepkd
        >>> seconds = pd.Index(range(0, 3600, 5), name="seconds")  # a heart rate every 5 s
        >>> night = sleepkd.load().predict(pd.Series(58 + seconds % 7, seconds, name="heart rate"))
        >>> len(night.stages), night.probabilities.shape
        (119, (119, 4))
        """
        return self._staged(recording_in_memory(signal, self.trained.inputs, fs, channel))

    def predict_beats(self, times: np.ndarray | Sequence[float]) -> PredictedNight:
        """Stage heartbeats: sleep stages (N,) and probabilities (N, K) of every 30 s.

        Beats that were made from an averaged heart rate are recognised, if its values are 4 s apart or more. Warns of
        a low or unknown kappa on such input.

        Parameters
        ----------
        times
            Times of the heartbeats (beats,), s from the start of the recording, in any order.

        Returns
        -------
        PredictedNight
            The staged night.

        Raises
        ------
        UserError
            For beats without plausible intervals, of less than ten minutes or more than 14 days (as times since 1970),
            before 0 s, NaN, in ms, or RR intervals.

        Examples
        --------
        >>> import numpy as np, sleepkd
        >>> times = np.cumsum(np.random.default_rng(0).normal(0.9, 0.05, 2450))
        >>> sleepkd.load().predict_beats(times).onset_s[:3].tolist()
        [0.0, 30.0, 60.0]
        """
        return self._staged(recording_of_beats(Path("the beats"), checked_beats(times)))

    def predict_nights(self, signal: GivenSignal, fs: float | None = None, channel: str = "") -> list[PredictedNight]:
        """Find the nights of a recording of days and stage each; in order of time, for `sleep_regularity`.

        Nights are found in more than 16 h of heartbeats, heart rate or ECG, as `sleepkd predict --nights all` finds
        them; a shorter recording is one night. Warns of a night that cannot be staged, and leaves it out.

        Parameters
        ----------
        signal, fs, channel
            As `predict` takes them.

        Returns
        -------
        list of PredictedNight
            One for each night that was found.

        Raises
        ------
        UserError
            As `predict`, and if there is no night.
        """
        staged, problems = [], []
        for recording in nights_in_memory(signal, self.trained.inputs, fs, channel):
            try:
                staged.append(self._staged(recording))
            except UserError as error:
                problems.append(str(error))
        if not staged:
            raise UserError(problems[0])
        for problem in problems:
            warnings.warn(f"a night is left out: {problem}", stacklevel=2)
        return staged

    def _staged(self, recording: Recording) -> PredictedNight:
        given = given_input(recording)
        model = self.best_for(given)
        judged = model.judged(given)
        if judged.warning:
            warnings.warn(judged.warning, stacklevel=3)
        night = opened(recording, model.trained.inputs)
        return PredictedNight(model.stage(night.night), night, judged, model.about)

    @property
    def about(self) -> list[str]:
        """What the network was trained on and how well it works, as every output states it."""
        trained_on = self.card.trained_on or "Its training recordings are in the config of the checkpoint."
        real = [f"{score.input_text} {score.text}" for score in self.card.main_scores]
        kappa = f"Kappa on real recordings: {'; '.join(real)}." if real else UNKNOWN
        return [f"Staged by {self.trained.path.name}. {trained_on} {kappa}", NOT_MEDICAL]


def load_model(checkpoint: str | Path | None = None) -> Model:
    """The model of a checkpoint; without one, the network that ships with sleepkd. Raises UserError: no such file.

    checkpoint: as `find_checkpoint` takes it. If several networks ship, `Model.best_for` chooses for each recording; a
    named one stages every recording.
    """
    if checkpoint is None:
        default, *others = map(_load, shipped_networks())
        return replace(default, others=tuple(others))
    return _load(checkpoint)


def _load(checkpoint: str | Path) -> Model:
    path = find_checkpoint(checkpoint)
    trained = load_trained(path)
    temperature = read_temperature(path) if temperature_path(path).is_file() else 1.0
    return Model(trained, temperature, read_card(path.with_name(CARD_FILE)))
