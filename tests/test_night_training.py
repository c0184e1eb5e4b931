"""Training and evaluating in view `night`, from several stores, and from nights that nobody scored."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from launch import run, tiny

import train_ddp
from evaluate import windows_of
from sleepkd import prepare
from sleepkd.data.store import Store
from sleepkd.settings import load_config
from sleepkd.checkpoints.trained import load_trained
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation.inference import predict, probabilities_of
from sleepkd.checkpoints.checkpoint import Checkpoint, read_checkpoint

NIGHT = {"data__view": "night", "data__segment_minutes": 5, "train__batch_size": 8}
META = torch.device("meta")
OTHERS = ("lskd", "dkd", "dist", "wttm", "transition", "hint", "vid", "sp", "rkd", "crd")
ALL_TERMS = (
    "loss.ce.weight=0.4",
    "loss.kd.weight=0.3",
    "loss.at.weight=0.3",
    *(f"loss.{name}.weight=0.01" for name in OTHERS),
)


def train(stage: str, overrides: list[str]) -> tuple[Path, Checkpoint]:
    config = load_config([stage], overrides)
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory, read_checkpoint(config.run_directory / "last.pt")


@pytest.fixture(scope="module")
def teacher(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the EEG that answers on the grid of a night."""
    folder, _ = train("eeg_base", tiny(store, tmp_path_factory.mktemp("teacher"), **NIGHT))
    return folder / "best.pt"


@pytest.fixture(scope="module")
def bare(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cohort, scored by nobody: all of it trains."""
    out = tmp_path_factory.mktemp("bare") / "store"
    yaml = (Path(__file__).parents[1] / "configs" / "datasets" / "mass.yaml").read_text()
    layout = out.parent / "bare.yaml"
    head, _, rest = yaml.partition("scoring:")
    layout.write_text(
        head.replace("name: mass", "name: bare") + "scoring: none\n\nstandard" + rest.partition("standard")[2]
    )
    assert prepare.main(["--dataset", str(layout), "--raw", str(cohort), "--out", str(out), "--rate", "64"]) == 0
    for path in out.glob("recordings/*/recording.json"):  # as if other nights: the same ones would be refused
        path.write_text(re.sub('"digest": "[0-9a-f]+"', '"digest": ""', path.read_text()))
    return out


def test_all_terms_on_one_and_two_processes(store: Path, teacher: Path, tmp_path: Path) -> None:
    exact = {"train__precision": "fp64", "model__norm": "group", "train__epochs": 2, "stage__teacher": teacher}
    overrides = [*tiny(store, tmp_path / "one", **NIGHT | exact), *ALL_TERMS]
    _, one = train("kd_temp", overrides)
    two = [*tiny(store, tmp_path / "two", **NIGHT | exact), *ALL_TERMS]
    run("train_ddp.py", "--config", "kd_temp", "--set", *two, processes=2)
    other = read_checkpoint(tmp_path / "two" / "3class" / "kd_temp" / "last.pt")
    for name, value in one.model.items():
        assert (other.model[name] - value).norm() <= 1e-9 * value.norm()
    lines = [json.loads(line) for line in (tmp_path / "one/3class/kd_temp/metrics.jsonl").read_text().splitlines()]
    assert all(min(line[name] for name in ("ce", "kd", "at", *OTHERS) if name != "vid") > 0 for line in lines)


def test_a_cached_teacher_of_nights_gives_the_same_losses(store: Path, teacher: Path, tmp_path: Path) -> None:
    losses = []
    for cached in ("false", "true"):
        more = {
            "stage__teacher": teacher,
            "distill__cache_teacher": cached,
            "train__epochs": 2,
            "train__precision": "fp64",
        }
        folder, _ = train("kd_temp", [*tiny(store, tmp_path / cached, **NIGHT | more), *ALL_TERMS])
        losses.append([json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)


def test_every_scored_sleep_epoch_is_predicted_once(store: Path, teacher: Path) -> None:
    trained = load_trained(teacher)
    nights = predict(trained, windows_of(trained, [str(store)], "all"), Processes("cpu"), 4)
    opened = Store(store)
    for night in nights:
        hypnogram = opened.open(night.recording).hypnogram
        inside = hypnogram.onset_s + hypnogram.duration_s <= 1800
        inside &= hypnogram.onset_s >= 0
        np.testing.assert_allclose(night.onset_s, hypnogram.onset_s[inside], atol=1e-9)
        np.testing.assert_allclose(night.duration_s, hypnogram.duration_s[inside])


def test_an_update_and_a_prediction_leave_nothing_on_the_cpu(store: Path, teacher: Path, tmp_path: Path) -> None:
    """On a device of shapes alone, which no tensor of the CPU may meet: as on CUDA, where there is none to test on."""
    config = load_config(["kd_temp"], [*tiny(store, tmp_path, **NIGHT, stage__teacher=teacher), *ALL_TERMS])
    run = train_ddp.set_up(config, Processes("cpu"))
    run.stop.release()
    stage, rows = run.stage, np.arange(4)
    stage.to(META, torch.float32)
    stage.train_mode()
    batch = run.segments[rows].to(META, torch.float32)
    # As train_ddp.forward, but for autocast, which this device has not.
    targets, student = stage.teach(batch), stage.answer(run.learner(batch.inputs["student"]), batch)
    loss, terms = stage.loss(student, targets, batch, stage.counts(run.segments.table.take(rows)))
    loss.backward()
    assert set(terms) == {"ce", "kd", "at", *OTHERS}
    assert all(x.device == META for x in (student.logits, *targets.values(), *terms.values()))

    trained = load_trained(teacher)
    segments = windows_of(trained, [str(store)], "all")
    said = probabilities_of(trained.network.to(META), segments[np.array([0, 1])].to(META, torch.float32))
    assert said.device == META
    assert said.shape == (*segments.table.labels[:2].shape, 3)


def test_an_answer_on_the_grid_is_that_of_the_whole_sleep_epoch(store: Path, tmp_path: Path) -> None:
    """Means over 30 s are means of means over 10 s, and the classifier behind them is linear."""
    config = load_config(["eeg_base"], tiny(store, tmp_path))
    by_epoch = train_ddp.set_up(config, Processes("cpu")).stage
    config = load_config(["eeg_base"], tiny(store, tmp_path / "night", **NIGHT))
    by_cell = train_ddp.set_up(config, Processes("cpu")).stage
    by_cell.student.load_state_dict(by_epoch.student.state_dict())
    x = torch.randn(2, 1, 30 * 64)
    with torch.no_grad():
        token_spans = by_cell.student.eval()({"eeg": x})
        whole = by_epoch.student.eval()({"eeg": x})
    assert token_spans.shape == (2, 3, 3)
    torch.testing.assert_close(token_spans.mean(dim=1, keepdim=True), whole)


@pytest.mark.parametrize("view", ["epochs", "night"])
def test_nights_without_labels_teach_through_the_teacher(
    store: Path, bare: Path, tmp_path: Path, view: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"data__view": view, "data__segment_minutes": 5} if view == "night" else {}
    targets, _ = train("eeg_base", tiny(store, tmp_path, **more))
    stores = f"data.nights=[{{store: {store}}}, {{store: {bare}}}]"
    counts = {}
    for stage in ("ecg_base", "kd_temp"):
        overrides = [
            o for o in tiny(store, tmp_path, **more, stage__teacher=targets / "best.pt") if "data.store" not in o
        ]
        capsys.readouterr()
        train(stage, [*overrides, stores])
        counts[stage] = capsys.readouterr().out
    assert "without labels" not in counts["ecg_base"]
    assert "nights (6 without labels)" in counts["kd_temp"]
    lines = [json.loads(line) for line in (tmp_path / "3class/kd_temp/metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(line["loss"]) for line in lines)


def test_a_teacher_and_its_student_look_in_the_same_way(store: Path, teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answers in view night"):
        train("kd_temp", tiny(store, tmp_path, stage__teacher=teacher))


def test_a_weight_on_a_ramp_is_that_of_the_epoch(store: Path, tmp_path: Path) -> None:
    ramp = "loss.ce.weight={start: 0.25, end: 1, epochs: 1}"
    folder, _ = train("eeg_base", [*tiny(store, tmp_path, **NIGHT, train__epochs=2, train__log_every=1), ramp])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        weight = 1 if line["kind"] == "validation" else (0.25, 1)[line["epoch"]]
        assert line["loss"] == pytest.approx(weight * line["ce"], rel=1e-5)
    assert {line["kind"] for line in lines} == {"train", "validation"}
