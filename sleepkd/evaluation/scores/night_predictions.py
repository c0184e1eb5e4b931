"""Predictions of one night beside its labels: the input of all scores and figures."""

from dataclasses import dataclass, field, replace

import numpy as np

from sleepkd.data.hypnogram import UNSCORED
from sleepkd.data.recording_info import Sex
from sleepkd.evaluation.scores.metrics import confusion_matrix


@dataclass(frozen=True)
class NightPredictions:
    """One recording's sleep epochs in time order, scored and predicted.

    Attributes
    ----------
    recording, subject, subset, standard
        Names; the standard is "aasm" or "rk".
    onset_s, duration_s
        (N,) float64, seconds from the start of the recording; durations as scored (30 s, or R&K's 20).
    labels
        (N,) int8, class index or -1 (unscored).
    probabilities
        (N, K) float32, rows sum to 1.
    cohort
        Of the recording.
    others
        (S, N) int8, the labels of further scorers, which only `inter_rater_scores` uses.
    input
        What the network read, in words, see `inference.input_of`; "" where it is not known.
    age, sex
        Of the sleeper, years, and "F" or "M"; None where they are not known.
    """

    recording: str
    subject: str
    subset: str
    standard: str
    onset_s: np.ndarray
    duration_s: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    cohort: str = ""
    others: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int8))
    input: str = ""
    age: float | None = None
    sex: Sex | None = None

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.probabilities.ndim != 2:
            raise ValueError(f"{self.recording}: probabilities of shape {self.probabilities.shape}, not (N, K)")
        if not len(self.onset_s) == len(self.duration_s) == len(self.probabilities) == n:
            raise ValueError(f"{self.recording}: onset_s, duration_s, labels and probabilities differ in length")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: np.ndarray) -> "NightPredictions":
        """The same night with some of its sleep epochs, by index."""
        parts = ("onset_s", "duration_s", "labels", "probabilities")
        others = self.others[:, chosen] if len(self.others) else self.others
        return replace(self, others=others, **{name: getattr(self, name)[chosen] for name in parts})

    @property
    def n_classes(self) -> int:
        """K, the number of classes."""
        return self.probabilities.shape[1]

    @property
    def predictions(self) -> np.ndarray:
        """(N,) int8: the most probable class (the first of several equal ones)."""
        return self.probabilities.argmax(axis=1).astype(np.int8)

    @property
    def scored(self) -> np.ndarray:
        """(N,) bool: whether a sleep epoch is scored."""
        return self.labels != UNSCORED

    @property
    def confusion(self) -> np.ndarray:
        """(K, K) int64 confusion matrix of the scored sleep epochs."""
        return confusion_matrix(self.labels, self.predictions, self.n_classes)
