"""A student evaluated beside its teacher and its baseline: agreement with the teacher, and gains over the baseline."""

from dataclasses import dataclass
from typing import Any

from sleepkd.errors import UserError
from sleepkd.evaluation.inference import EvaluatedNetwork
from sleepkd.evaluation.scores.comparison import match_nights
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.teacher_student.agreement import by_teacher_confidence, contested, teacher_agreement


@dataclass(frozen=True)
class Trio:
    """A student, its teacher and, if there is one, its baseline, evaluated on the same nights.

    Raises UserError where they have no recording in common, or other labels.
    """

    student: EvaluatedNetwork
    teacher: EvaluatedNetwork
    baseline: EvaluatedNetwork | None = None

    def __post_init__(self) -> None:
        for part, model in self.members.items():
            try:
                match_nights(self.shared(self.student), self.shared(model))
            except UserError as error:
                raise UserError(f"{model.trained.path}: cannot be the {part} of this evaluation: {error}") from None

    @property
    def members(self) -> dict[str, EvaluatedNetwork]:
        """The networks by their part: teacher, baseline if there is one, student."""
        parts = {"teacher": self.teacher, "baseline": self.baseline, "student": self.student}
        return {part: model for part, model in parts.items() if model}

    @property
    def references(self) -> dict[str, EvaluatedNetwork]:
        """Teacher and baseline by their part."""
        return {part: model for part, model in self.members.items() if part != "student"}

    def shared(self, model: EvaluatedNetwork) -> list[NightPredictions]:
        """A member's nights that all members have."""
        common = set.intersection(*({night.recording for night in of.nights} for of in self.members.values()))
        return [night for night in model.nights if night.recording in common]


def distillation_of(trio: Trio) -> dict[str, Any]:
    """Compare a student with its teacher and its baseline.

    Returns teacher and baseline (their checkpoints), agreement (`teacher_agreement`), by_teacher_confidence, and
    contested. Without a baseline: no baseline, no contested.
    """
    found: dict[str, Any] = {part: str(model.trained.path) for part, model in trio.references.items()}
    nights = {part: trio.shared(model) for part, model in trio.members.items()}
    teacher = nights.pop("teacher")
    found["agreement"] = teacher_agreement(teacher, nights["student"])
    found["by_teacher_confidence"] = by_teacher_confidence(teacher, nights)
    if trio.baseline:
        found["contested"] = contested(nights["baseline"], nights["student"])
    return found
