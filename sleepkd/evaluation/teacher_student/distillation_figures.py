"""Draw a student beside its teacher and baseline: kappa by confidence, attention maps, projection, examples.

The networks run again on the sleep epochs that are shown, with a forward hook on the bottleneck.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sleepkd.data.hypnogram import CLASS_NAMES, EPOCH_SECONDS
from sleepkd.evaluation.pictures.drawing import Picture
from sleepkd.evaluation.scores.comparison import match_nights
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.evaluation.teacher_student.agreement import clearest_examples, project
from sleepkd.evaluation.teacher_student.bottleneck import bottleneck_features
from sleepkd.evaluation.teacher_student.figures import (
    AttentionExample,
    attention_figure,
    confidence_figure,
    examples_figure,
    projection_figure,
    time_of_night,
)
from sleepkd.evaluation.teacher_student.trio import Trio
from sleepkd.palette import display_order

PROJECTED = 600
"""The number of scored sleep epochs in a projection. t-SNE takes seconds for these, and hours for a cohort."""

Place = tuple[str, int]
"""A sleep epoch: its recording, and its index in the predictions of that recording."""


def draw_distillation(name: str, trio: Trio, found: dict[str, Any], folder: Path, seed: int = 0) -> list[Picture]:
    """Draw a student's figures into a folder: kappa by teacher confidence, attention maps, projection, and examples.

    name: of the student. found: of `distillation_of`. seed: which sleep epochs the projection shows.
    """
    class_names = CLASS_NAMES[trio.student.trained.config.data.classes]
    confidence = Picture(
        folder / "confidence.png",
        f"{name}: kappa where its teacher is unsure (left) and sure (right). A student that only copies the teacher "
        "falls with it.",
    )
    confidence_figure(found["by_teacher_confidence"], confidence.path)
    attention = Picture(
        folder / "attention.png",
        f"{name}: attention maps of teacher and student at the bottleneck, for the sleep epoch of each class where "
        "both are most confident. Blue: strong.",
    )
    attention_figure(_attention_examples(trio, class_names), _input_names(trio), attention.path)
    projection = Picture(
        folder / "projection.png",
        f"{name}: bottleneck features of up to {PROJECTED} sleep epochs, one t-SNE for each network. Distances between "
        "far-apart groups mean nothing.",
    )
    points, labels = _projected(trio, seed)
    projection_figure(points, labels, class_names, projection.path)
    return [confidence, attention, projection, *_draw_examples(name, trio, class_names, folder)]


def _attention_examples(trio: Trio, class_names: Sequence[str]) -> list[AttentionExample]:
    pairs = match_nights(trio.shared(trio.teacher), trio.shared(trio.student))
    most_confident = [_most_confident(pairs, label) for label in display_order(class_names)]
    chosen = [place for place in most_confident if place]
    of_teacher, teacher_maps = bottleneck_features(trio.teacher, chosen, _energy)
    of_student, student_maps = bottleneck_features(trio.student, chosen, _energy)
    night_of = {night.recording: night for night in trio.student.nights}
    titles = [_title(night_of[recording], i, class_names) for recording, i in chosen]
    rows = zip(titles, of_teacher, of_student, teacher_maps, student_maps, strict=True)
    return [AttentionExample(title, a, b, EPOCH_SECONDS, map_a, map_b) for title, a, b, map_a, map_b in rows]


def _input_names(trio: Trio) -> tuple[str, str]:
    """The names of the inputs that are drawn: the teacher's first one and the student's."""
    teacher, student = (next(iter(model.trained.inputs)).upper() for model in (trio.teacher, trio.student))
    return teacher, student


def _most_confident(pairs: Sequence[tuple[NightPredictions, NightPredictions]], label: int) -> Place | None:
    """The sleep epoch with a label to which teacher and student give the highest probability; None without any."""
    best, place = -1.0, None
    for teacher, student in pairs:
        together = teacher.probabilities[:, label] * student.probabilities[:, label]
        together = np.where(student.labels == label, together, -1.0)
        if together.max() > best:
            best, place = float(together.max()), (student.recording, int(together.argmax()))
    return place


def _projected(trio: Trio, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """{part: (N, 2)} and labels (N,) of scored sleep epochs drawn from the nights that all networks have."""
    nights = trio.shared(trio.student)
    places = [(night.recording, int(i)) for night in nights for i in np.flatnonzero(night.scored)]
    labels = np.concatenate([night.labels[night.scored] for night in nights])
    drawn = np.random.default_rng(seed).permutation(len(places))[:PROJECTED]
    chosen = [places[i] for i in drawn]
    features = {
        f"{part} ({model.trained.input_names})": bottleneck_features(model, chosen, _mean)[1]
        for part, model in trio.members.items()
    }
    return project(features, seed=seed), labels[drawn]


def _draw_examples(name: str, trio: Trio, class_names: Sequence[str], folder: Path) -> list[Picture]:
    if not trio.baseline:
        return []
    captions = {
        "distilled_right": f"{name} right, the baseline wrong: the two clearest sleep epochs of each class.",
        "baseline_right": f"The reverse: {name} wrong, the baseline right. Chosen examples prove nothing.",
    }
    pictures = []
    for kind, examples in clearest_examples(trio.shared(trio.baseline), trio.shared(trio.student)).items():
        if examples:
            places = [(example.recording, example.index) for example in examples]
            shown = (bottleneck_features(model, places, _mean)[0] for model in (trio.teacher, trio.student))
            signals = list(zip(*shown, strict=True))
            pictures.append(Picture(folder / f"{kind}.png", captions[kind]))
            examples_figure(examples, signals, _input_names(trio), class_names, pictures[-1].path)
    return pictures


def _title(night: NightPredictions, i: int, class_names: Sequence[str]) -> str:
    return f"{night.recording}, {time_of_night(night.onset_s[i])}: scored {class_names[night.labels[i]]}"


def _energy(feature_BCL: Tensor) -> Tensor:
    return feature_BCL.square().sum(1)


def _mean(feature_BCL: Tensor) -> Tensor:
    return feature_BCL.mean(-1)
