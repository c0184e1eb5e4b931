"""Learning rates by hand, and the record of validations in a position."""

from dataclasses import replace

import pytest

from sleepkd.checkpoints.checkpoint import Position
from sleepkd.settings import TrainConfig
from sleepkd.training.schedule import is_finished, learning_rate, record_validation

BASE = TrainConfig(learning_rate=0.1, epochs=10)


def test_the_default_is_constant_as_published() -> None:
    assert [learning_rate(BASE, update, 100, 0) for update in (0, 50, 99)] == [0.1, 0.1, 0.1]


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    warm = replace(BASE, warmup_updates=4)
    rates = [learning_rate(warm, update, 100, 0) for update in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_cosine_falls_from_the_full_rate_over_half_to_nothing() -> None:
    cosine = replace(BASE, schedule="cosine")
    rates = [learning_rate(cosine, update, 100, 0) for update in (0, 50, 100)]
    assert rates == pytest.approx([0.1, 0.05, 0.0])
    assert learning_rate(cosine, 25, 100, 0) == pytest.approx(0.1 * (1 + 2**-0.5) / 2)


def test_a_plateau_reduces_the_rate_after_every_patience() -> None:
    plateau = replace(BASE, schedule="plateau", plateau_patience=2, plateau_factor=0.5)
    position, rates = Position(), []
    for score in (0.3, 0.2, 0.3, 0.1, 0.1, 0.4, 0.1):  # the best is the first until 0.4
        record_validation(plateau, position, score)
        rates.append(learning_rate(plateau, 7, 100, position.reductions))
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025])


def test_only_a_better_score_is_the_best() -> None:
    position = Position(epoch=3)
    assert record_validation(BASE, position, -0.5)
    position.epoch = 4
    assert not record_validation(BASE, position, -0.5)
    assert (position.best_score, position.best_epoch, position.stale) == (-0.5, 3, 1)
    position.epoch = 5
    assert record_validation(BASE, position, -0.4)
    assert (position.best_score, position.best_epoch, position.stale) == (-0.4, 5, 0)


def test_a_run_ends_with_its_epochs_or_its_patience() -> None:
    assert not is_finished(BASE, Position(epoch=9, stale=100))
    assert is_finished(BASE, Position(epoch=10))
    patient = replace(BASE, stop_patience=3)
    assert not is_finished(patient, Position(epoch=5, stale=2))
    assert is_finished(patient, Position(epoch=5, stale=3))
