"""A run killed at any moment resumes to the same weights. Full disks, damaged files and second runs are one line."""

import errno
import fcntl
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from launch import Started, run, tiny
from runs import distance, logged, same_weights, train
from sleepkd.checkpoints import checkpoint
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint
from sleepkd.data.segments import STUDENT
from sleepkd.errors import UserError
from sleepkd.teachers.cache import CachedTeacher
from sleepkd.training.stage import Stage

LONG = {"train__epochs": 4, "train__batch_size": 40}  # about 32 updates, 4 saves of last.pt


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    """The uninterrupted run."""
    return train("ecg_base", tiny(store, tmp_path_factory.mktemp("whole"), **LONG))


def steps(folder: Path, kind: str = "train") -> list[int]:
    return [line["step"] for line in logged(folder, kind)]


def test_killed_at_random_moments(store: Path, tmp_path: Path, whole: tuple[Path, Checkpoint]) -> None:
    arguments = ("--config", "ecg_base", "--set", *tiny(store, tmp_path, **LONG))
    folder = tmp_path / "3class" / "ecg_base"
    metrics = folder / "metrics.jsonl"
    rng = np.random.default_rng(0)
    for _ in range(2):
        started = Started("train_ddp.py", *arguments)
        before = metrics.read_text().count("\n") if metrics.exists() else 0
        while started.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") > before + 3):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        started.kill()
        started.wait()
    run("train_ddp.py", *arguments)
    assert same_weights(read_checkpoint(folder / "last.pt"), whole[1])
    assert steps(folder) == steps(whole[0])
    assert steps(folder, "validation") == steps(whole[0], "validation")


def test_killed_within_a_save(store: Path, tmp_path: Path, whole: tuple[Path, Checkpoint]) -> None:
    arguments = ("--config", "ecg_base", "--set", *tiny(store, tmp_path, **LONG))
    run("tests/dying.py", *arguments, code=-signal.SIGKILL, DIE="save:4")
    folder = tmp_path / "3class" / "ecg_base"
    assert list(folder.glob(".*.tmp")), "the kill did not hit a save"
    assert 1 <= read_checkpoint(folder / "last.pt").position.epoch < 4  # the one before is whole
    run("train_ddp.py", *arguments)
    assert same_weights(read_checkpoint(folder / "last.pt"), whole[1])
    assert not list(folder.glob(".*.tmp"))


def test_resumes_on_another_number_of_processes(store: Path, tmp_path: Path) -> None:
    exact = {"model__norm": "group", "train__precision": "fp64", "train__batch_size": 100}
    _, one = train("ecg_base", tiny(store, tmp_path / "one", train__epochs=3, **exact))
    mixed = tmp_path / "mixed"
    for epochs, processes, accumulate in ((1, 2, 1), (2, 1, 2), (3, 3, 1)):
        overrides = tiny(store, mixed, train__epochs=epochs, train__accumulate=accumulate, **exact)
        run("train_ddp.py", "--config", "ecg_base", "--set", *overrides, processes=processes)
    other = read_checkpoint(mixed / "3class" / "ecg_base" / "last.pt")
    assert distance(one.model, other.model) < 1e-9


def test_schedules_averages_and_patience_resume(store: Path, tmp_path: Path) -> None:
    extras = {
        "train__schedule": "plateau",
        "train__plateau_patience": 1,
        "train__warmup_updates": 5,
        "train__ema_decay": 0.9,
        "train__stop_patience": 4,
        "train__clip_norm": 0.1,
        "train__batch_size": 60,
    }
    folder, straight = train("ecg_base", tiny(store, tmp_path / "straight", train__epochs=7, **extras))
    for epochs in (2, 5, 7):
        resumed_folder, resumed = train("ecg_base", tiny(store, tmp_path / "resumed", train__epochs=epochs, **extras))
    assert same_weights(straight, resumed)
    assert {**vars(straight.position), "seconds": 0} == {**vars(resumed.position), "seconds": 0}
    average, again = straight.training["average"], resumed.training["average"]
    assert all(torch.equal(average[name], again[name]) for name in average)
    assert same_weights(*(read_checkpoint(each / "best.pt") for each in (folder, resumed_folder)))


def test_the_moving_average_is_exponential_and_saved_as_best(store: Path, tmp_path: Path) -> None:
    """Two updates: average = d w1 + (1 - d) w2. It starts as the first weights."""
    options = {"train__batch_size": 1000, "train__ema_decay": 0.75}
    weights = [
        train("ecg_base", tiny(store, tmp_path / str(epochs), train__epochs=epochs, **options))[1].model
        for epochs in (1, 2)
    ]
    folder = tmp_path / "2" / "3class" / "ecg_base"
    average = read_checkpoint(folder / "last.pt").training["average"]
    best = read_checkpoint(folder / "best.pt")
    name = "bottom.0.0.weight"
    torch.testing.assert_close(average[f"module.{name}"], 0.75 * weights[0][name] + 0.25 * weights[1][name])
    expected = average[f"module.{name}"] if best.position.best_epoch == 2 else weights[0][name]
    torch.testing.assert_close(best.model[name], expected)


def test_without_validation_the_last_moving_average_is_saved_as_best(store: Path, tmp_path: Path) -> None:
    options = {"train__validate_every": 0, "train__ema_decay": 0.75, "train__epochs": 2}
    folder, last = train("ecg_base", tiny(store, tmp_path, **options))
    best = read_checkpoint(folder / "best.pt")
    assert best.position.epoch == 2 and best.trained_on == last.trained_on
    assert all(torch.equal(best.model[name], last.training["average"][f"module.{name}"]) for name in best.model)
    assert not same_weights(best, last)


def test_stop_patience_ends_a_run_for_good(store: Path, tmp_path: Path) -> None:
    overrides = tiny(store, tmp_path, train__epochs=50, train__stop_patience=2, train__learning_rate=1e-12)
    _, first = train("ecg_base", overrides)
    assert first.position.epoch < 50
    assert first.position.stale == 2
    _, again = train("ecg_base", overrides)
    assert again.position == first.position


def test_a_damaged_last_checkpoint_names_the_good_one_before(store: Path, tmp_path: Path) -> None:
    overrides = tiny(store, tmp_path, train__epochs=3)
    folder, last = train("ecg_base", overrides)
    assert read_checkpoint(folder / "previous.pt").position.epoch == 2
    content = (folder / "last.pt").read_bytes()
    (folder / "last.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"last.pt: is damaged; .*previous.pt is good \(epoch 2, update 0\): copy it"):
        train("ecg_base", overrides)
    (folder / "last.pt").write_bytes((folder / "previous.pt").read_bytes())
    assert same_weights(train("ecg_base", overrides)[1], last)


def test_a_second_run_in_the_same_directory_raises(store: Path, tmp_path: Path) -> None:
    folder, _ = train("ecg_base", tiny(store, tmp_path))
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another run is writing here"):
            train("ecg_base", tiny(store, tmp_path, train__epochs=2))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_one_line_and_keeps_the_last_checkpoint(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    folder, good = train("ecg_base", tiny(store, tmp_path))

    def fail(_file: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(checkpoint.os, "fsync", fail)
    with pytest.raises(UserError, match=rf"\.pt: cannot be written: {os.strerror(reason)}"):
        train("ecg_base", tiny(store, tmp_path, train__epochs=2))
    monkeypatch.undo()
    assert same_weights(read_checkpoint(folder / "last.pt"), good)
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("root", ["a_file", "/sys"])
def test_a_run_directory_that_cannot_be_written_is_one_line(store: Path, tmp_path: Path, root: str) -> None:
    path = tmp_path / root  # an absolute path stays as it is
    if root == "a_file":
        path.write_text("")
    with pytest.raises(UserError, match="3class/ecg_base: cannot be written: "):
        train("ecg_base", tiny(store, path))


def test_overflow_in_fp16_is_logged(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaler = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *a, **k: scaler(*a, **k, init_scale=2.0**40))
    folder, _ = train("ecg_base", tiny(store, tmp_path, train__precision="fp16", train__batch_size=30))
    updates = logged(folder)
    assert updates[0]["skipped_updates"] == 1
    assert updates[0]["loss_scale"] == 2.0**39
    assert all(np.isfinite(line["loss"]) for line in updates)


# --- The cache of teacher targets


@pytest.fixture(scope="module")
def teacher(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network of the EEG."""
    return train("eeg_base", tiny(store, tmp_path_factory.mktemp("teacher")))[0] / "best.pt"


def test_cached_targets_give_the_same_losses_without_the_teacher(
    store: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {f"loss__{name}__weight": weight for name, weight in (("ce", 0.3), ("kd", 0.3), ("at", 0.4))}
    options |= {"data__sleep_epochs": 2, "train__batch_size": 60, "train__epochs": 3, "stage__teacher": teacher}

    def losses(root: str, **more: object) -> np.ndarray:
        folder, _ = train("feat_train", tiny(store, tmp_path / root, **options, **more))
        return np.array([line["loss"] for line in logged(folder) + logged(folder, "validation")])

    computed = losses("computed")
    np.testing.assert_allclose(losses("cached", distill__cache_teacher="true"), computed, rtol=1e-6)

    # A second run in the same directory only reads the cache.
    folder = tmp_path / "cached" / "3class" / "feat_train"
    for name in ("last.pt", "best.pt", "previous.pt", "metrics.jsonl"):
        (folder / name).unlink()
    read, targets = [], CachedTeacher.targets

    def record(self: CachedTeacher, batch, objective):
        read.append(set(batch.inputs))
        return targets(self, batch, objective)

    monkeypatch.setattr(CachedTeacher, "targets", record)
    monkeypatch.setattr(CachedTeacher, "output", None)
    monkeypatch.setattr(Stage, "to", lambda self, device, dtype: self.learner.to(device, dtype))
    np.testing.assert_allclose(losses("cached", distill__cache_teacher="true"), computed, rtol=1e-6)
    assert read and all(readers == {STUDENT} for readers in read)


def test_targets_of_another_teacher_are_computed_again(store: Path, teacher: Path, tmp_path: Path) -> None:
    other = train("eeg_base", tiny(store, tmp_path / "other", train__seed=5))[0] / "best.pt"

    def student(of: Path, root: str, cached: str) -> Checkpoint:
        for old in (tmp_path / root / "3class" / "kd_temp").glob("*.pt"):
            old.unlink()
        options = {"stage__teacher": of, "distill__cache_teacher": cached}
        return train("kd_temp", tiny(store, tmp_path / root, **options))[1]

    student(teacher, "cached", "true")
    cached, computed = student(other, "cached", "true"), student(other, "computed", "false")
    for name, value in computed.model.items():
        torch.testing.assert_close(cached.model[name], value, rtol=1e-4, atol=1e-6)


def test_moving_the_store_or_changing_runtime_settings_keeps_cache_and_run(
    store: Path, teacher: Path, tmp_path: Path
) -> None:
    common = {"stage__teacher": teacher, "distill__cache_teacher": "true"}
    folder, _ = train("kd_temp", tiny(store, tmp_path / "moved", **common))

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (folder / "teacher").rglob("*.*")}

    before = written()
    assert {path.name for path in before} == {"kd.logits.npy", "whole.json"} and len(before) == 4
    shutil.copytree(store, tmp_path / "elsewhere")
    runtime = {"train__log_every": 2, "data__pin_memory": "no", "data__prefetch": 2}
    moved = tiny(tmp_path / "elsewhere", tmp_path / "moved", **common, **runtime, train__epochs=2)
    _, resumed = train("kd_temp", moved)
    assert written() == before
    _, straight = train("kd_temp", tiny(store, tmp_path / "straight", **common, train__epochs=2))
    assert same_weights(resumed, straight)


def test_two_processes_share_the_computation_of_targets(store: Path, teacher: Path, tmp_path: Path) -> None:
    caches = []
    for processes in (1, 2):
        root = tmp_path / f"on{processes}"
        overrides = tiny(store, root, distill__cache_teacher="true", stage__teacher=teacher)
        run("train_ddp.py", "--config", "kd_temp", "--set", *overrides, processes=processes)
        caches.append(np.load(root / "3class" / "kd_temp" / "teacher" / "train" / "kd.logits.npy"))
    np.testing.assert_allclose(caches[0], caches[1], rtol=1e-5, atol=1e-6)
    assert (caches[0] != 0).all()
