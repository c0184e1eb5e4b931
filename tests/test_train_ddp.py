"""The loop: every stage over two processes, what must not move, stopping and going on, precision, bad input."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from launch import REPOSITORY, STAGES, command, environment, run, tiny, wait_for_updates

import train_ddp
from sleepkd.distillation import setup
from sleepkd.settings import Config, load_config
from sleepkd.distillation.stage import STUDENT, Stage, build_stage, convolves_in_bf16
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint


@pytest.fixture(scope="module")
def two_process_runs(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six stages, two updates each, on two gloo processes."""
    root = tmp_path_factory.mktemp("runs")
    run("tests/all_stages.py", "published", "-", *tiny(store, root), processes=2)
    return root / "3class"


def train(stage: str, overrides: list[str]) -> tuple[int, Checkpoint]:
    """Train in this process; the exit code and last.pt."""
    config = load_config([stage], overrides)
    code = train_ddp.train(config, Processes("cpu"))
    return code, read_checkpoint(config.run_directory / "last.pt")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_runs_on_two_processes(two_process_runs: Path, stage: str) -> None:
    last = read_checkpoint(two_process_runs / stage / "last.pt")
    assert (last.position.epoch, last.position.update) == (1, 0)
    lines = [json.loads(line) for line in (two_process_runs / stage / "metrics.jsonl").read_text().splitlines()]
    updates = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in updates] == [1, 2]
    terms = load_config([stage], []).terms
    assert terms.keys() == updates[0].keys() & {"ce", "kd", "at"}
    expected = sum(settings.weight * updates[0][name] for name, settings in terms.items())
    assert updates[0]["loss"] == pytest.approx(expected, rel=1e-5)
    assert all(line["gradient_norm"] > 0 and line["sleep_epochs_per_second"] > 0 for line in updates)
    best = read_checkpoint(two_process_runs / stage / "best.pt")
    monitor = -best.scores["loss"] if stage == "feat_train" else best.scores["weighted_f1"]
    assert last.position.best_score == pytest.approx(monitor)


def test_a_run_directory_says_what_it_ran_with(two_process_runs: Path) -> None:
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
def captured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Stage, dict, dict]]:
    """Every stage that train() builds, with copies of the student's and teacher's state as built."""
    stages = []

    def build(config: Config, rate_hz: float) -> Stage:
        stage = build_stage(config, rate_hz)
        copies = [
            {name: value.clone() for name, value in network.state_dict().items()} if network else {}
            for network in (stage.student, stage.teacher and stage.teacher.networks[0])
        ]
        stages.append((stage, *copies))
        return stage

    monkeypatch.setattr(setup, "build_stage", build)
    return stages


@pytest.mark.parametrize("stage_name", ["kd_temp", "feat_train", "feat_temp"])
def test_the_teacher_stays_bit_identical(
    two_process_runs: Path, store: Path, tmp_path: Path, captured: list, stage_name: str
) -> None:
    teacher = two_process_runs / "eeg_base" / "best.pt"
    start = f"stage.start_from={two_process_runs / 'feat_train' / 'best.pt'}" if stage_name == "feat_temp" else None
    train(stage_name, [*tiny(store, tmp_path), f"stage.teacher={teacher}", *([start] if start else [])])
    stage, _, before = captured[0]
    after = stage.teacher.networks[0].state_dict()
    assert any("running_mean" in name for name in after)
    assert same(before, after)
    assert same(read_checkpoint(teacher).model, after)
    assert not any(module.training for module in stage.teacher.networks[0].modules())


def test_attention_transfer_moves_all_but_the_tail_that_no_tap_sees(
    two_process_runs: Path, store: Path, tmp_path: Path, captured: list
) -> None:
    train("feat_train", [*tiny(store, tmp_path), f"stage.teacher={two_process_runs / 'eeg_base' / 'best.pt'}"])
    stage, before, _ = captured[0]
    after = stage.student.state_dict()
    still = {name for name in after if torch.equal(before[name], after[name])}
    assert still == {"segment_classifier.classify.weight", "segment_classifier.classify.bias"}
    two = read_checkpoint(two_process_runs / "feat_train" / "last.pt").model
    assert all(torch.equal(before[name], two[name]) for name in still)  # the same with DDP


def test_frozen_normalisation_does_not_move_either(
    two_process_runs: Path, store: Path, tmp_path: Path, captured: list
) -> None:
    """With taps on the encoder alone, the whole decoder is the tail, running statistics included."""
    overrides = [
        *tiny(store, tmp_path),
        "loss.at.taps=[[bottom]]",
        f"stage.teacher={two_process_runs / 'eeg_base' / 'best.pt'}",
    ]
    train("feat_train", overrides)
    stage, before, _ = captured[0]
    after = stage.student.state_dict()
    tail = [name for name in after if name.startswith(("decoder", "dense", "segment_classifier"))]
    assert any("running_mean" in name for name in tail)
    assert all(torch.equal(before[name], after[name]) for name in tail)
    assert not torch.equal(before["bottom.0.2.running_mean"], after["bottom.0.2.running_mean"])


def test_stages_without_a_teacher_load_none(
    two_process_runs: Path, store: Path, tmp_path: Path, captured: list
) -> None:
    train("ecg_base", [*tiny(store, tmp_path), "stage.teacher=nowhere.pt"])
    stage = captured[0][0]
    assert stage.teacher is None
    assert {reader: list(spec) for reader, spec in stage.readers.items()} == {STUDENT: ["ecg"]}


def test_start_from_takes_the_weights_of_the_earlier_stage(two_process_runs: Path, store: Path, captured: list) -> None:
    source = read_checkpoint(two_process_runs / "feat_train" / "best.pt").model
    config = load_config(["feat_wce"], [*tiny(store, two_process_runs.parent), "data.classes=3"])
    assert same(build_stage(config, 64).student.state_dict(), source)


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_three_four_and_five_classes(store: Path, tmp_path: Path, classes: int) -> None:
    code, last = train("eeg_base", tiny(store, tmp_path, data__classes=classes))
    assert code == 0
    assert last.model["segment_classifier.classify.weight"].shape == (classes, classes, 1)


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("bf16", marks=pytest.mark.skipif(not convolves_in_bf16(), reason="wrong on this CPU")),
        "fp16",
        "fp64",
    ],
)
def test_precisions(store: Path, two_process_runs: Path, tmp_path: Path, precision: str) -> None:
    teacher = f"stage.teacher={two_process_runs / 'eeg_base' / 'best.pt'}"
    results = {
        kind: train("kd_temp", [*tiny(store, tmp_path / kind, train__precision=kind), teacher])[1]
        for kind in ("fp32", precision)
    }
    expected, got = (
        json.loads((tmp_path / kind / "3class" / "kd_temp" / "metrics.jsonl").read_text().splitlines()[0])["loss"]
        for kind in results
    )
    assert got == pytest.approx(expected, rel=0.02)
    assert bool(results[precision].training["scaler"]) == (precision == "fp16")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_the_hooks_fire_and_the_losses_are_the_same(store: Path, tmp_path: Path) -> None:
    small = {
        "model__filters": "[2,2]",
        "model__pools": "[3,2]",
        "loss__at__taps": "[[encoder.0.pool],[bottom],[decoder.1]]",
    }
    train("eeg_base", tiny(store, tmp_path, **small))
    losses = {}
    for compiled in ("false", "true"):
        options = {"stage__teacher": tmp_path / "3class" / "eeg_base" / "best.pt", "train__compile": compiled}
        train("feat_train", tiny(store, tmp_path / compiled, **small, **options, loss__kd__weight=1.0))
        lines = (tmp_path / compiled / "3class" / "feat_train" / "metrics.jsonl").read_text().splitlines()
        losses[compiled] = [json.loads(line)[term] for line in lines for term in ("at", "kd")]
    assert losses["true"] == pytest.approx(losses["false"], rel=1e-3) and min(losses["true"]) > 0


def test_windows_of_several_sleep_epochs(store: Path, tmp_path: Path) -> None:
    code, _ = train("ecg_base", tiny(store, tmp_path, data__sleep_epochs=7, train__batch_size=40))
    assert code == 0


def test_accumulation_sees_every_window(store: Path, tmp_path: Path) -> None:
    overrides = tiny(store, tmp_path, model__norm="group", train__precision="fp64")
    _, whole = train("ecg_base", [*overrides, f"runs_root={tmp_path / 'whole'}"])
    _, parts = train("ecg_base", [*overrides, f"runs_root={tmp_path / 'parts'}", "train.accumulate=3"])
    for name, value in whole.model.items():
        torch.testing.assert_close(parts.model[name], value, rtol=1e-9, atol=1e-12)


def test_a_run_asked_to_stop_goes_on_to_the_same_weights(store: Path, tmp_path: Path) -> None:
    """SIGTERM in the middle of an epoch; the same command again; bit for bit what an uninterrupted run gives."""
    overrides = tiny(store, tmp_path / "stopped", train__epochs=6, train__batch_size=16)
    arguments = ("--config", "ecg_base", "--set", *overrides)
    process = subprocess.Popen(
        command("train_ddp.py", *arguments),
        cwd=REPOSITORY, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    folder = tmp_path / "stopped" / "3class" / "ecg_base"
    wait_for_updates(process, folder, 3)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == train_ddp.EXIT_STOPPED, output
    assert "the same command goes on from" in output
    position = read_checkpoint(folder / "last.pt").position
    assert position.update > 0  # stopped inside an epoch
    assert "going on after update" in run("train_ddp.py", *arguments)
    _, whole = train("ecg_base", tiny(store, tmp_path / "whole", train__epochs=6, train__batch_size=16))
    resumed = read_checkpoint(folder / "last.pt")
    assert same(resumed.model, whole.model)
    assert (resumed.position.epoch, resumed.position.best_score) == (6, whole.position.best_score)


def test_a_finished_run_is_not_trained_again(store: Path, tmp_path: Path) -> None:
    _, first = train("ecg_base", tiny(store, tmp_path))
    _, second = train("ecg_base", tiny(store, tmp_path))
    assert same(first.model, second.model)
    assert second.position.seconds == first.position.seconds


def test_a_run_is_not_resumed_with_other_settings(store: Path, tmp_path: Path) -> None:
    train("ecg_base", tiny(store, tmp_path))
    with pytest.raises(UserError, match=r"last.pt: holds a run with train.seed = 0, this one asks for 5"):
        train("ecg_base", tiny(store, tmp_path, train__seed=5))


def test_no_validation_keeps_no_best(store: Path, tmp_path: Path) -> None:
    train("ecg_base", tiny(store, tmp_path, train__validate_every=0))
    folder = tmp_path / "3class" / "ecg_base"
    assert (folder / "last.pt").is_file()
    assert not (folder / "best.pt").exists()


def test_seeds_give_other_weights_and_the_same_seed_the_same(store: Path, tmp_path: Path) -> None:
    models = [
        train("ecg_base", tiny(store, tmp_path / str(i), train__seed=seed))[1].model for i, seed in enumerate((1, 1, 2))
    ]
    assert same(models[0], models[1])
    assert not same(models[0], models[2])


def test_a_non_finite_loss_stops_the_run(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the loss is not finite by update .*, in a batch of recordings 01-0"):
        train("ecg_base", tiny(store, tmp_path, train__learning_rate=1e30, train__epochs=5))


def edited_split(store: Path, folder: Path, **parts: str) -> Path:
    folder.mkdir()
    for part in ("train", "validation", "test"):
        text = (store / "splits" / "default" / f"{part}.txt").read_text()
        (folder / f"{part}.txt").write_text(parts.get(part, text))
    return folder


def test_bad_input_is_one_line_that_names_it(store: Path, tmp_path: Path, two_process_runs: Path) -> None:
    eeg3 = two_process_runs / "eeg_base" / "best.pt"
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(eeg3.read_bytes()[:5000])
    empty = edited_split(store, tmp_path / "empty", train="# nobody\n")
    cases = [
        ("ecg_base", ["data.store=nowhere"], "nowhere: no such store"),
        ("ecg_bose", [], "ecg_bose: no such config"),
        ("kd_temp", [], "stage.teacher: no checkpoint at .*eeg_base/best.pt; train eeg_base first"),
        ("kd_temp", ["stage.teacher=gone.pt"], "stage.teacher: no checkpoint at gone.pt"),
        ("kd_temp", [f"stage.teacher={damaged}"], "damaged.pt: is damaged or no checkpoint"),
        ("kd_temp", [f"stage.teacher={eeg3}", "data.classes=4"], "was trained for 3 classes, data.classes is 4"),
        ("feat_wce", [f"stage.start_from={eeg3}", "model.bottom_filters=8"], "weights do not fit this network"),
        ("ecg_base", [f"data.split={empty}"], "empty/train.txt: lists no recording"),
        ("ecg_base", ["data.split=nosuch"], "data.split: nosuch"),
        ("ecg_base", ["model.norm=sync_batch"], "model.norm: sync_batch needs CUDA"),
        ("ecg_base", ["train.batch_size=2", "train.accumulate=3"], "train.batch_size: 3 processes times micro-batches"),
    ]
    for number, (stage, overrides, message) in enumerate(cases):
        root = tmp_path / f"runs{number}"
        with pytest.raises(UserError, match=message):
            train(stage, [*tiny(store, root), *overrides])
        assert not root.exists(), f"{message}: left something behind"


def test_a_mistake_leaves_with_exit_code_2_and_one_line(store: Path, tmp_path: Path) -> None:
    output = run("train_ddp.py", "--config", "ecg_base", "--set", "train.epoch=3", code=2)
    assert output == "error: train.epoch: unknown key; did you mean train.epochs?\n"


def test_the_loop_has_no_branch_on_a_stage_name() -> None:
    for path in (REPOSITORY / "train_ddp.py", *(REPOSITORY / "sleepkd").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        assert "stage.name ==" not in source and "stage.name in" not in source, path
        if path.parent.name != "evaluation" and path.name != "plan.py":  # where rows of tables are named
            assert not any(f'"{stage}"' in source for stage in STAGES), path


def test_class_weights_reach_the_loss(store: Path, tmp_path: Path) -> None:
    def first_loss(kind: str) -> float:
        train("ecg_base", tiny(store, tmp_path / kind, loss__ce__class_weights=kind))
        lines = (tmp_path / kind / "3class" / "ecg_base" / "metrics.jsonl").read_text().splitlines()
        return json.loads(lines[0])["ce"]

    assert not np.isclose(first_loss("balanced"), first_loss("none"), rtol=1e-4)


def test_the_loop_reads_no_value_but_when_it_logs(
    store: Path, two_process_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these waits for the device, on CUDA; our own code calls none of them in an update."""
    calls: list[str] = []

    def counted(name: str):
        original = getattr(torch.Tensor, name)

        def method(self: torch.Tensor, *args: object, **kwargs: object) -> object:
            caller = sys._getframe(1)
            if str(REPOSITORY) in caller.f_code.co_filename and ".venv" not in caller.f_code.co_filename:
                calls.append(f"{name} in {caller.f_code.co_name}")
            return original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, method)

    for name in ("item", "tolist", "cpu", "nonzero", "__bool__", "__float__", "__int__"):
        counted(name)
    options = {"train__batch_size": 30, "train__log_every": 1000, "train__validate_every": 0, "loss__at__weight": 0.5}
    teacher = f"stage.teacher={two_process_runs / 'eeg_base' / 'best.pt'}"
    train("kd_temp", [*tiny(store, tmp_path, **options), teacher])
    log = (tmp_path / "3class" / "kd_temp" / "metrics.jsonl").read_text().splitlines()
    assert len(log) == 1 and json.loads(log[0])["step"] > 8  # many updates, logged once
    assert calls and all("flush" in call or "report" in call for call in calls), calls
