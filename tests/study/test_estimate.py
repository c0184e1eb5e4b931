"""How long planned runs will take."""

from pathlib import Path

import pytest
from launch import tiny
from sleepkd.checkpoint import Position

from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.data.windows import Windows
from sleepkd.study import estimate
from sleepkd.study.plan import Group, Job, plan


def jobs(store: Path, tmp_path: Path, *settings: str) -> list[Job]:
    overrides = [*tiny(store, "unused", train__epochs=4, train__batch_size=50, train__validate_every=2), *settings]
    return plan(["ecg_base", "kd_temp"], [Group(3, seed, None) for seed in (0, 1)], [], overrides, tmp_path)


def test_from_a_few_updates_on_noise(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates times their time; every second epoch a validation, at a forward's time for as many windows."""
    asked = []

    def timed(config, rate_hz, windows):
        asked.append((config.stage.name, rate_hz, windows))
        return 2.0, 0.5

    monkeypatch.setattr(estimate, "time_update", timed)
    planned, parts = jobs(store, tmp_path), read_split(Store(store), "default").parts
    found = estimate.estimate(planned, dict.fromkeys(planned), 2, {None: parts})
    assert asked == [("ecg_base", 64.0, 25), ("eeg_base", 64.0, 25), ("kd_temp", 64.0, 25)]
    config = planned[0].config
    train, validation = (
        len(Windows(Store(store), parts[part], config.data, ("ecg",))) for part in ("train", "validation")
    )
    assert train % 50
    assert found[planned[0]] == pytest.approx(4 * ((train // 50 + 1) * 2.0 + validation / 50 * 0.5 / 2))


def test_runs_that_are_done_tell_of_those_that_are_not(store: Path, tmp_path: Path) -> None:
    planned, parts = jobs(store, tmp_path), read_split(Store(store), "default").parts
    positions = {job: Position(epoch=2, seconds=60.0) if job.group.seed == 0 else None for job in planned}
    found = estimate.estimate(planned, positions, 1, {None: parts})
    assert [found[job] for job in planned] == [60.0] * 3 + [120.0] * 3


def test_an_update_takes_time_and_its_forward_a_part_of_it(store: Path, tmp_path: Path) -> None:
    config = next(job.config for job in jobs(store, tmp_path) if job.row == "kd_temp")
    step, forward = estimate.time_update(config, 64.0, 8)
    assert 0 < forward < step
