"""Each loss against values worked out by hand, or by a separate float64 formula in plain Python."""

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from sleepkd.distillation.losses import (
    attention_energy,
    attention_map,
    attention_sum,
    balanced_class_weights,
    cross_entropy_sum,
    distillation_sum,
    normalisers,
)

LOGITS = [[[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]], [[-1.0, 3.0, 0.2], [0.0, 0.0, 0.0]]]  # (B=2, n=2, K=3)
TEACHER = [[[1.0, 1.0, 0.0], [0.0, 2.0, -2.0]], [[0.3, -0.7, 0.1], [5.0, 0.0, 1.0]]]
LABELS = [[0, -1], [1, 2]]
WEIGHTS = [0.5, 2.0, 1.25]
PRESENT = torch.ones(2, 2, dtype=torch.bool)


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def kl_by_hand(student: list[float], teacher: list[float], temperature: float) -> float:
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    return temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def rows(nested: list) -> list[list[float]]:
    return [row for window in nested for row in window]


def test_weighted_cross_entropy_is_the_weighted_mean_over_scored_sleep_epochs() -> None:
    scored = [(row, label) for row, label in zip(rows(LOGITS), rows(LABELS), strict=True) if label >= 0]
    expected = sum(WEIGHTS[k] * -math.log(softmax(row)[k]) for row, k in scored) / sum(WEIGHTS[k] for _, k in scored)
    total = cross_entropy_sum(torch.tensor(LOGITS), torch.tensor(LABELS), torch.tensor(WEIGHTS))
    whole = normalisers(np.array(LABELS), PRESENT.numpy(), np.array(WEIGHTS))
    assert whole["ce"] == 0.5 + 2.0 + 1.25
    assert float(total) / whole["ce"] == pytest.approx(expected, abs=1e-6)


def test_unscored_labels_add_nothing_to_cross_entropy_nor_to_its_divisor() -> None:
    logits = torch.tensor(LOGITS, requires_grad=True)
    cross_entropy_sum(logits, torch.tensor(LABELS), torch.tensor(WEIGHTS)).backward()
    assert not logits.grad[0, 1].any()
    assert logits.grad[0, 0].any()
    nothing = torch.full((2, 2), -1)
    assert float(cross_entropy_sum(logits.detach(), nothing, torch.tensor(WEIGHTS))) == 0
    whole = normalisers(nothing.numpy(), PRESENT.numpy(), np.array(WEIGHTS))
    assert whole == {"ce": 1.0, "kd": 4.0, "at": 2.0}  # 0 / 1 stays 0


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
@pytest.mark.parametrize(("mean", "divisor"), [("sleep_epoch", 4), ("element", 12)])
def test_distillation_is_the_mean_divergence(temperature: float, mean: str, divisor: int) -> None:
    per_epoch = [kl_by_hand(s, t, temperature) for s, t in zip(rows(LOGITS), rows(TEACHER), strict=True)]
    total = distillation_sum(torch.tensor(LOGITS), torch.tensor(TEACHER), PRESENT, temperature, mean)
    assert float(total) / 4 == pytest.approx(sum(per_epoch) / divisor, abs=1e-6)


def test_distillation_as_released_is_pytorchs_mean() -> None:
    student, teacher = torch.tensor(LOGITS), torch.tensor(TEACHER)
    with pytest.warns(UserWarning, match="divides the total loss by both the batch size and the support size"):
        released = torch.nn.functional.kl_div(student.log_softmax(-1), teacher.softmax(-1), reduction="mean")
    assert float(distillation_sum(student, teacher, PRESENT, 1.0, "element")) / 4 == pytest.approx(float(released))


def test_distillation_is_zero_for_equal_logits_and_its_gradient_reaches_the_student_alone() -> None:
    student = torch.tensor(LOGITS, requires_grad=True)
    teacher = torch.tensor(TEACHER, requires_grad=True)
    assert distillation_sum(student, student.detach().clone(), PRESENT, 2.0).item() == pytest.approx(0, abs=1e-6)
    distillation_sum(student, teacher, PRESENT, 2.0).backward()
    assert student.grad.any()
    assert teacher.grad is None


def test_distillation_skips_padding() -> None:
    present = torch.tensor([[True, False], [True, True]])
    kept = [(LOGITS[b][n], TEACHER[b][n]) for b, n in ((0, 0), (1, 0), (1, 1))]
    expected = sum(kl_by_hand(s, t, 2.0) for s, t in kept)
    total = distillation_sum(torch.tensor(LOGITS), torch.tensor(TEACHER), present, 2.0)
    assert float(total) == pytest.approx(expected, abs=1e-6)


def test_attention_map_by_hand() -> None:
    feature = torch.tensor([[[1.0, 2.0], [2.0, 0.0]], [[0.0, 3.0], [0.0, 0.0]]])  # (B=2, C=2, L=2)
    energy = attention_energy(feature)
    assert energy.tolist() == [[5, 4], [0, 9]]  # sums of squares over channels
    per_window = [[5 / math.sqrt(41), 4 / math.sqrt(41)], [0.0, 1.0]]
    torch.testing.assert_close(attention_map(energy), torch.tensor(per_window))
    over_batch = [[1.0, 4 / math.sqrt(97)], [0.0, 9 / math.sqrt(97)]]
    torch.testing.assert_close(attention_map(energy, "batch"), torch.tensor(over_batch))


def energies(features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {tap: attention_energy(feature) for tap, feature in features.items()}


def attention_by_hand(student: dict, teacher: dict, groups: tuple, axis: int) -> float:
    """Mean over the batch of the attention loss, in float64 numpy."""

    def distance(tap: str) -> float:
        maps = []
        for feature in (student[tap], teacher[tap]):
            energy = (feature.double().numpy() ** 2).sum(1)
            maps.append(energy / np.sqrt((energy**2).sum(axis=axis, keepdims=True)))
        return float(np.abs(maps[0] - maps[1]).mean())

    return float(np.mean([np.mean([distance(tap) for tap in group]) for group in groups]))


@pytest.mark.parametrize(("normalisation", "axis"), [("window", 1), ("batch", 0)])
def test_attention_transfer_is_a_mean_of_means(normalisation: str, axis: int) -> None:
    torch.manual_seed(0)
    student = {"a": torch.randn(3, 4, 10), "b": torch.randn(3, 2, 5), "c": torch.randn(3, 8, 20)}
    teacher = {name: torch.randn_like(feature) for name, feature in student.items()}
    groups = (("a", "b"), ("c",), ("b",))
    total = attention_sum(energies(student), energies(teacher), groups, normalisation)
    assert total.item() / 3 == pytest.approx(attention_by_hand(student, teacher, groups, axis), abs=1e-6)


def test_attention_transfer_reaches_the_student_alone_and_is_zero_for_itself() -> None:
    student = {"a": torch.randn(2, 3, 8, requires_grad=True)}
    teacher = {"a": torch.randn(2, 5, 8, requires_grad=True)}
    attention_sum(energies(student), energies(teacher), (("a",),)).backward()
    assert student["a"].grad.any()
    assert teacher["a"].grad is None
    assert attention_sum(energies(student), energies(student), (("a",),)).item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_are_computed_in_float32(dtype: torch.dtype) -> None:
    feature = torch.full((1, 512, 4), 20.0, dtype=dtype)  # 512 * 400 overflows float16
    energy = attention_energy(feature)
    assert energy.dtype == torch.float32
    torch.testing.assert_close(attention_map(energy), torch.full((1, 4), 0.5))
    logits = torch.tensor(LOGITS, dtype=dtype)
    assert cross_entropy_sum(logits, torch.tensor(LABELS), torch.tensor(WEIGHTS)).dtype == torch.float32
    assert distillation_sum(logits, logits, PRESENT, 1.0).dtype == torch.float32


def test_float64_stays_float64() -> None:
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    assert distillation_sum(logits, logits + 1, PRESENT, 1.0).dtype == torch.float64


def test_balanced_weights_are_scikit_learns() -> None:
    labels = np.array([0] * 5 + [1] * 30 + [2] * 8 + [-1] * 4)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels[labels >= 0])
    np.testing.assert_allclose(balanced_class_weights(labels, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(balanced_class_weights(labels, 3), [43 / 15, 43 / 90, 43 / 24], rtol=1e-12)


def test_a_class_that_never_occurs_weighs_nothing_and_does_not_count() -> None:
    np.testing.assert_allclose(balanced_class_weights(np.array([0, 0, 0, 2]), 3), [4 / 6, 0, 2])


def test_sums_over_shares_add_up_to_the_whole_batch() -> None:
    torch.manual_seed(1)
    logits, teacher = torch.randn(7, 2, 3, dtype=torch.float64), torch.randn(7, 2, 3, dtype=torch.float64)
    labels, present = torch.randint(-1, 3, (7, 2)), torch.ones(7, 2, dtype=torch.bool)
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    shares = (slice(0, 3), slice(3, 4), slice(4, 7))
    for whole, parts in (
        (
            cross_entropy_sum(logits, labels, weights),
            [cross_entropy_sum(logits[s], labels[s], weights) for s in shares],
        ),
        (
            distillation_sum(logits, teacher, present, 2.0),
            [distillation_sum(logits[s], teacher[s], present[s], 2.0) for s in shares],
        ),
    ):
        torch.testing.assert_close(sum(parts), whole, rtol=1e-12, atol=0)
