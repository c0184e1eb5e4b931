"""Agreement of a student with its teacher, and the sleep epochs where it differs from its baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sleepkd.evaluation.scores.comparison import match_nights
from sleepkd.evaluation.scores.metrics import batch_scores, confusion_matrix
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.extras import require_extra

CONFIDENCE_GROUPS = 5
TSNE_COMPONENTS = 50


def teacher_agreement(
    teacher: Sequence[NightPredictions], student: Sequence[NightPredictions]
) -> dict[str, float | int | np.ndarray]:
    """How often a student predicts what its teacher predicts, over the scored sleep epochs of the nights of both.

    Returns n; confusion (K, K), rows teacher, columns student; agreement (the share of equal predictions) and kappa
    between the two; follows_right and follows_wrong: the share of the teacher's right, and of its wrong, predictions
    that the student repeats. Both are 1 for a student that only copies; one that learned to stage sleep keeps
    follows_right high.
    """
    labels, of_teacher, of_student = _stacked(teacher, student)
    a, b = of_teacher.argmax(1), of_student.argmax(1)
    confusion = confusion_matrix(a, b, of_teacher.shape[1])
    between = batch_scores(confusion)
    right, same = a == labels, a == b
    return {
        "n": len(labels),
        "confusion": confusion,
        "agreement": float(between["accuracy"]),
        "kappa": float(between["kappa"]),
        "follows_right": _share(same[right]),
        "follows_wrong": _share(same[~right]),
    }


def by_teacher_confidence(
    teacher: Sequence[NightPredictions],
    students: Mapping[str, Sequence[NightPredictions]],
    groups: int = CONFIDENCE_GROUPS,
) -> list[dict]:
    """Kappa of the teacher and of each student in groups of sleep epochs by the teacher's confidence, lowest first.

    Groups hold equally many scored sleep epochs, by the teacher's largest probability. Returns per group: low, high
    (the limits of that probability), n, kappa: {"teacher" and each student's name: against the labels}.
    """
    rows: list[dict] = []
    for name, student in students.items():
        labels, of_teacher, of_student = _stacked(teacher, student)
        confidence = of_teacher.max(1)
        for g, chosen in enumerate(np.array_split(np.argsort(confidence, kind="stable"), groups)):
            if not len(chosen):
                continue
            if g == len(rows):
                limits = {"low": float(confidence[chosen[0]]), "high": float(confidence[chosen[-1]]), "n": len(chosen)}
                rows.append({**limits, "kappa": {"teacher": _kappa(labels[chosen], of_teacher[chosen])}})
            rows[g]["kappa"][name] = _kappa(labels[chosen], of_student[chosen])
    return rows


@dataclass(frozen=True)
class DisagreementExample:
    """One sleep epoch where baseline and distilled student differ. baseline, distilled: probabilities (K,) of each.

    index: of the sleep epoch in the predictions of its recording.
    """

    recording: str
    index: int
    onset_s: float
    duration_s: float
    label: int
    baseline: np.ndarray
    distilled: np.ndarray


def clearest_examples(
    baseline: Sequence[NightPredictions], distilled: Sequence[NightPredictions], per_class: int = 2
) -> dict[str, list[DisagreementExample]]:
    """The clearest sleep epochs that one model gets right and the other wrong, `per_class` of each class and kind.

    Kinds: distilled_right (baseline wrong) and baseline_right. The clearest have probabilities of the scored class that
    differ most. These examples are chosen and prove nothing: `contested` counts all.
    """
    pairs = match_nights(baseline, distilled)
    found: dict[str, list[tuple[float, DisagreementExample]]] = {"distilled_right": [], "baseline_right": []}
    for night_a, night_b in pairs:
        right_a, right_b = night_a.predictions == night_a.labels, night_b.predictions == night_b.labels
        for kind, chosen in (("distilled_right", right_b & ~right_a), ("baseline_right", right_a & ~right_b)):
            for i in np.flatnonzero(chosen & night_a.scored):
                label = int(night_a.labels[i])
                margin = abs(float(night_b.probabilities[i, label]) - float(night_a.probabilities[i, label]))
                example = DisagreementExample(
                    recording=night_a.recording,
                    index=int(i),
                    onset_s=float(night_a.onset_s[i]),
                    duration_s=float(night_a.duration_s[i]),
                    label=label,
                    baseline=night_a.probabilities[i],
                    distilled=night_b.probabilities[i],
                )
                found[kind].append((margin, example))
    examples: dict[str, list[DisagreementExample]] = {}
    for kind, candidates in found.items():
        clearest_first = [example for _, example in sorted(candidates, key=lambda pair: -pair[0])]
        by_class = [[example for example in clearest_first if example.label == k] for k in range(pairs[0][0].n_classes)]
        examples[kind] = [example for of_class in by_class for example in of_class[:per_class]]
    return examples


def contested(baseline: Sequence[NightPredictions], distilled: Sequence[NightPredictions]) -> dict[str, list[int]]:
    """Counts by class of scored sleep epochs that both, only the distilled, only the baseline, or none got right."""
    labels, a, b = _stacked(baseline, distilled)
    right_a, right_b = a.argmax(1) == labels, b.argmax(1) == labels
    kinds = {
        "both_right": right_a & right_b,
        "distilled_right": right_b & ~right_a,
        "baseline_right": right_a & ~right_b,
        "both_wrong": ~right_a & ~right_b,
    }
    return {kind: np.bincount(labels[chosen], minlength=a.shape[1]).tolist() for kind, chosen in kinds.items()}


def project(features: Mapping[str, np.ndarray], method: str = "tsne", seed: int = 0) -> dict[str, np.ndarray]:
    """Project each model's features to two dimensions, by PCA or t-SNE (scikit-learn).

    features: {model: (N, D)}, for example the bottleneck averaged over time. method: "pca" or "tsne" (after PCA to 50
    components; van der Maaten & Hinton 2008, JMLR 9:2579-2605). Returns {model: (N, 2)}. The axes of a t-SNE and the
    distances between far-apart groups mean nothing. Raises UserError without scikit-learn, ValueError for an unknown
    method.
    """
    require_extra("sklearn", "evaluate", "projections of features")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if method not in ("pca", "tsne"):
        raise ValueError(f"method must be pca or tsne, not {method!r}")
    projected = {}
    for name, values in features.items():
        components = min(TSNE_COMPONENTS if method == "tsne" else 2, *values.shape)
        points = PCA(components, random_state=seed).fit_transform(np.asarray(values, dtype=np.float64))
        if method == "tsne":
            perplexity = min(30.0, (len(points) - 1) / 3)
            points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(points)
        projected[name] = points
    return projected


def _stacked(a: Sequence[NightPredictions], b: Sequence[NightPredictions]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (N,) and both models' probabilities (N, K) of the scored sleep epochs of the nights of both."""
    pairs = match_nights(a, b)
    labels = np.concatenate([night_a.labels[night_a.scored] for night_a, _ in pairs]).astype(np.int64)
    stacks = [np.concatenate([pair[side].probabilities[pair[side].scored] for pair in pairs]) for side in (0, 1)]
    return labels, stacks[0], stacks[1]


def _kappa(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(batch_scores(confusion_matrix(labels, probabilities.argmax(1), probabilities.shape[1]))["kappa"])


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if flags.size else float("nan")
