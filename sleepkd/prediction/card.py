"""Model card of a network that ships: training nights, licences, kappa by cohort and by input. JSON and Markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np

from sleepkd.config import from_dict, require
from sleepkd.data.heart_rate_input import input_text
from sleepkd.errors import UserError
from sleepkd.files import write_text_atomically

HEARTBEATS: Final = "heartbeats"
AVERAGED: Final = "averaged heart rate"
ECG: Final = "ECG"
InputKind = Literal["heartbeats", "averaged heart rate", "ECG"]
CARD_FILE = "card.json"
FARTHEST_CADENCE = 2.1
"""A score holds for cadences within a factor of 2, and 5 % more for those measured on heartbeats. Our choice: kappa on
30-s averages says little about 5-s ones."""
PREFERRED_CLASSES = 4


@dataclass(frozen=True)
class TrainingNights:
    """Nights of one cohort that a network was trained on.

    role: how they were used: with their "labels", with "pseudo-labels", or in "pre-training".
    licence, attribution: of the cohort, as its licence asks for.
    """

    cohort: str
    nights: int
    role: str
    licence: str = ""
    attribution: str = ""


@dataclass(frozen=True)
class CardScore:
    """Cohen's kappa of a network on the nights of one cohort, given as one kind of input: the mean over nights.

    Attributes
    ----------
    cohort, input, classes, nights
        What was scored.
    kappa
        The mean over nights.
    every_s
        Cadence of an averaged heart rate, s; None for heartbeats and ECG.
    low, high
        95 % interval of kappa; None if not computed.
    method
        How nights were held out, and how often the network was trained.
    real
        False for simulated nights.
    group
        The part of the cohort, for example "women"; "" for all nights.
    """

    cohort: str
    input: InputKind
    classes: int
    nights: int
    kappa: float
    every_s: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    real: bool = True
    group: str = ""

    def __post_init__(self) -> None:
        """Raise UserError for an averaged heart rate without a cadence, or another input with one."""
        averaged = self.input == AVERAGED
        require((self.every_s is not None and self.every_s > 0) == averaged, "every_s", f"does not fit {self.input}")
        require(self.nights > 0, "nights", "must be 1 or more")

    @property
    def input_text(self) -> str:
        """For example "heart rate averaged every 5 s"."""
        return self.input if self.every_s is None else input_text(self.every_s)

    @property
    def text(self) -> str:
        """For example "0.46 (0.42 to 0.50; sleep_accel, 23 nights, 4 classes)"."""
        interval = "" if self.low is None or self.high is None else f"{self.low:.2f} to {self.high:.2f}; "
        nights = f"{self.nights} {'' if self.real else 'simulated '}nights"
        return f"{self.kappa:.2f} ({interval}{self.cohort}, {nights}, {self.classes} classes)"


def _mapping(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{key}: expected keys and values, got {value!r}")
    return dict(value)


@dataclass(frozen=True)
class ModelCard:
    """What is known of a trained network; empty for a checkpoint without a card.

    Attributes
    ----------
    network
        Its name.
    classes
        Sleep stages.
    parameters
        Their number.
    inputs
        Kinds of signals that it reads.
    trained_on
        One sentence.
    training_nights
        By cohort, with licence and attribution.
    not_for
        What it must not be used for.
    scores
        Every output states the first one of each real cohort.
    calibration
        Measured values by name.
    made_by
        The command that trained it.
    """

    network: str = ""
    classes: tuple[str, ...] = ()
    parameters: int = 0
    inputs: tuple[str, ...] = ()
    trained_on: str = ""
    training_nights: tuple[TrainingNights, ...] = ()
    not_for: tuple[str, ...] = ()
    scores: tuple[CardScore, ...] = ()
    calibration: Annotated[dict[str, Any], _mapping] | None = None
    made_by: str = ""

    @property
    def main_scores(self) -> list[CardScore]:
        """The first score of each real cohort."""
        first: dict[str, CardScore] = {}
        for score in self.scores:
            if score.real and not score.group:
                first.setdefault(score.cohort, score)
        return list(first.values())

    def scores_on(self, kind: str, every_s: float | None = None) -> tuple[CardScore, ...]:
        """Find the scores that hold for an input, () if the network was never evaluated on such input.

        Of these, the scores of real nights, of 4 classes and of the nearest cadence (by its logarithm) are preferred.

        Parameters
        ----------
        kind
            An `InputKind`, or another kind of signal, which has no scores.
        every_s
            Cadence of an averaged rate, s.
        """
        found = [score for score in self.scores if score.input == kind and not score.group]
        found = [score for score in found if _cadence_ratio(score, every_s) <= FARTHEST_CADENCE]
        found = [score for score in found if score.real] or found
        found = [score for score in found if score.classes == PREFERRED_CLASSES] or found
        nearest = min((_cadence_ratio(score, every_s) for score in found), default=0.0)
        return tuple(score for score in found if _cadence_ratio(score, every_s) <= nearest + 1e-6)


def _cadence_ratio(score: CardScore, every_s: float | None) -> float:
    """How many times longer one cadence is than the other; 1 for input without a cadence."""
    if score.every_s is None or every_s is None:
        return 1.0 if score.every_s == every_s else float("inf")
    return max(score.every_s, every_s) / min(score.every_s, every_s)


def mean_kappa(scores: Sequence[CardScore]) -> float:
    """Mean kappa over the nights of some scores; NaN without scores."""
    if not scores:
        return float("nan")
    return float(np.average([score.kappa for score in scores], weights=[score.nights for score in scores]))


def read_card(path: Path) -> ModelCard:
    """The model card in a JSON file, an empty one where there is no file; cards of version 0.1 are read too.

    Raises UserError naming the file and the key for content that is not a card.
    """
    if not path.is_file():
        return ModelCard()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return from_dict(ModelCard, _current(_mapping(content, "the file")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not a model card: {error}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _current(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a card in today's keys. Version 0.1 listed kappa by night, of simulated nights and of slpdb."""
    content = dict(content)
    for sentence in ("real_hearts", "real_recordings"):  # made of the scores today
        content.pop(sentence, None)
    by_night = content.pop("kappa_by_night", None)
    if by_night is None:
        return content
    cohorts: dict[str, tuple[str, InputKind, bool]] = {
        "simulated": ("simulated", ECG, False),
        "real": ("slpdb", HEARTBEATS, True),
    }
    scores, classes = [], len(content.get("classes", ()))
    for name, nights in by_night.items():
        (cohort, kind, real), kappas = cohorts[name], list(nights.values())
        scores.append(CardScore(cohort, kind, classes, len(kappas), float(np.mean(kappas)), real=real))
    return {**content, "scores": [asdict(score) for score in scores]}


def write_card(card: ModelCard, folder: Path) -> None:
    """Write a model card as card.json and card.md."""
    content = {key: value for key, value in asdict(card).items() if value is not None}
    write_text_atomically(folder / CARD_FILE, json.dumps(content, indent=1) + "\n")
    write_text_atomically(folder / "card.md", card_page(card))


def card_page(card: ModelCard) -> str:
    """The model card in Markdown."""
    parts = [
        f"# {card.network}",
        f"{card.parameters:,} parameters; sleep stages {', '.join(card.classes)}, every 30 s, from "
        f"{', '.join(card.inputs)}: any of these. Not a medical device.",
        card.trained_on,
    ]
    if card.not_for:
        parts += ["## Must not be used for", "\n".join(f"- {use}" for use in card.not_for)]
    if whole := [score for score in card.scores if not score.group]:
        parts += ["## Scores", "Cohen's kappa, mean over nights, with its 95 % interval.", _score_table(whole)]
    if grouped := [score for score in card.scores if score.group]:
        note = "Of few nights and fewer people, intervals are wide; of one person, there is none."
        parts += ["## Scores by age and sex", note, _group_table(grouped)]
    if card.calibration:
        parts += ["## Calibration", "\n".join(f"- {name}: {_value(x)}" for name, x in card.calibration.items())]
    if card.training_nights:
        rows = [[x.cohort, str(x.nights), x.role, x.licence, x.attribution] for x in card.training_nights]
        header = ["cohort", "nights", "used with", "licence", "attribution"]
        parts += ["## Training nights", _markdown_table(header, rows, numbers=(1,))]
    if card.made_by:
        parts.append(f"Made by `{card.made_by}`.")
    return "\n\n".join(filter(None, parts)) + "\n"


def _group_table(scores: Sequence[CardScore]) -> str:
    """Groups of people, in their order, with kappa of 4 and of 3 classes side by side."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    classes = sorted({score.classes for score in scores}, reverse=True)
    for score in scores:
        row = rows.setdefault(
            (score.cohort, score.group, score.input_text),
            [score.cohort, score.group, score.input_text, str(score.nights), *["–"] * len(classes)],
        )
        row[4 + classes.index(score.classes)] = _with_interval(score)
    header = ["cohort", "people", "input", "nights", *(f"kappa, {number} classes" for number in classes)]
    return _markdown_table(header, list(rows.values()), numbers=(3,))


def _with_interval(score: CardScore) -> str:
    """For example "0.360 (0.250 to 0.470)"."""
    interval = "" if score.low is None or score.high is None else f" ({score.low:.3f} to {score.high:.3f})"
    return f"{score.kappa:.3f}{interval}"


def _score_table(scores: Sequence[CardScore]) -> str:
    def order(score: CardScore) -> tuple[Any, ...]:
        return not score.real, score.cohort, score.input, score.every_s or 0.0, -score.classes

    rows = []
    for score in sorted(scores, key=order):
        interval = "–" if score.low is None or score.high is None else f"{score.low:.3f} to {score.high:.3f}"
        nights = f"{score.nights}" if score.real else f"{score.nights} simulated"
        rows.append(
            [score.cohort, score.input_text, str(score.classes), nights, f"{score.kappa:.3f}", interval, score.method]
        )
    header = ["cohort", "input", "classes", "nights", "kappa", "95 % interval", "method"]
    return _markdown_table(header, rows, numbers=(2, 3, 4))


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    """A table in Markdown. numbers: columns that are aligned to the right."""
    alignment = "|".join("---:" if i in numbers else "---" for i in range(len(header)))
    lines = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in (header, *rows))
    first, *others = (f"| {line} |" for line in lines)
    return "\n".join([first, f"|{alignment}|", *others])


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(item)}" for name, item in value.items())
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else str(value)
