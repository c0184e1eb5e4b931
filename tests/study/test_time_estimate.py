"""How long planned runs will take."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from launch import tiny
from sleepkd.checkpoints.checkpoint import Position
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.study import time_estimate
from sleepkd.study.jobs import RunGroup, TrainingJob
from sleepkd.study.paper_plan import plan_paper
from train_ddp import build_stage


def jobs(store: Path, tmp_path: Path, *settings: str) -> list[TrainingJob]:
    overrides = [*tiny(store, "unused", train__epochs=4, train__batch_size=50, train__validate_every=2), *settings]
    return plan_paper(["ecg_base", "kd_temp"], [RunGroup(3, seed, None) for seed in (0, 1)], [], overrides, tmp_path)


def test_from_a_few_updates_of_the_loop(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates times their time; every second epoch a validation, at a forward's time for as many rows."""
    asked = []

    def timed(job: TrainingJob, needed: Sequence[TrainingJob], processes: int, parts: dict, rate_hz: float) -> float:
        asked.append((job.row, job.group.seed, [(of.row, of.group.seed) for of in needed], processes, rate_hz))
        assert parts == read_split(Store(store), "default").parts
        return 2.0

    monkeypatch.setattr(time_estimate, "time_update", timed)
    planned, parts = jobs(store, tmp_path), read_split(Store(store), "default").parts
    found = time_estimate.estimate_seconds(planned, dict.fromkeys(planned), 2, {None: parts})
    assert asked == [
        ("ecg_base", 0, [], 2, 64.0),
        ("eeg_base", 0, [], 2, 64.0),
        ("kd_temp", 0, [("eeg_base", 0)], 2, 64.0),
    ]
    config = planned[0].config
    readers = build_stage(config, 64.0).readers
    train, validation = (
        len(Segments(open_nights(config.data.sources, part), readers, config.data)) for part in ("train", "validation")
    )
    assert train % 50 and validation % 50
    updates, forwards = train // 50 + 1, validation // 50 + 1
    assert found[planned[0]] == pytest.approx(4 * (updates * 2.0 + forwards * 2.0 / 3 / 2))


def test_runs_that_are_done_tell_of_those_that_are_not(store: Path, tmp_path: Path) -> None:
    planned, parts = jobs(store, tmp_path), read_split(Store(store), "default").parts
    positions = {job: Position(epoch=2, seconds=60.0) if job.group.seed == 0 else None for job in planned}
    found = time_estimate.estimate_seconds(planned, positions, 1, {None: parts})
    assert [found[job] for job in planned] == [60.0] * 3 + [120.0] * 3


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_real_loop_is_started_and_stopped_and_leaves_nothing(store: Path, tmp_path: Path, temporary: Path) -> None:
    """A distilled student, whose teacher is not trained yet, on a split that is not written yet."""
    of_row = {job.row: job for job in jobs(store, tmp_path / "runs", "data.split=nowhere") if job.group.seed == 0}
    parts = read_split(Store(store), "default").parts
    seconds = time_estimate.time_update(of_row["kd_temp"], [of_row["eeg_base"]], 1, parts, 64.0)
    assert 0 < seconds < 5
    assert not list(temporary.iterdir()) and not (tmp_path / "runs").exists()


def test_a_run_that_cannot_start_says_why(store: Path, tmp_path: Path, temporary: Path) -> None:
    job = jobs(store, tmp_path / "runs", "model.norm=sync_batch")[0]
    parts = read_split(Store(store), "default").parts
    with pytest.raises(UserError, match=r"ecg_base: cannot be timed: model\.norm: sync_batch needs CUDA"):
        time_estimate.time_update(job, [], 1, parts, 64.0)
    assert not list(temporary.iterdir())
