"""Scheduled weights of losses."""

import pytest

from sleepkd.config import to_dict
from sleepkd.errors import UserError
from sleepkd.settings import config_of, load_config

SCHEDULE = "loss.ce.weight={start: 1, end: 0.2, epochs: 4}"


def test_a_linear_schedule_is_constant_after_its_end() -> None:
    config = load_config(["ecg_base"], [SCHEDULE])
    weights = [config.loss["ce"].weight_at(epoch) for epoch in range(6)]
    assert weights == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert config.loss["ce"].last_weight == 0.2
    assert config_of(to_dict(config)) == config


def test_a_loss_whose_weight_starts_or_ends_at_zero_is_active() -> None:
    for start, end in ((0, 1), (1, 0)):
        config = load_config(["ecg_base"], [f"loss.ce.weight={{start: {start}, end: {end}, epochs: 2}}"])
        assert list(config.active_losses) == ["ce"]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("{start: 1, end: -1, epochs: 2}", "loss.ce.weight.end: must be 0 or more"),
        ("{start: 1, end: 0, epochs: 0}", "loss.ce.weight.epochs: must be at least 1"),
        ("{start: 1, end: 0}", "loss.ce.weight.epochs: is missing"),
        ("{from: 1, end: 0, epochs: 2}", "loss.ce.weight.from: unknown key"),
        ("much", "loss.ce.weight: expected a number or {start, end, epochs}, got 'much'"),
    ],
)
def test_an_impossible_weight_raises_by_key(weight: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        load_config(["ecg_base"], [f"loss.ce.weight={weight}"])
    assert str(refused.value).startswith(message)
