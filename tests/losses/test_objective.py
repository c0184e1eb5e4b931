"""The training objective: weighted sum, targets and normalizers by loss, minimum confidence, unlabelled recordings."""

from dataclasses import replace

import numpy as np
import torch

from sleepkd.losses import FeatureShapes, NetworkOutput, loss_settings
from sleepkd.losses.kd import distillation_sum
from sleepkd.losses.objective import CONFIDENT, Objective
from tests.losses.synthetic import batch, ragged, ragged_features, table

SHAPES = FeatureShapes(4, {"a": (3, 4)}, {"b": (5, 4)})
LOSSES = {
    "kd": {"weight": {"start": 0, "end": 2, "epochs": 4}, "temperature": 3},
    "ce": {"weight": 0.5, "class_weights": "none"},
    "sp": {"weight": 10, "tap": "a", "teacher_tap": "b"},
}


def objective(min_confidence: float = 0.0, **losses: dict) -> Objective:
    return Objective(loss_settings(losses or LOSSES), SHAPES, min_confidence).double()


def test_the_weighted_sum_of_losses_over_their_normalizers() -> None:
    student, teacher, labels, present = ragged()
    features, teacher_features, _ = ragged_features()
    made = objective()
    assert list(made.losses) == ["ce", "kd", "sp"]
    targets = made.targets(NetworkOutput(teacher, {"b": teacher_features}))
    assert list(targets) == ["kd.logits", "sp.feature"]
    normalizers = made.normalizers(table(labels, present))
    assert normalizers == {"ce": int((labels >= 0).sum()), "kd": int(present.sum()), "sp": 3}
    whole = batch(labels, present)
    for epoch, weight in ((0, 0), (3, 1.5), (9, 2)):
        total, values = made.weighted_sum(NetworkOutput(student, {"a": features}), targets, whole, normalizers, epoch)
        expected = 0.5 * values["ce"] + weight * values["kd"] + 10 * values["sp"]
        torch.testing.assert_close(total, expected)
    torch.testing.assert_close(values["kd"], distillation_sum(student, teacher, present, 3) / normalizers["kd"])


def test_min_confidence_masks_losses_that_need_a_teacher_only() -> None:
    student, teacher, labels, present = ragged()
    made = objective(0.8, ce=LOSSES["ce"], kd=LOSSES["kd"])
    targets = made.targets(NetworkOutput(teacher, {}))
    confident = teacher.softmax(-1).amax(-1) >= 0.8
    assert torch.equal(targets[CONFIDENT] > 0, confident) and 0 < (confident & present).sum() < present.sum()
    ones = {"ce": 1.0, "kd": 1.0}
    output, whole = NetworkOutput(student, {}), batch(labels, present)
    _, values = made.weighted_sum(output, targets, whole, ones, epoch=0)
    torch.testing.assert_close(values["kd"], distillation_sum(student, teacher, present & confident, 3))
    _, unmasked = objective(ce=LOSSES["ce"]).weighted_sum(output, {}, whole, ones, epoch=0)
    torch.testing.assert_close(values["ce"], unmasked["ce"])


def test_sleep_epochs_that_an_external_teacher_does_not_know_are_neither_used_nor_counted() -> None:
    student, teacher, labels, present = ragged()
    known = torch.rand(present.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    made = Objective(loss_settings({"ce": LOSSES["ce"], "kd": LOSSES["kd"]}), SHAPES, model="m").double()
    of_table = replace(table(labels, present), known={"m": (known & present).numpy()})
    counted = made.normalizers(of_table)
    assert counted == {"ce": int((labels >= 0).sum()), "kd": int((known & present).sum())}
    assert made.normalizers(table(labels, present))["kd"] == int(present.sum())
    targets = made.targets(NetworkOutput(teacher, {}, known))
    _, values = made.weighted_sum(NetworkOutput(student, {}), targets, batch(labels, present), counted, epoch=0)
    torch.testing.assert_close(values["kd"], distillation_sum(student, teacher, present & known, 3) / counted["kd"])
    nothing = replace(of_table, known={"m": np.zeros(present.shape, dtype=bool)})
    targets = made.targets(NetworkOutput(teacher, {}, torch.zeros_like(known)))
    of_nothing = made.normalizers(nothing)
    _, values = made.weighted_sum(NetworkOutput(student, {}), targets, batch(labels, present), of_nothing, epoch=0)
    assert values["kd"].item() == 0 and values["ce"].item() > 0


def test_unlabelled_recordings_are_used_where_a_loss_needs_no_labels() -> None:
    assert not objective(ce=LOSSES["ce"]).uses_unlabelled
    assert objective(ce=LOSSES["ce"], kd=LOSSES["kd"]).uses_unlabelled


def test_fit_gives_the_training_labels_to_every_loss() -> None:
    made = objective(ce={"weight": 1}, transition={"weight": 1})
    made.fit(np.array([[0, 0, 1, -1], [2, 2, 2, 2]], dtype=np.int8))
    assert made.losses["ce"].weight.tolist() == [7 / 6, 7 / 3, 7 / 12, 0]
    assert made.losses["transition"].log_lift.abs().max() > 0
