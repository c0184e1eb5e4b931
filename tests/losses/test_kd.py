"""Softmax distillation against a formula in plain Python."""

import math

import pytest
import torch

from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.kd import SoftmaxDistillation, SoftmaxDistillationSettings, distillation_sum
from tests.losses.synthetic import (
    LABELS,
    LOGITS,
    PRESENT,
    SHARES,
    TEACHER,
    assert_shares_add_up,
    batch,
    flat,
    table,
)


def loss(temperature: float, mean: str = "sleep_epoch") -> SoftmaxDistillation:
    return SoftmaxDistillation(SoftmaxDistillationSettings(1.0, temperature, mean), FeatureShapes(3, {}, {}))


def softmax(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def kl_by_hand(student: list[float], teacher: list[float], temperature: float) -> float:
    p, q = softmax(teacher, temperature), softmax(student, temperature)
    return temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
@pytest.mark.parametrize(("mean", "divisor"), [("sleep_epoch", 4), ("element", 12)])
def test_mean_divergence(temperature: float, mean: str, divisor: int) -> None:
    per_epoch = [kl_by_hand(s, t, temperature) for s, t in zip(flat(LOGITS), flat(TEACHER), strict=True)]
    distilled = loss(temperature, mean)
    targets = distilled.targets(NetworkOutput(torch.tensor(TEACHER), {}))
    total = distilled.sum(
        NetworkOutput(torch.tensor(LOGITS), {}), targets, batch(LABELS)
    )  # one of the four is unscored
    assert distilled.normalizer(table(LABELS)) == 4  # one of them is unscored
    assert float(total) / 4 == pytest.approx(sum(per_epoch) / divisor, abs=1e-6)


def test_mean_over_elements_equals_pytorch_reduction_mean() -> None:
    student, teacher = torch.tensor(LOGITS), torch.tensor(TEACHER)
    with pytest.warns(UserWarning, match="divides the total loss by both the batch size and the support size"):
        released = torch.nn.functional.kl_div(student.log_softmax(-1), teacher.softmax(-1), reduction="mean")
    assert float(distillation_sum(student, teacher, PRESENT, 1.0, "element")) / 4 == pytest.approx(float(released))


def test_equal_logits_give_zero_and_the_gradient_reaches_only_the_student() -> None:
    student = torch.tensor(LOGITS, requires_grad=True)
    teacher = torch.tensor(TEACHER, requires_grad=True)
    assert distillation_sum(student, student.detach().clone(), PRESENT, 2.0).item() == pytest.approx(0, abs=1e-6)
    distillation_sum(student, teacher, PRESENT, 2.0).backward()
    assert student.grad.any()
    assert teacher.grad is None


def test_padding_does_not_count() -> None:
    present = torch.tensor([[True, False], [True, True]])
    present_only = [(LOGITS[b][n], TEACHER[b][n]) for b, n in ((0, 0), (1, 0), (1, 1))]
    expected = sum(kl_by_hand(s, t, 2.0) for s, t in present_only)
    targets = {"logits": torch.tensor(TEACHER)}
    total = loss(2.0).sum(NetworkOutput(torch.tensor(LOGITS), {}), targets, batch(LABELS, present))
    assert float(total) == pytest.approx(expected, abs=1e-6)
    assert loss(2.0).normalizer(table(LABELS, present)) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    logits = torch.tensor(LOGITS, dtype=dtype)
    assert distillation_sum(logits, logits, PRESENT, 1.0).dtype == torch.float32


def test_float64_stays_float64() -> None:
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    assert distillation_sum(logits, logits + 1, PRESENT, 1.0).dtype == torch.float64


def test_sums_over_shares_add_up_to_the_whole_batch() -> None:
    torch.manual_seed(1)
    logits, teacher = torch.randn(7, 2, 3, dtype=torch.float64), torch.randn(7, 2, 3, dtype=torch.float64)
    present = torch.ones(7, 2, dtype=torch.bool)
    assert_shares_add_up(
        distillation_sum(logits, teacher, present, 2.0),
        [distillation_sum(logits[s], teacher[s], present[s], 2.0) for s in SHARES],
    )
