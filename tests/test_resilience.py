"""Nothing is lost: killed at any moment, the same command gives the weights of the uninterrupted run."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from launch import REPOSITORY, command, environment, run, tiny

import train_ddp
from sleepkd.settings import load_config
from sleepkd.distillation.stage import STUDENT, Stage
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.training import checkpoint
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint

LONG = {"train__epochs": 8, "train__batch_size": 40}  # about 64 updates, 8 saves of last.pt


def train(overrides: list[str], stage: str = "ecg_base") -> tuple[Path, Checkpoint]:
    """Train in this process; the run directory and last.pt."""
    config = load_config([stage], overrides)
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory, read_checkpoint(config.run_directory / "last.pt")


def same_model(a: Checkpoint, b: Checkpoint) -> bool:
    return all(torch.equal(a.model[name], b.model[name]) for name in a.model)


def steps(folder: Path, kind: str = "train") -> list[int]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if line["kind"] == kind]


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    """The uninterrupted run."""
    return train(tiny(store, tmp_path_factory.mktemp("whole"), **LONG))


def test_killed_at_random_moments(store: Path, tmp_path: Path, whole: tuple[Path, Checkpoint]) -> None:
    arguments = command("train_ddp.py", "--config", "ecg_base", "--set", *tiny(store, tmp_path, **LONG))
    metrics = tmp_path / "3class" / "ecg_base" / "metrics.jsonl"
    rng = np.random.default_rng(0)
    for _ in range(2):
        process = subprocess.Popen(arguments, cwd=REPOSITORY, env=environment(), stdout=subprocess.DEVNULL)
        before = metrics.read_text().count("\n") if metrics.exists() else 0
        while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") > before + 3):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.wait()
    run("train_ddp.py", "--config", "ecg_base", "--set", *tiny(store, tmp_path, **LONG))
    assert same_model(read_checkpoint(metrics.with_name("last.pt")), whole[1])
    assert steps(metrics.parent) == steps(whole[0])
    assert steps(metrics.parent, "validation") == steps(whole[0], "validation")


def test_killed_in_the_middle_of_a_save(store: Path, tmp_path: Path, whole: tuple[Path, Checkpoint]) -> None:
    arguments = ("--config", "ecg_base", "--set", *tiny(store, tmp_path, **LONG))
    dying = subprocess.run(
        command("tests/dying.py", *arguments), cwd=REPOSITORY, env=environment() | {"DIE": "save:5"}, check=False
    )
    assert dying.returncode == -signal.SIGKILL
    folder = tmp_path / "3class" / "ecg_base"
    assert list(folder.glob(".*.tmp")), "the kill did not hit a save"
    position = read_checkpoint(folder / "last.pt").position  # the one before, whole
    assert 1 <= position.epoch < 5
    run("train_ddp.py", *arguments)
    assert same_model(read_checkpoint(folder / "last.pt"), whole[1])
    assert not list(folder.glob(".*.tmp"))


def test_torchrun_restarts_when_a_rank_is_killed(store: Path, tmp_path: Path) -> None:
    """Rank 1 is killed before the 20th update of each of its lives: 64 updates, saved every 8, take three restarts."""

    def two(script: str, root: Path, *options: str) -> tuple[str, Checkpoint]:
        arguments = command(script, "--config", "ecg_base", "--set", *tiny(store, root, **LONG), processes=2)
        arguments[arguments.index(script) : arguments.index(script)] = options
        done = subprocess.run(
            arguments, cwd=REPOSITORY, env=environment() | {"DIE": "update:20"},
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, read_checkpoint(root / "3class" / "ecg_base" / "last.pt")

    _, undisturbed = two("train_ddp.py", tmp_path / "undisturbed")
    printed, killed = two("tests/dying.py", tmp_path / "killed", "--max-restarts=3")
    assert printed.count("going on after update") == 3
    assert same_model(undisturbed, killed)
    assert steps(tmp_path / "killed" / "3class" / "ecg_base") == steps(tmp_path / "undisturbed" / "3class" / "ecg_base")


def test_goes_on_with_another_number_of_processes(store: Path, tmp_path: Path) -> None:
    exact = {"model__norm": "group", "train__precision": "fp64", "train__batch_size": 100}
    _, one = train(tiny(store, tmp_path / "one", train__epochs=3, **exact))
    mixed = tmp_path / "mixed"
    run("train_ddp.py", "--config", "ecg_base", "--set", *tiny(store, mixed, train__epochs=1, **exact), processes=2)
    train(tiny(store, mixed, train__epochs=2, train__accumulate=2, **exact))
    run("train_ddp.py", "--config", "ecg_base", "--set", *tiny(store, mixed, train__epochs=3, **exact), processes=3)
    other = read_checkpoint(mixed / "3class" / "ecg_base" / "last.pt")
    for name, value in one.model.items():
        assert (other.model[name] - value).norm() <= 1e-9 * value.norm()


def test_schedules_averages_and_patience_resume_too(store: Path, tmp_path: Path) -> None:
    extras = {
        "train__schedule": "plateau",
        "train__plateau_patience": 1,
        "train__warmup_updates": 5,
        "train__ema_decay": 0.9,
        "train__stop_patience": 4,
        "train__clip_norm": 0.1,
        "train__batch_size": 60,
    }
    folder, straight = train(tiny(store, tmp_path / "straight", train__epochs=7, **extras))
    for epochs in (2, 5, 7):
        broken_folder, broken = train(tiny(store, tmp_path / "broken", train__epochs=epochs, **extras))
    assert same_model(straight, broken)
    # the last epoch of a run is always validated, here every epoch is
    without_time = [{**vars(c.position), "seconds": 0} for c in (straight, broken)]
    assert without_time[0] == without_time[1]
    average, again = straight.training["average"], broken.training["average"]
    assert all(torch.equal(average[name], again[name]) for name in average)
    best, best_again = (read_checkpoint(f / "best.pt") for f in (folder, broken_folder))
    assert same_model(best, best_again)


def test_the_average_is_the_exponential_one_and_is_what_is_kept(store: Path, tmp_path: Path) -> None:
    """Two updates: average = d * (d * w1 + (1 - d) * w1) + (1 - d) * w2, started from the first weights."""
    options = {"train__batch_size": 1000, "train__ema_decay": 0.75}
    weights = [
        train(tiny(store, tmp_path / str(epochs), train__epochs=epochs, **options))[1].model for epochs in (1, 2)
    ]
    folder = tmp_path / "2" / "3class" / "ecg_base"
    average = read_checkpoint(folder / "last.pt").training["average"]
    kept = read_checkpoint(folder / "best.pt")
    name = "bottom.0.0.weight"
    torch.testing.assert_close(average[f"module.{name}"], 0.75 * weights[0][name] + 0.25 * weights[1][name])
    if kept.position.best_epoch == 2:
        torch.testing.assert_close(kept.model[name], average[f"module.{name}"])
    else:
        torch.testing.assert_close(kept.model[name], weights[0][name])


def test_patience_ends_a_run_early_and_for_good(store: Path, tmp_path: Path) -> None:
    overrides = tiny(store, tmp_path, train__epochs=50, train__stop_patience=2, train__learning_rate=1e-12)
    _, first = train(overrides)
    assert first.position.epoch < 50
    assert first.position.stale == 2
    _, again = train(overrides)
    assert again.position == first.position


def test_a_damaged_last_checkpoint_names_the_good_one_before(store: Path, tmp_path: Path) -> None:
    overrides = tiny(store, tmp_path, train__epochs=3)
    folder, last = train(overrides)
    assert read_checkpoint(folder / "previous.pt").position.epoch == 2
    content = (folder / "last.pt").read_bytes()
    (folder / "last.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"last.pt: is damaged; .*previous.pt is good \(epoch 2, update 0\): copy it"):
        train(overrides)
    (folder / "last.pt").write_bytes((folder / "previous.pt").read_bytes())
    assert same_model(train(overrides)[1], last)


def test_a_second_run_in_the_same_directory_is_refused(store: Path, tmp_path: Path) -> None:
    overrides = tiny(store, tmp_path)
    folder, _ = train(overrides)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another run is writing here"):
            train(tiny(store, tmp_path, train__epochs=2))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
def test_a_full_disk_is_a_clear_error_and_keeps_the_last_checkpoint(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    folder, good = train(tiny(store, tmp_path))

    def fail(_file: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(checkpoint.os, "fsync", fail)
    with pytest.raises(UserError, match=rf"\.pt: cannot be written: {os.strerror(reason)}"):
        train(tiny(store, tmp_path, train__epochs=2))
    monkeypatch.undo()
    assert same_model(read_checkpoint(folder / "last.pt"), good)
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("root", ["a_file", "/sys"])
def test_a_run_directory_that_cannot_be_written_is_a_clear_error(store: Path, tmp_path: Path, root: str) -> None:
    path = tmp_path / root  # an absolute root stays as it is
    if root == "a_file":
        path.write_text("")
    with pytest.raises(UserError, match="3class/ecg_base: cannot be written: "):
        train(tiny(store, path))


def test_overflow_in_fp16_is_no_error_and_is_logged(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *a, **k: huge(*a, **k, init_scale=2.0**40))
    folder, _ = train(tiny(store, tmp_path, train__precision="fp16", train__batch_size=30))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    updates = [line for line in lines if line["kind"] == "train"]
    assert updates[0]["skipped_updates"] == 1
    assert updates[0]["loss_scale"] == 2.0**39
    assert all(np.isfinite(line["loss"]) for line in updates)


def test_a_cached_teacher_gives_the_same_losses_without_running(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = {"stage__teacher": train(tiny(store, tmp_path), "eeg_base")[0] / "best.pt", "train__epochs": 3}
    both = {f"loss__{name}__weight": weight for name, weight in (("ce", 0.3), ("kd", 0.3), ("at", 0.4))}
    both |= {"data__sleep_epochs": 2, "train__batch_size": 60}

    def losses(root: str, **more: object) -> np.ndarray:
        folder, _ = train(tiny(store, tmp_path / root, **teacher, **both, **more), "feat_train")
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return np.array([line["loss"] for line in lines])

    live = losses("live")
    cached = losses("cached", distill__cache_teacher="true")
    np.testing.assert_allclose(cached, live, rtol=1e-6)

    # a second run in the same place reads the cache alone
    folder = tmp_path / "cached" / "3class" / "feat_train"
    for name in ("last.pt", "best.pt", "previous.pt", "metrics.jsonl"):
        (folder / name).unlink()
    seen = []
    teach = Stage.teach
    monkeypatch.setattr(Stage, "teach", lambda self, batch: seen.append(set(batch.inputs)) or teach(self, batch))
    monkeypatch.setattr(Stage, "to", lambda self, device, dtype: self.learner.to(device, dtype))
    np.testing.assert_allclose(losses("cached", distill__cache_teacher="true"), live, rtol=1e-6)
    assert seen and all(readers == {STUDENT} for readers in seen)


def test_a_cache_of_another_teacher_is_not_used(store: Path, tmp_path: Path) -> None:
    first = train(tiny(store, tmp_path / "a"), "eeg_base")[0] / "best.pt"
    second = train(tiny(store, tmp_path / "b", train__seed=5), "eeg_base")[0] / "best.pt"

    def run_with(teacher: Path, root: str, cached: bool) -> Checkpoint:
        folder = tmp_path / root / "3class" / "kd_temp"
        for old in folder.glob("*.pt"):
            old.unlink()
        more = {"stage__teacher": teacher, "distill__cache_teacher": str(cached).lower()}
        return train(tiny(store, tmp_path / root, **more), "kd_temp")[1]

    run_with(first, "cached", cached=True)
    fresh = run_with(second, "cached", cached=True)
    live = run_with(second, "live", cached=False)
    for name, value in live.model.items():
        torch.testing.assert_close(fresh.model[name], value, rtol=1e-4, atol=1e-6)


def test_a_cache_and_a_run_outlive_a_move_of_the_store_and_another_way_of_reading(store: Path, tmp_path: Path) -> None:
    """What a resume may change is what the cache ignores: where files lie, and how they are read."""
    teacher = train(tiny(store, tmp_path), "eeg_base")[0] / "best.pt"
    common = {"stage__teacher": teacher, "distill__cache_teacher": "true"}
    folder, _ = train(tiny(store, tmp_path / "moved", **common), "kd_temp")

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (folder / "teacher").rglob("*.*")}

    before = written()
    assert {path.name for path in before} == {"kd.logits.npy", "whole.json"} and len(before) == 4
    shutil.copytree(store, tmp_path / "elsewhere")
    free = {"train__epochs": 2, "train__log_every": 2, "data__pin_memory": "no", "data__prefetch": 2}
    _, moved = train(tiny(tmp_path / "elsewhere", tmp_path / "moved", **common, **free), "kd_temp")
    assert written() == before
    _, straight = train(tiny(store, tmp_path / "straight", **common, train__epochs=2), "kd_temp")
    assert same_model(moved, straight)


def test_two_processes_share_out_the_caching(store: Path, tmp_path: Path) -> None:
    teacher = {"stage__teacher": train(tiny(store, tmp_path), "eeg_base")[0] / "best.pt"}
    caches = []
    for processes in (1, 2):
        root = tmp_path / f"on{processes}"
        overrides = tiny(store, root, distill__cache_teacher="true", **teacher)
        run("train_ddp.py", "--config", "kd_temp", "--set", *overrides, processes=processes)
        caches.append(np.load(root / "3class" / "kd_temp" / "teacher" / "train" / "kd.logits.npy"))
    np.testing.assert_allclose(caches[0], caches[1], rtol=1e-5, atol=1e-6)
    assert (caches[0] != 0).all()
