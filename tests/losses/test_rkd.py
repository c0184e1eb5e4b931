"""Relational distillation against loops over pairs and triples in numpy."""

import numpy as np
import pytest

from sleepkd.losses.rkd import RelationalDistillation, RelationalDistillationSettings
from tests.losses.synthetic import ONE_TAP, by_segment, check_feature_loss, ragged_features


def smooth_l1(x: np.ndarray) -> np.ndarray:
    return np.where(abs(x) < 1, 0.5 * x**2, abs(x) - 0.5)


def distances(z: np.ndarray) -> np.ndarray:
    d = np.array([[np.linalg.norm(a - b) for b in z] for a in z])
    return d / d[d > 0].mean()


def angles(z: np.ndarray) -> np.ndarray:
    cosines = np.zeros((len(z),) * 3)
    for i, j, k in np.ndindex(cosines.shape):
        if i not in (j, k):
            a, b = z[j] - z[i], z[k] - z[i]
            cosines[i, j, k] = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return cosines


@pytest.mark.parametrize(("max_sleep_epochs", "step"), [(48, 1), (3, 2)])
def test_distances_and_angles(max_sleep_epochs: int, step: int) -> None:
    student, teacher, present = ragged_features()
    expected = 0.0
    for own, other in zip(by_segment(student, present), by_segment(teacher, present), strict=True):
        if len(own) > 1:
            s, t = own[::step], other[::step]
            expected += 25 * smooth_l1(distances(s) - distances(t)).mean() + 3 * smooth_l1(angles(s) - angles(t)).mean()
    loss = RelationalDistillation(RelationalDistillationSettings(1.0, "a", "b", 25.0, 3.0, max_sleep_epochs), ONE_TAP)
    check_feature_loss(loss, expected, 3, every=step)
