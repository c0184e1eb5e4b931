"""The loss on pseudo-labels against numpy: several models, merged classes, sleep epochs that a model does not know."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sleepkd.config import to_dict
from sleepkd.errors import UserError
from sleepkd.losses import FeatureShapes, NetworkOutput
from sleepkd.losses.pseudo import PseudoLabelDistillation, PseudoLabelSettings
from sleepkd.settings import config_of, load_config
from tests.losses.synthetic import assert_shares_add_up, batch, kl, ragged, softmax, table

T = 2.0
SILENT = {"a": ((0, 1), (1, 0)), "b": ((0, 1), (0, 2), (4, 0))}
WEIGHTS = {"a": 1.0, "b": 0.3}
SETTINGS = PseudoLabelSettings(1.0, T, WEIGHTS)


def loss(settings: PseudoLabelSettings = SETTINGS) -> PseudoLabelDistillation:
    return PseudoLabelDistillation(settings, FeatureShapes(4, {}, {}))


def drawn() -> tuple[Tensor, dict[str, Tensor], Tensor, Tensor, dict[str, Tensor]]:
    """Student logits, log-probabilities of two models (4 and 3 classes), labels, present, and what each knows."""
    student, other, labels, present = ragged()
    logits = {"a": other.log_softmax(-1), "b": ragged(3, classes=3)[1].log_softmax(-1)}
    known = {}
    for model, silent in SILENT.items():
        known[model] = present.clone()
        for s, n in silent:
            logits[model][s, n], known[model][s, n] = torch.nan, False
    return student, logits, labels, present, known


def test_the_weighted_mean_over_what_each_model_knows() -> None:
    student, logits, labels, present, known = drawn()
    expected = 0.0
    for model, groups in (("a", ((0,), (1,), (2,), (3,))), ("b", ((0,), (1, 2), (3,)))):
        for s, n in torch.nonzero(known[model]).tolist():
            q = softmax(student[s, n].numpy(), T)
            merged = np.array([q[list(group)].sum() for group in groups])
            expected += WEIGHTS[model] * T**2 * kl(softmax(logits[model][s, n].numpy(), T), merged)
    whole = batch(labels, present)._replace(pseudo_labels=logits)
    own = student.clone().requires_grad_()
    total = loss().sum(NetworkOutput(own, {}), {}, whole)
    np.testing.assert_allclose(total.item(), expected, rtol=1e-12)
    of_table = replace(table(labels, present), known={model: x.numpy() for model, x in known.items()})
    assert loss().normalizer(of_table) == pytest.approx((16 - 2) + 0.3 * (16 - 3))
    total.backward()
    anywhere = known["a"] | known["b"]
    assert own.grad.isfinite().all() and own.grad[anywhere].any(-1).all() and not own.grad[~anywhere].any()

    parts = [
        loss().sum(
            NetworkOutput(student[share], {}),
            {},
            batch(labels[share], present[share])._replace(pseudo_labels={m: x[share] for m, x in logits.items()}),
        )
        for share in (slice(0, 2), slice(2, 3), slice(3, 5))
    ]
    assert_shares_add_up(total.detach(), parts)


def test_a_batch_of_which_no_model_knows_anything_gives_zero() -> None:
    student, logits, labels, present, _ = drawn()
    nothing = {model: torch.full_like(x, torch.nan) for model, x in logits.items()}
    own = student.clone().requires_grad_()
    total = loss().sum(NetworkOutput(own, {}), {}, batch(labels, present)._replace(pseudo_labels=nothing))
    known = {model: np.zeros(present.shape, dtype=bool) for model in nothing}
    value = total / loss().normalizer(replace(table(labels, present), known=known))
    value.backward()
    assert value.item() == 0 and not own.grad.any()


def test_half_precision_is_computed_in_float32() -> None:
    student, logits, labels, present, _ = drawn()
    half = batch(labels, present)._replace(pseudo_labels={model: x.bfloat16() for model, x in logits.items()})
    found = loss().sum(NetworkOutput(student.bfloat16(), {}), {}, half)
    whole = batch(labels, present)._replace(pseudo_labels=logits)
    exact = loss().sum(NetworkOutput(student, {}), {}, whole)
    assert found.dtype == torch.float32 and found.item() == pytest.approx(exact.item(), rel=0.02)


def test_a_name_or_weights_by_name_are_read_and_kept() -> None:
    one = load_config(["night_ecg"], ["loss.pseudo.weight=0.5", "loss.pseudo.model=sleepecg"])
    assert one.loss["pseudo"].model == {"sleepecg": 1.0}
    two = load_config(["night_ecg"], ["loss.pseudo={weight: 0.5, model: {sleepecg: 0.3, mine: 1}}"])
    assert two.loss["pseudo"].model == {"sleepecg": 0.3, "mine": 1.0} and not two.needs_teacher
    assert config_of(to_dict(two)) == two


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{weight: 1}", "loss.pseudo.model: is missing: name the model"),
        ("{weight: 1, model: [a, b]}", "loss.pseudo.model: expected the name of a model, or {name: weight}"),
        ("{weight: 1, model: {a: much}}", "loss.pseudo.model.a: expected a number, got 'much'"),
        ("{weight: 1, model: {a: 0}}", "loss.pseudo.model.a: must be positive, is 0"),
        ("{weight: 1, model: ../a}", "loss.pseudo.model: '../a' cannot name a file of pseudo-labels"),
        ("{weight: 1, model: a, temperature: 0}", "loss.pseudo.temperature: must be positive"),
    ],
)
def test_impossible_values_raise_by_key(value: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        load_config(["night_ecg"], [f"loss.pseudo={value}"])
    assert str(refused.value).startswith(message)
