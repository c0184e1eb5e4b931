"""A teacher of fewer classes teaches the merged probabilities of the student: every loss of logits, in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sleepkd.losses import LOSSES, FeatureShapes, NetworkOutput, loss_settings
from sleepkd.losses.loss import merged_logits
from tests.losses.synthetic import batch, kl, ragged, softmax, table

GROUPS = {(5, 4): ((0,), (1, 2), (3,), (4,)), (5, 3): ((0,), (1, 2, 3), (4,)), (4, 3): ((0,), (1, 2), (3,))}
OF_LOGITS = ("kd", "lskd", "dkd", "dist", "wttm", "transition")


def merged(p: np.ndarray, groups: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Probabilities (…, K), summed over the classes of each group."""
    return np.stack([p[..., list(group)].sum(axis=-1) for group in groups], axis=-1)


def drawn(classes: int, fewer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Student logits of `classes`, teacher logits of `fewer` classes, labels, present."""
    student, _, labels, present = ragged(1, classes=classes)
    return student, ragged(2, classes=fewer)[1], labels, present


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(("classes", "fewer"), GROUPS)
def test_merged_logits_are_the_logarithm_of_summed_probabilities(classes: int, fewer: int, temperature: float) -> None:
    student = drawn(classes, fewer)[0]
    expected = merged(softmax(student.numpy(), temperature), GROUPS[classes, fewer])
    found = (merged_logits(student, fewer, temperature) / temperature).softmax(-1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert merged_logits(student, classes, temperature) is student
    assert merged_logits(student.bfloat16(), fewer).dtype == torch.float32
    extreme = merged_logits(torch.tensor([[[800.0, -800, -800, 0, -800]]])[..., :classes], fewer)
    assert extreme.isfinite().all()


@pytest.mark.parametrize(("classes", "fewer"), GROUPS)
def test_kd_is_the_divergence_from_the_merged_probabilities_with_its_gradient(classes: int, fewer: int) -> None:
    """Gradient by hand: T (q_k / Q_m) (Q_m - p_m); q of the student at T, Q merged, m the class that k belongs to."""
    T, groups = 2.0, GROUPS[classes, fewer]
    student, teacher, labels, present = drawn(classes, fewer)
    loss = LOSSES["kd"](loss_settings({"kd": {"weight": 1, "temperature": T}})["kd"], FeatureShapes(classes, {}, {}))
    own = student.clone().requires_grad_()
    total = loss.sum(NetworkOutput(own, {}), {"logits": teacher}, batch(labels, present))
    total.backward()
    q, p = softmax(student.numpy(), T), softmax(teacher.numpy(), T)
    Q = merged(q, groups)
    np.testing.assert_allclose(total.item(), T**2 * kl(p[present], Q[present]), rtol=1e-12)
    expected = np.zeros_like(q)
    for m, group in enumerate(groups):
        for k in group:
            expected[..., k] = T * q[..., k] / Q[..., m] * (Q[..., m] - p[..., m])
    np.testing.assert_allclose(own.grad, expected * present[..., None].numpy(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", OF_LOGITS)
@pytest.mark.parametrize(("classes", "fewer"), GROUPS)
def test_losses_of_logits_are_those_of_a_student_of_the_teachers_classes(name: str, classes: int, fewer: int) -> None:
    """Such a student's logits: T times the logarithm of the merged probabilities at T. LSKD and WTTM merge at 1."""
    student, teacher, labels, present = drawn(classes, fewer)
    settings = loss_settings({name: {"weight": 1, "temperature": 3.0}})[name]
    T = 1.0 if name in ("lskd", "wttm") else 3.0
    groups = GROUPS[classes, fewer]
    small = torch.from_numpy(T * np.log(merged(softmax(student.numpy(), T), groups)))
    of_class = np.array([*(next(m for m, g in enumerate(groups) if k in g) for k in range(classes)), -1])
    small_labels = torch.from_numpy(of_class[labels.numpy()])
    found = []
    for shapes, own, of in (
        (FeatureShapes(classes, {}, {}, fewer), student, labels),
        (FeatureShapes(fewer, {}, {}), small, small_labels),
    ):
        loss = LOSSES[name](settings, shapes).double()
        loss.fit(of.numpy())
        own = own.clone().requires_grad_()
        total = loss.sum(NetworkOutput(own, {}), loss.targets(NetworkOutput(teacher, {})), batch(of, present))
        total.backward()
        assert own.grad[present].any() and own.grad.isfinite().all()
        found.append(total.item() / loss.normalizer(table(of, present)))
    assert found[0] == pytest.approx(found[1], rel=1e-10) and found[0] > 0
