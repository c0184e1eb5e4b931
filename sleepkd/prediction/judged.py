"""The input of a recording (heartbeats, averaged heart rate, ECG), and the kappa of a network on such input."""

from dataclasses import dataclass, replace
from typing import Any

from sleepkd.cohorts.recording import Recording
from sleepkd.data.heart_rate_input import input_text
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.prediction.card import AVERAGED, ECG, HEARTBEATS, CardScore, ModelCard, mean_kappa

POOR_KAPPA = 0.3
"""A kappa below this is warned of. Landis and Koch (1977) call 0.21 to 0.40 fair; networks that others trained on
thousands of nights reach about 0.3 on the heartbeats of slpdb, so less is a night that the network cannot read."""


@dataclass(frozen=True)
class GivenInput:
    """What a recording holds. kind: an `InputKind`, or the label of another kind of signal.

    every_s: cadence of an averaged heart rate, s. rate_hz: samples per second of a signal. channel: its name.
    beside: labels of the sensors that were read besides.
    """

    kind: str
    every_s: float | None = None
    rate_hz: float | None = None
    channel: str = ""
    beside: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """ "heartbeats", "heart rate averaged every 5 s" or "ECG at 250 Hz"; with "and movement" of sensors."""
        return " and ".join([self._first_text, *self.beside])

    @property
    def _first_text(self) -> str:
        if self.kind == AVERAGED:
            return input_text(self.every_s or 0.0)
        return self.kind if self.rate_hz is None else f"{self.kind} at {self.rate_hz:g} Hz"


def given_input(recording: Recording) -> GivenInput:
    """The input of a recording: its heartbeats or averaged heart rate, else its first signal; and its other sensors."""
    labels = [SIGNAL_KINDS[name].label for name in recording.signals]
    if recording.beats is not None:
        given = GivenInput(AVERAGED, recording.cadence_s) if recording.cadence_s else GivenInput(HEARTBEATS)
        return replace(given, beside=tuple(labels))
    first = next(iter(recording.signals.values()))
    return GivenInput(labels[0], rate_hz=first.rate_hz, channel=first.derivation, beside=tuple(labels[1:]))


@dataclass(frozen=True)
class JudgedInput:
    """An input, the scores of a network on such input (() if never evaluated on it), and a warning or ""."""

    given: GivenInput
    scores: tuple[CardScore, ...]
    warning: str = ""

    @property
    def rank(self) -> tuple[int, float]:
        """Higher for a network that fits better: evaluated on real nights, else on simulated ones, then by kappa."""
        if not self.scores:
            return 0, 0.0
        return (2 if self.scores[0].real else 1), mean_kappa(self.scores)

    @property
    def measured(self) -> str:
        """For example "kappa on such input: 0.46 (0.42 to 0.50; sleep_accel, 23 nights, 4 classes)"; "" without."""
        return f"kappa on such input: {', '.join(score.text for score in self.scores)}" if self.scores else ""

    @property
    def text(self) -> str:
        """The input and the kappa measured on such input, in a line."""
        channel = f", channel {self.given.channel}" if self.given.channel else ""
        return "; ".join(filter(None, [f"input: {self.given.text}{channel}", self.measured]))

    @property
    def facts(self) -> dict[str, Any]:
        """Entries of summary.json."""
        names = ("cohort", "input", "every_s", "classes", "nights", "kappa", "low", "high", "real")
        scores = [{name: getattr(score, name) for name in names} for score in self.scores]
        channel = {"channel": self.given.channel} if self.given.channel else {}
        return {"input": self.given.text, **channel, "measured_on_such_input": scores, "warning": self.warning or None}


def judged_input(card: ModelCard, given: GivenInput, reads_ecg: bool = True) -> JudgedInput:
    """An input with the scores of a model card that hold for it, and a warning of a low kappa or of no score.

    reads_ecg: false for a network that reads only the heartbeats of an ECG: its scores on heartbeats hold then.
    A card without any score, as of a network of one's own, gives no warning.
    """
    kind = HEARTBEATS if given.kind == ECG and not reads_ecg else given.kind
    scores = card.scores_on(kind, given.every_s)
    return JudgedInput(given, scores, _warning(card, given, scores))


def _warning(card: ModelCard, given: GivenInput, scores: tuple[CardScore, ...]) -> str:
    if not card.scores:
        return ""
    if not scores:
        return f"the network was never evaluated on this input ({given.text}); its stages may be wrong"
    texts = ", ".join(score.text for score in scores)
    if not scores[0].real:
        return f"the network was evaluated on this input ({given.text}) of simulated nights only: kappa {texts}"
    if mean_kappa(scores) < POOR_KAPPA:
        return f"kappa of the network on this input ({given.text}) is only {texts}"
    return ""
