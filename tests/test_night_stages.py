"""The night stages: equal weights on any number of processes, after kills, with cached targets, in all precisions."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import train_ddp
from launch import NIGHT_STAGES, Started, run, tiny_night, wait_for_updates
from runs import distance, logged, same_weights, train
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.precision import convolves_in_bf16
from sleepkd.settings import load_config

LAYOUTS = {"one": (1, 1), "two": (2, 1), "two_by_two": (2, 2), "three": (3, 1)}  # processes, micro-batches
AUGMENTATION = {
    "inversion": 0.5,
    "gain": 0.2,
    "noise": 0.1,
    "electrode_dropout": 0.3,
    "dropped_beats": 0.05,
    "rr_scale": 0.1,
    "added_beats": 0.05,
}
AUGMENTED = [f"data.augment.{name}={value}" for name, value in AUGMENTATION.items()]
LOSSES = ("loss.ce.weight=0.3", "loss.kd.weight=0.3", "loss.at.weight=0.2", "loss.hint.weight=0.2")


def losses(folder: Path) -> np.ndarray:
    return np.array([line["loss"] for kind in ("train", "validation") for line in logged(folder, kind)])


def train_in_layout(store: Path, root: Path, name: str) -> None:
    """Every stage in float64, augmented, with the same teacher and start in all layouts."""
    processes, micro_batches = LAYOUTS[name]
    exact = {"train__precision": "fp64", "train__accumulate": micro_batches, "model__dropout": 0, "train__epochs": 2}
    overrides = [*tiny_night(store, root / name, **exact), *AUGMENTED]
    run("tests/all_stages.py", "night", root / "earlier" / "3class", *overrides, processes=processes)


@pytest.fixture(scope="module")
def runs(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the layouts: "earlier", whose stages all layouts learn and start from, and "one"."""
    root = tmp_path_factory.mktemp("nights")
    run("tests/all_stages.py", "night", "-", *tiny_night(store, root / "earlier"))
    train_in_layout(store, root, "one")
    return root


@pytest.fixture(scope="module")
def teacher(runs: Path) -> Path:
    return runs / "earlier" / "3class" / "night_eeg" / "best.pt"


@pytest.mark.parametrize(
    "layout", ["two", *(pytest.param(name, marks=pytest.mark.slow) for name in ("two_by_two", "three"))]
)
def test_the_same_weights_on_any_number_of_processes(runs: Path, store: Path, layout: str) -> None:
    train_in_layout(store, runs, layout)
    models = []
    for stage in NIGHT_STAGES:
        one, other = (read_checkpoint(runs / name / "3class" / stage / "last.pt") for name in ("one", layout))
        assert one.position.epoch == other.position.epoch == 2
        assert distance(one.model, other.model) < 1e-9
        models.append(one.model["context.0.conv.weight"])
    assert all(not torch.equal(a, b) for i, a in enumerate(models) for b in models[:i])  # stages differ


def test_every_stage_logs_its_losses(runs: Path) -> None:
    for stage in NIGHT_STAGES:
        active = load_config([stage], []).active_losses
        for kind in ("train", "validation"):
            for line in logged(runs / "one" / "3class" / stage, kind):
                assert active.keys() == line.keys() & {"ce", "kd", "at", "hint"}
                expected = sum(settings.weight * line[name] for name, settings in active.items())
                assert line["loss"] == pytest.approx(expected, rel=1e-6)


def test_a_killed_and_stopped_run_ends_with_the_same_weights(store: Path, teacher: Path, tmp_path: Path) -> None:
    """Dropout, augmentation, cached targets and a loss with parameters, all at once."""
    options = {"stage__teacher": teacher, "train__epochs": 6, "distill__cache_teacher": "true"}
    changed = [*AUGMENTED, *LOSSES]
    whole_folder, whole = train("night_kd", [*tiny_night(store, tmp_path / "whole", **options), *changed])
    overrides = [*tiny_night(store, tmp_path / "stopped", **options), *changed]
    folder = tmp_path / "stopped" / "3class" / "night_kd"
    for end, after in (("terminate", 2), ("kill", 6), ("terminate", 9)):
        started = Started("train_ddp.py", "--config", "night_kd", "--set", *overrides)
        wait_for_updates(started, folder, after)
        getattr(started, end)()
        assert started.wait() == (train_ddp.EXIT_STOPPED if end == "terminate" else -signal.SIGKILL)
    _, resumed = train("night_kd", overrides)
    assert same_weights(whole, resumed)
    np.testing.assert_array_equal(losses(folder), losses(whole_folder))
    projector = whole.training["losses"]["hint.project.weight"]
    assert torch.equal(projector, resumed.training["losses"]["hint.project.weight"])
    assert not any("project" in name for name in read_checkpoint(folder / "best.pt").model)


def test_cached_targets_give_the_same_losses_whatever_the_augmentation(
    store: Path, teacher: Path, tmp_path: Path
) -> None:
    options = {"stage__teacher": teacher, "train__epochs": 2}
    folder, _ = train("night_kd", [*tiny_night(store, tmp_path / "computed", **options), *LOSSES])
    computed, written = losses(folder), []
    for augmentation in (AUGMENTED, []):
        overrides = tiny_night(store, tmp_path / "cached", **options, distill__cache_teacher="true")
        folder, _ = train("night_kd", [*overrides, *augmentation, *LOSSES])
        written.append({path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")})
        if not augmentation:
            np.testing.assert_allclose(losses(folder), computed, rtol=1e-6)
        for file in (*folder.glob("*.pt"), folder / "metrics.jsonl"):
            file.unlink()
    assert written[0] == written[1] and written[0]


@pytest.mark.parametrize(
    "precision",
    [pytest.param("bf16", marks=pytest.mark.skipif(not convolves_in_bf16(), reason="wrong on this CPU")), "fp16"],
)
def test_precisions(store: Path, teacher: Path, tmp_path: Path, precision: str) -> None:
    found = {}
    for kind in ("fp32", precision):
        options = {"stage__teacher": teacher, "train__precision": kind, "model__dropout": 0}
        folder, last = train("night_kd", [*tiny_night(store, tmp_path / kind, **options), *LOSSES])
        found[kind] = losses(folder)
    assert all(value.dtype == torch.float32 for value in last.model.values())
    np.testing.assert_allclose(found[precision], found["fp32"], rtol=0.03)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_networks_have_the_same_losses(store: Path, teacher: Path, tmp_path: Path) -> None:
    """Also in a process that has compiled the same network without hooks before."""
    train("night_kd", tiny_night(store, tmp_path / "before", stage__teacher=teacher, train__compile="true"))
    found = []
    for compiled in ("false", "true"):
        options = {"stage__teacher": teacher, "train__compile": compiled, "model__dropout": 0}
        folder, _ = train("night_kd", [*tiny_night(store, tmp_path / compiled, **options), *LOSSES])
        found.append(losses(folder))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)
