"""train_ddp.py: every stage on two processes, what must not change, precision, resuming, and mistakes in one line."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import train_ddp
from launch import REPOSITORY, STAGES, Started, run, tiny, wait_for_updates
from runs import distance, logged, same_weights, train
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.data.segments import STUDENT
from sleepkd.errors import UserError
from sleepkd.precision import convolves_in_bf16
from sleepkd.settings import Config, load_config
from sleepkd.training.stage import Stage


@pytest.fixture(scope="module")
def two_process_runs(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six stages, two updates each, on two gloo processes."""
    root = tmp_path_factory.mktemp("runs")
    run("tests/all_stages.py", "published", "-", *tiny(store, root), processes=2)
    return root / "3class"


@pytest.fixture(scope="module")
def eeg_teacher(two_process_runs: Path) -> Path:
    return two_process_runs / "eeg_base" / "best.pt"


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_every_stage_runs_on_two_processes(two_process_runs: Path) -> None:
    for stage in STAGES:
        last, best = (read_checkpoint(two_process_runs / stage / name) for name in ("last.pt", "best.pt"))
        assert (last.position.epoch, last.position.update) == (1, 0)
        updates = logged(two_process_runs / stage)
        assert [line["step"] for line in updates] == [1, 2]
        losses = load_config([stage], []).active_losses
        assert losses.keys() == updates[0].keys() & {"ce", "kd", "at"}
        expected = sum(settings.weight * updates[0][name] for name, settings in losses.items())
        assert updates[0]["loss"] == pytest.approx(expected, rel=1e-5)
        assert all(line["gradient_norm"] > 0 and line["sleep_epochs_per_second"] > 0 for line in updates)
        monitor = -best.scores["loss"] if stage == "feat_train" else best.scores["weighted_f1"]
        assert last.position.best_score == pytest.approx(monitor)


def test_a_run_directory_holds_its_config_and_environment(two_process_runs: Path) -> None:
    folder = two_process_runs / "feat_temp"
    assert load_config([str(folder / "config.yaml")], []).stage.teacher == "eeg_base"
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__
    assert {"commit", "command", "python"} <= environment.keys()


def test_tensorboard_holds_scalars_and_the_confusion_matrix(two_process_runs: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(two_process_runs / "feat_temp"))
    board.Reload()
    tags = board.Tags()
    expected = ("loss", "ce", "kd", "learning_rate", "gradient_norm", "sleep_epochs_per_second")
    assert {f"train/{name}" for name in expected} <= set(tags["scalars"])
    assert {"validation/kappa", "validation/weighted_f1", "validation/loss"} <= set(tags["scalars"])
    assert tags["images"] == ["validation/confusion"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Stage, dict, dict]]:
    """Every stage that train_ddp.py builds, with copies of the initial state of student and teacher."""
    stages = []
    real = train_ddp.build_stage

    def build_stage(config: Config, rate_hz: float) -> Stage:
        stage = real(config, rate_hz)
        networks = (stage.student, *stage.teacher_networks)
        copies = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
        stages.append((stage, *copies))
        return stage

    monkeypatch.setattr(train_ddp, "build_stage", build_stage)
    return stages


def test_the_teacher_stays_bit_identical(
    two_process_runs: Path, eeg_teacher: Path, store: Path, tmp_path: Path, built: list
) -> None:
    start = f"stage.start_from={two_process_runs / 'feat_train' / 'best.pt'}"
    for name, more in (("kd_temp", []), ("feat_train", []), ("feat_temp", [start])):
        train(name, [*tiny(store, tmp_path), f"stage.teacher={eeg_teacher}", *more])
        stage, _, before = built.pop()
        (teacher,) = stage.teacher_networks
        after = teacher.state_dict()
        assert any("running_mean" in name for name in after)
        assert same(before, after)
        assert same(read_checkpoint(eeg_teacher).model, after)
        assert not any(module.training for module in teacher.modules())


def test_attention_transfer_trains_all_but_the_layers_behind_the_last_tap(
    two_process_runs: Path, eeg_teacher: Path, store: Path, tmp_path: Path, built: list
) -> None:
    train("feat_train", [*tiny(store, tmp_path), f"stage.teacher={eeg_teacher}"])
    stage, before, _ = built[0]
    after = stage.student.state_dict()
    unchanged = {name for name in after if torch.equal(before[name], after[name])}
    assert unchanged == {"segment_classifier.classify.weight", "segment_classifier.classify.bias"}
    with_ddp = read_checkpoint(two_process_runs / "feat_train" / "last.pt").model
    assert all(torch.equal(before[name], with_ddp[name]) for name in unchanged)


def test_batch_norm_statistics_of_frozen_layers_do_not_change(
    eeg_teacher: Path, store: Path, tmp_path: Path, built: list
) -> None:
    """With taps on the encoder only, the whole decoder is frozen."""
    train("feat_train", [*tiny(store, tmp_path), "loss.at.taps=[[bottom]]", f"stage.teacher={eeg_teacher}"])
    stage, before, _ = built[0]
    after = stage.student.state_dict()
    frozen = [name for name in after if name.startswith(("decoder", "dense", "segment_classifier"))]
    assert any("running_mean" in name for name in frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["bottom.0.2.running_mean"], after["bottom.0.2.running_mean"])


def test_stages_without_a_teacher_load_none(store: Path, tmp_path: Path, built: list) -> None:
    train("ecg_base", [*tiny(store, tmp_path), "stage.teacher=nowhere.pt"])
    stage = built[0][0]
    assert stage.teacher is None
    assert {reader: list(spec) for reader, spec in stage.readers.items()} == {STUDENT: ["ecg"]}


def test_start_from_loads_the_weights_of_the_earlier_stage(two_process_runs: Path, store: Path) -> None:
    source = read_checkpoint(two_process_runs / "feat_train" / "best.pt").model
    config = load_config(["feat_wce"], tiny(store, two_process_runs.parent))
    assert same(train_ddp.build_stage(config, 64).student.state_dict(), source)


@pytest.mark.parametrize("classes", [4, 5])
def test_four_and_five_classes(store: Path, tmp_path: Path, classes: int) -> None:
    _, last = train("eeg_base", tiny(store, tmp_path, data__classes=classes))
    assert last.model["segment_classifier.classify.weight"].shape == (classes, classes, 1)


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("bf16", marks=pytest.mark.skipif(not convolves_in_bf16(), reason="wrong on this CPU")),
        "fp16",
        "fp64",
    ],
)
def test_precisions(store: Path, eeg_teacher: Path, tmp_path: Path, precision: str) -> None:
    losses, scaler_states = [], []
    for kind in ("fp32", precision):
        overrides = tiny(store, tmp_path / kind, train__precision=kind, stage__teacher=eeg_teacher)
        folder, last = train("kd_temp", overrides)
        losses.append(logged(folder)[0]["loss"])
        scaler_states.append(bool(last.training["scaler"]))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert scaler_states == [False, precision == "fp16"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_networks_have_the_same_losses(store: Path, tmp_path: Path) -> None:
    """Also the losses of features: hooks fire in compiled networks."""
    small = {
        "model__filters": "[2,2]",
        "model__pools": "[3,2]",
        "loss__at__taps": "[[encoder.0.pool],[bottom],[decoder.1]]",
    }
    teacher, _ = train("eeg_base", tiny(store, tmp_path, **small))
    losses = {}
    for compiled in ("false", "true"):
        options = {"stage__teacher": teacher / "best.pt", "train__compile": compiled, "loss__kd__weight": 1.0}
        folder, _ = train("feat_train", tiny(store, tmp_path / compiled, **small, **options))
        lines = logged(folder) + logged(folder, "validation")
        losses[compiled] = [line[loss] for line in lines for loss in ("at", "kd")]
    assert losses["true"] == pytest.approx(losses["false"], rel=1e-3) and min(losses["true"]) > 0


def test_accumulation_gives_the_same_weights(store: Path, tmp_path: Path) -> None:
    """Segments of seven sleep epochs, some of them padded."""
    exact = {"model__norm": "group", "train__precision": "fp64", "data__sleep_epochs": 7, "train__batch_size": 40}
    _, whole = train("ecg_base", tiny(store, tmp_path / "whole", **exact))
    _, parts = train("ecg_base", tiny(store, tmp_path / "parts", **exact, train__accumulate=3))
    assert distance(whole.model, parts.model) < 1e-9


def test_a_run_that_sigterm_stops_resumes_to_the_same_weights(store: Path, tmp_path: Path) -> None:
    """SIGTERM within a training epoch, from outside; then the same command."""
    options = {"train__epochs": 3, "train__batch_size": 30}
    arguments = ("--config", "ecg_base", "--set", *tiny(store, tmp_path / "stopped", **options))
    started = Started("train_ddp.py", *arguments)
    folder = tmp_path / "stopped" / "3class" / "ecg_base"
    wait_for_updates(started, folder, 3)
    started.terminate()
    assert started.wait() == train_ddp.EXIT_STOPPED, started.output
    position = read_checkpoint(folder / "last.pt").position
    assert position.update > 0
    assert f"the same command resumes from {folder / 'last.pt'}" in started.output
    assert ": resumes after update" in run("train_ddp.py", *arguments)
    _, whole = train("ecg_base", tiny(store, tmp_path / "whole", **options))
    resumed = read_checkpoint(folder / "last.pt")
    assert same_weights(resumed, whole)
    assert (resumed.position.epoch, resumed.position.best_score) == (3, whole.position.best_score)


def test_a_finished_run_is_not_trained_again(store: Path, tmp_path: Path) -> None:
    _, first = train("ecg_base", tiny(store, tmp_path))
    _, second = train("ecg_base", tiny(store, tmp_path))
    assert same_weights(first, second)
    assert second.position.seconds == first.position.seconds
    with pytest.raises(UserError, match=r"last.pt: holds a run with train.seed = 0, this one asks for 5"):
        train("ecg_base", tiny(store, tmp_path, train__seed=5))


def test_without_validation_there_is_no_best_checkpoint(store: Path, tmp_path: Path) -> None:
    folder, _ = train("ecg_base", tiny(store, tmp_path, train__validate_every=0))
    assert (folder / "last.pt").is_file()
    assert not (folder / "best.pt").exists()


def test_equal_seeds_give_equal_weights(store: Path, tmp_path: Path) -> None:
    a, b, other = (
        train("ecg_base", tiny(store, tmp_path / str(i), train__seed=seed))[1] for i, seed in enumerate((1, 1, 2))
    )
    assert same_weights(a, b)
    assert not same_weights(a, other)


def test_a_non_finite_loss_stops_the_run(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss is not finite by update .*, in a batch of recordings 01-0"):
        train("ecg_base", tiny(store, tmp_path, train__learning_rate=1e30, train__epochs=5))


def empty_split(store: Path, folder: Path) -> Path:
    """The default split without training recordings."""
    shutil.copytree(store / "splits" / "default", folder)
    (folder / "train.txt").write_text("# none\n")
    return folder


def test_bad_input_is_one_line_that_names_it(store: Path, tmp_path: Path, eeg_teacher: Path) -> None:
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(eeg_teacher.read_bytes()[:5000])
    empty = empty_split(store, tmp_path / "empty")
    cases = [
        ("ecg_base", ["data.store=nowhere"], "nowhere: no such store"),
        ("ecg_bose", [], "ecg_bose: no such config"),
        ("kd_temp", [], "stage.teacher: no checkpoint at .*eeg_base/best.pt; train eeg_base first"),
        ("kd_temp", ["stage.teacher=gone.pt"], "stage.teacher: no checkpoint at gone.pt"),
        ("kd_temp", [f"stage.teacher={damaged}"], "damaged.pt: is damaged or not a checkpoint"),
        ("feat_wce", [f"stage.start_from={eeg_teacher}", "model.bottom_filters=8"], "weights do not fit this network"),
        ("ecg_base", [f"data.split={empty}"], "empty/train.txt: lists no recording"),
        ("ecg_base", ["data.split=nosuch"], "data.split: nosuch"),
        ("ecg_base", ["model.norm=sync_batch"], "model.norm: sync_batch needs CUDA"),
        ("ecg_base", ["train.batch_size=2", "train.accumulate=3"], "train.batch_size: 3 processes times micro-batches"),
        ("ecg_base", ["train.optimizer=foo"], "train.optimizer: must be one of adam, adamw"),
    ]
    for number, (stage, overrides, message) in enumerate(cases):
        root = tmp_path / f"runs{number}"
        with pytest.raises(UserError, match=message):
            train(stage, [*tiny(store, root), *overrides])
        assert not root.exists(), f"{message}: left a file behind"
    output = run("train_ddp.py", "--config", "ecg_base", "--set", "train.epoch=3", code=2)
    assert output == "error: train.epoch: unknown key; did you mean train.epochs?\n"


def test_the_loop_has_no_branch_on_a_stage_name() -> None:
    for path in (REPOSITORY / "train_ddp.py", *(REPOSITORY / "sleepkd").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        assert "stage.name ==" not in source and "stage.name in" not in source, path
        if path.parent.name not in ("evaluation", "study"):  # where rows of tables are named
            assert not any(f'"{stage}"' in source for stage in STAGES), path


def test_class_weights_reach_the_loss(store: Path, tmp_path: Path) -> None:
    balanced, none = (
        logged(train("ecg_base", tiny(store, tmp_path / kind, loss__ce__class_weights=kind))[0])[0]["ce"]
        for kind in ("balanced", "none")
    )
    assert not np.isclose(balanced, none, rtol=1e-4)


def test_the_loop_synchronises_with_the_device_only_when_it_logs(
    store: Path, eeg_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On CUDA each of these methods waits for the device. No code of this repository calls one in an update."""
    calls: list[str] = []

    def count(name: str) -> None:
        original = getattr(torch.Tensor, name)

        def method(self: torch.Tensor, *args: object, **kwargs: object) -> object:
            caller = sys._getframe(1)
            if str(REPOSITORY) in caller.f_code.co_filename and ".venv" not in caller.f_code.co_filename:
                calls.append(f"{name} in {caller.f_code.co_name}")
            return original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, method)

    for name in ("item", "tolist", "cpu", "nonzero", "__bool__", "__float__", "__int__"):
        count(name)
    options = {"train__batch_size": 30, "train__log_every": 1000, "train__validate_every": 0, "loss__at__weight": 0.5}
    folder, _ = train("kd_temp", tiny(store, tmp_path, **options, stage__teacher=eeg_teacher))
    (line,) = logged(folder)
    assert line["step"] > 8  # many updates, logged once
    assert calls and all("in report" in call for call in calls), calls
