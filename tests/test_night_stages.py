"""What holds for the published stages holds for the night's: on any number of processes, through kills, cached."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from launch import NIGHT_STAGES, REPOSITORY, command, environment, run, tiny, tiny_night, wait_for_updates

import train_ddp
from evaluate import windows_of
from sleepkd.settings import load_config
from sleepkd.distillation.stage import build_stage, convolves_in_bf16
from sleepkd.checkpoints.trained import load_trained
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation.inference import predict
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint

LAYOUTS = {"one": (1, 1), "two": (2, 1), "two_by_two": (2, 2), "three": (3, 1)}  # processes, micro-batches
CHANGES = {"polarity": 0.5, "gain": 0.2, "noise": 0.1, "electrode_dropout": 0.3, "dropped_beats": 0.05, "stretch": 0.1}
CHANGED = [f"data.augment.{name}={value}" for name, value in {**CHANGES, "added_beats": 0.05}.items()]
LOSSES = ("loss.ce.weight=0.3", "loss.kd.weight=0.3", "loss.at.weight=0.2", "loss.hint.weight=0.2")


def train(stage: str, overrides: list[str]) -> tuple[Path, Checkpoint]:
    """Train in this process; the run directory and last.pt."""
    config = load_config([stage], overrides)
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory, read_checkpoint(config.run_directory / "last.pt")


def losses(folder: Path) -> np.ndarray:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return np.array([line["loss"] for line in lines])


def same_model(a: Checkpoint, b: Checkpoint) -> bool:
    return all(torch.equal(a.model[name], b.model[name]) for name in a.model)


def in_layout(store: Path, root: Path, name: str) -> None:
    """Every stage in float64, its rows augmented, with the same teacher and start in all layouts."""
    processes, micro_batches = LAYOUTS[name]
    exact = {"train__precision": "fp64", "train__accumulate": micro_batches, "model__dropout": 0, "train__epochs": 2}
    overrides = [*tiny_night(store, root / name, **exact), *CHANGED]
    run("tests/all_stages.py", "night", root / "earlier" / "3class", *overrides, processes=processes)


@pytest.fixture(scope="module")
def runs(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all layouts; "one", and whose teacher and features all have, are there."""
    root = tmp_path_factory.mktemp("nights")
    run("tests/all_stages.py", "night", "-", *tiny_night(store, root / "earlier"))
    in_layout(store, root, "one")
    return root


@pytest.fixture(scope="module")
def teacher(runs: Path) -> Path:
    return runs / "earlier" / "3class" / "night_eeg" / "best.pt"


@pytest.mark.parametrize(
    "layout", ["two", *(pytest.param(name, marks=pytest.mark.slow) for name in ("two_by_two", "three"))]
)
def test_the_same_parameters_on_any_number_of_processes(runs: Path, store: Path, layout: str) -> None:
    in_layout(store, runs, layout)
    for stage in NIGHT_STAGES:
        one, other = (read_checkpoint(runs / name / "3class" / stage / "last.pt") for name in ("one", layout))
        assert one.position.epoch == other.position.epoch == 2
        assert one.model.keys() == other.model.keys()
        for name, value in one.model.items():
            assert (other.model[name] - value).norm() <= 1e-9 * value.norm()


def test_every_stage_moves_and_no_two_are_alike(runs: Path) -> None:
    models = [read_checkpoint(runs / "one" / "3class" / stage / "last.pt").model for stage in NIGHT_STAGES]
    weights = [model["context.0.conv.weight"] for model in models]
    assert all(not torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


@pytest.mark.parametrize("stage", NIGHT_STAGES)
def test_a_stage_logs_its_terms(runs: Path, stage: str) -> None:
    lines = (runs / "one" / "3class" / stage / "metrics.jsonl").read_text().splitlines()
    terms = load_config([stage], []).terms
    for line in map(json.loads, lines):
        assert terms.keys() == line.keys() & {"ce", "kd", "at", "hint"}
        expected = sum(settings.weight * line[name] for name, settings in terms.items())
        assert line["loss"] == pytest.approx(expected, rel=1e-6)


def test_parts_start_from_other_stages(runs: Path, store: Path) -> None:
    folder = runs / "earlier" / "3class"
    eeg, ecg = (read_checkpoint(folder / stage / "best.pt").model for stage in ("night_eeg", "night_ecg"))
    parts = {"encoders.ecg": "night_ecg", "context.0": f"{folder / 'night_eeg' / 'best.pt'}:context.1"}
    overrides = tiny_night(store, runs / "earlier", stage__start_from=json.dumps(parts).replace('"', "'"))
    config = load_config(["night_kd"], overrides)
    assert config.stage.starts == ("night_ecg", str(folder / "night_eeg" / "best.pt"))
    started = build_stage(config, 64).student.state_dict()
    fresh = build_stage(load_config(["night_kd"], tiny_night(store, runs / "earlier")), 64).student.state_dict()
    for name, value in started.items():
        if name.startswith("encoders.ecg."):
            assert torch.equal(value, ecg[name])
        elif name.startswith("context.0."):
            assert torch.equal(value, eeg[name.replace("context.0", "context.1")])
        else:
            assert torch.equal(value, fresh[name])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ("{encoders.emg: night_ecg}", r"stage.start_from.encoders.emg: the network has no such module"),
        ("{encoders.ecg: night_eeg}", r"stage.start_from.encoders.ecg: .*night_eeg/best.pt has no module encoders.ecg"),
        ("{context.0: 'night_ecg:context'}", r"night_ecg/best.pt: its weights do not fit this network; missing: "),
        ("{context.0: nowhere}", r"stage.start_from: no checkpoint at .*nowhere/best.pt; train nowhere first"),
        ("{context.0: {}}", r"stage.start_from.context.0: expected a stage, got \{\}"),
        ("[night_ecg]", r"stage.start_from: expected a stage or stages by part"),
    ],
)
def test_parts_that_do_not_fit_are_named(runs: Path, store: Path, parts: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_stage(load_config(["night_ecg"], tiny_night(store, runs / "earlier", stage__start_from=parts)), 64)


def test_one_checkpoint_stages_with_either_input_or_both(runs: Path, store: Path) -> None:
    trained = load_trained(runs / "earlier" / "3class" / "night_ecg" / "best.pt")
    said = {}
    for names in (["ecg", "beats"], ["ecg"], ["beats"]):
        shown = trained.with_inputs(names)
        assert shown.sees == " + ".join(names).upper()
        nights = predict(shown, windows_of(shown, [str(store)], "all"), Processes("cpu"), 2)
        said[len(names) > 1 or names[0]] = np.concatenate([night.probabilities for night in nights])
    assert len({x.shape for x in said.values()}) == 1
    values = list(said.values())
    assert all(np.abs(a - b).max() > 1e-4 for i, a in enumerate(values) for b in values[:i])


def test_inputs_that_it_does_not_have_are_refused(runs: Path, store: Path, tmp_path: Path) -> None:
    night = load_trained(runs / "earlier" / "3class" / "night_ecg" / "best.pt")
    with pytest.raises(UserError, match=r"--inputs: .*night_ecg/best.pt was trained on ecg, beats, not on eeg"):
        night.with_inputs(["eeg"])
    folder, _ = train("ecg_base", tiny(store, tmp_path))
    utime = load_trained(folder / "best.pt")
    assert utime.with_inputs(["ecg"]).inputs == utime.inputs
    with pytest.raises(UserError, match=r"--inputs: .* was trained on ecg, not on beats"):
        utime.with_inputs(["beats"])


def test_killed_and_stopped_it_ends_in_the_same_bits(store: Path, teacher: Path, tmp_path: Path) -> None:
    """Dropout, augmentation, a cached teacher and a term with parameters of its own, all at once."""
    options = {"stage__teacher": teacher, "train__epochs": 6, "distill__cache_teacher": "true"}
    whole_folder, whole = train("night_kd", [*tiny_night(store, tmp_path / "whole", **options), *CHANGED, *LOSSES])
    overrides = [*tiny_night(store, tmp_path / "broken", **options), *CHANGED, *LOSSES]
    folder = tmp_path / "broken" / "3class" / "night_kd"
    for number, after in ((signal.SIGTERM, 2), (signal.SIGKILL, 6), (signal.SIGTERM, 9)):
        arguments = command("train_ddp.py", "--config", "night_kd", "--set", *overrides)
        process = subprocess.Popen(arguments, cwd=REPOSITORY, env=environment(), stdout=subprocess.DEVNULL)
        wait_for_updates(process, folder, after)
        process.send_signal(number)
        assert process.wait() == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    _, broken = train("night_kd", overrides)
    assert same_model(whole, broken)
    np.testing.assert_array_equal(losses(folder), losses(whole_folder))
    projector = whole.training["terms"]["hint.project.weight"]
    assert torch.equal(projector, broken.training["terms"]["hint.project.weight"])
    assert not any("project" in name for name in read_checkpoint(folder / "best.pt").model)


def test_a_cached_teacher_gives_the_same_losses(store: Path, teacher: Path, tmp_path: Path) -> None:
    found = []
    for cached in ("false", "true"):
        options = {"stage__teacher": teacher, "distill__cache_teacher": cached, "train__epochs": 2}
        folder, _ = train("night_kd", [*tiny_night(store, tmp_path / cached, **options), *CHANGED, *LOSSES])
        found.append(losses(folder))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_other_augmentation_leaves_a_cache_as_it_is(store: Path, teacher: Path, tmp_path: Path) -> None:
    options = {"stage__teacher": teacher, "distill__cache_teacher": "true"}
    written = []
    for changed in ("data.augment.noise=0", "data.augment.noise=0.5"):
        folder, _ = train("night_kd", [*tiny_night(store, tmp_path, **options), changed])
        written.append({path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")})
        for checkpoint in folder.glob("*.pt"):
            checkpoint.unlink()
    assert written[0] == written[1] and len(written[0]) == 2


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
def test_compiled_the_hooks_fire_and_the_losses_are_the_same(store: Path, teacher: Path, tmp_path: Path) -> None:
    """Also where the process has compiled such a network before, one without hooks."""
    train("night_kd", tiny_night(store, tmp_path / "before", stage__teacher=teacher, train__compile="true"))
    found = []
    for compiled in ("false", "true"):
        options = {"stage__teacher": teacher, "train__compile": compiled, "model__dropout": 0}
        folder, _ = train("night_kd", [*tiny_night(store, tmp_path / compiled, **options), *LOSSES])
        found.append(losses(folder))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)
