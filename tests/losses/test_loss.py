"""Weights that change over the epochs of training."""

import pytest

from sleepkd.config import to_dict
from sleepkd.settings import config_of, load_config
from sleepkd.errors import UserError

RAMP = "loss.ce.weight={start: 1, end: 0.2, epochs: 4}"


def test_a_ramp_is_a_straight_line_and_then_stays() -> None:
    config = load_config(["ecg_base"], [RAMP])
    weights = [config.loss["ce"].weight_at(epoch) for epoch in range(6)]
    assert weights == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert config.loss["ce"].last_weight == 0.2
    assert config_of(to_dict(config)) == config


def test_a_term_that_starts_or_ends_without_weight_is_a_term() -> None:
    for start, end in ((0, 1), (1, 0)):
        config = load_config(["ecg_base"], [f"loss.ce.weight={{start: {start}, end: {end}, epochs: 2}}"])
        assert list(config.active_losses) == ["ce"]


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ("{start: 1, end: -1, epochs: 2}", "loss.ce.weight.end: must be 0 or more"),
        ("{start: 1, end: 0, epochs: 0}", "loss.ce.weight.epochs: must be at least 1"),
        ("{start: 1, end: 0}", "loss.ce.weight.epochs: is missing"),
        ("{from: 1, end: 0, epochs: 2}", "loss.ce.weight.from: unknown key"),
        ("much", "loss.ce.weight: expected a number or {start, end, epochs}, got 'much'"),
    ],
)
def test_what_is_no_weight_is_refused_by_key(weight: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        load_config(["ecg_base"], [f"loss.ce.weight={weight}"])
    assert str(refused.value).startswith(said)
