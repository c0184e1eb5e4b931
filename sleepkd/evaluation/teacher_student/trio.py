"""A student, its teacher and its baseline, once evaluated: what was taken over, in numbers and in pictures.

The networks are run again on the sleep epochs shown, with a hook on the bottleneck.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from sleepkd.data.hypnogram import CLASS_NAMES, EPOCH_SECONDS
from sleepkd.errors import UserError
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.evaluation.pictures.palette import display_order
from sleepkd.evaluation.scores.comparison import match_nights
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.teacher_student.agreement import (
    by_teacher_confidence,
    contested,
    project,
    teacher_agreement,
    telling_examples,
)
from sleepkd.evaluation.teacher_student.figures import (
    AttentionExample,
    attention_figure,
    clock,
    confidence_figure,
    examples_figure,
    projection_figure,
)
from sleepkd.evaluation.teacher_student.inside import Evaluated, look_inside

PROJECTED = 600
"""How many scored sleep epochs a projection shows: t-SNE takes seconds for these, and hours for a cohort."""


@dataclass(frozen=True)
class Trio:
    """A student with its teacher and, where there is one, the baseline it is held against.

    Raises UserError where they were not evaluated on the same scored nights.
    """

    student: Evaluated
    teacher: Evaluated
    baseline: Evaluated | None = None

    def __post_init__(self) -> None:
        for part, model in self.members.items():
            try:
                match_nights(self.shared(self.student), self.shared(model))
            except UserError as error:
                raise UserError(f"{model.trained.path}: cannot be the {part} of this evaluation: {error}") from None

    @property
    def members(self) -> dict[str, Evaluated]:
        """Those there are, by their part."""
        parts = {"teacher": self.teacher, "baseline": self.baseline, "student": self.student}
        return {part: model for part, model in parts.items() if model}

    def shared(self, model: Evaluated) -> list[NightPredictions]:
        """A member's nights, of those that all have."""
        of_all = set.intersection(*({night.recording for night in of.nights} for of in self.members.values()))
        return [night for night in model.nights if night.recording in of_all]


def distillation_of(trio: Trio) -> dict:
    """teacher and baseline (their checkpoints), agreement (`teacher_agreement`), by_teacher_confidence, contested.

    Without a baseline, what needs one is left out.
    """
    nights = {part: trio.shared(model) for part, model in trio.members.items()}
    teacher = nights.pop("teacher")
    found = {part: str(model.trained.path) for part, model in trio.members.items() if part != "student"}
    found["agreement"] = teacher_agreement(teacher, nights["student"])
    found["by_teacher_confidence"] = by_teacher_confidence(teacher, nights)
    if trio.baseline:
        found["contested"] = contested(nights["baseline"], nights["student"])
    return found


def draw_distillation(name: str, trio: Trio, found: dict, folder: Path, seed: int = 0) -> list[Picture]:
    """Draw a student's pictures into a folder: kappa by teacher confidence, attention maps, projection, and examples.

    found: of `distillation_of`. seed: which sleep epochs the projection shows.
    """
    class_names = CLASS_NAMES[trio.student.trained.config.data.classes]
    confidence = Picture(
        folder / "confidence.png",
        f"{name}: kappa where its teacher is unsure (left) and sure (right). A student that only copies falls with it.",
    )
    confidence_figure(found["by_teacher_confidence"], confidence.path)
    attention = Picture(
        folder / "attention.png",
        f"{name}: where teacher and student look: attention maps at the bottleneck, for the sleep epoch of each class "
        "of which both are surest. Blue: strong.",
    )
    attention_figure(_attention_examples(trio, class_names), attention.path)
    projection = Picture(
        folder / "projection.png",
        f"{name}: bottleneck features of up to {PROJECTED} sleep epochs, each network's by itself (t-SNE). Distances "
        "between far-apart groups mean nothing.",
    )
    points, labels = _projected(trio, seed)
    projection_figure(points, labels, class_names, projection.path)
    return [confidence, attention, projection, *_draw_examples(name, trio, class_names, folder)]


def _attention_examples(trio: Trio, class_names: Sequence[str]) -> list[AttentionExample]:
    pairs = match_nights(trio.shared(trio.teacher), trio.shared(trio.student))
    surest = [_surest(pairs, label) for label in display_order(class_names)]
    chosen = [place for place in surest if place]
    eeg, teacher_maps = look_inside(trio.teacher, chosen, _energy)
    ecg, student_maps = look_inside(trio.student, chosen, _energy)
    night_of = {night.recording: night for night in trio.student.nights}
    titles = [_title(night_of[recording], i, class_names) for recording, i in chosen]
    shown = zip(titles, eeg, ecg, teacher_maps, student_maps, strict=True)
    return [AttentionExample(title, a, b, EPOCH_SECONDS, of_a, of_b) for title, a, b, of_a, of_b in shown]


def _surest(pairs: Sequence[tuple[NightPredictions, NightPredictions]], label: int) -> tuple[str, int] | None:
    """The sleep epoch scored so of which teacher and student together are surest; None where none is scored so."""
    best, place = -1.0, None
    for teacher, student in pairs:
        together = teacher.probabilities[:, label] * student.probabilities[:, label]
        together = np.where(student.labels == label, together, -1.0)
        if together.max() > best:
            best, place = float(together.max()), (student.recording, int(together.argmax()))
    return place


def _projected(trio: Trio, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """{part: (N, 2)} and labels (N,) of scored sleep epochs drawn from the nights of all."""
    nights = trio.shared(trio.student)
    everyone = [(night.recording, int(i)) for night in nights for i in np.flatnonzero(night.scored)]
    labels = np.concatenate([night.labels[night.scored] for night in nights])
    drawn = np.random.default_rng(seed).permutation(len(everyone))[:PROJECTED]
    chosen = [everyone[i] for i in drawn]
    features = {
        f"{part} ({model.trained.input_names})": look_inside(model, chosen, _mean)[1] for part, model in trio.members.items()
    }
    return project(features, seed=seed), labels[drawn]


def _draw_examples(name: str, trio: Trio, class_names: Sequence[str], folder: Path) -> list[Picture]:
    if not trio.baseline:
        return []
    captions = {
        "distilled_right": f"{name} right, the baseline wrong: the clearest two sleep epochs of each class.",
        "baseline_right": f"The reverse: {name} wrong, the baseline right. Both are picked to show, and prove nothing.",
    }
    pictures = []
    for kind, examples in telling_examples(trio.shared(trio.baseline), trio.shared(trio.student)).items():
        if examples:
            table = [(example.recording, example.index) for example in examples]
            eeg, ecg = (look_inside(model, table, _mean)[0] for model in (trio.teacher, trio.student))
            pictures.append(Picture(folder / f"{kind}.png", captions[kind]))
            examples_figure(examples, list(zip(eeg, ecg, strict=True)), class_names, pictures[-1].path)
    return pictures


def _title(night: NightPredictions, i: int, class_names: Sequence[str]) -> str:
    return f"{night.recording}, {clock(night.onset_s[i])}: scored {class_names[night.labels[i]]}"


def _energy(feature_BCL: Tensor) -> Tensor:
    return feature_BCL.square().sum(1)


def _mean(feature_BCL: Tensor) -> Tensor:
    return feature_BCL.mean(-1)
