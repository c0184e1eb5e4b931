"""Training and prediction in view `night`: all losses at once, unlabelled recordings, scheduled weights, devices."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from launch import run, tiny
from runs import distance, logged, train
from sleepkd import prepare
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.checkpoints.trained import TrainedNetwork, load_trained
from sleepkd.data.data_settings import Source
from sleepkd.data.nights import open_nights
from sleepkd.data.pseudo_labels import write_pseudo_labels
from sleepkd.data.segments import STUDENT, Segments
from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation.inference import predict_nights, probabilities_of
from sleepkd.losses import LOSSES
from sleepkd.losses.loss import NetworkOutput
from sleepkd.settings import load_config
from train_ddp import build_stage

NIGHT = {"data__view": "night", "data__segment_minutes": 5, "train__batch_size": 8}
META = torch.device("meta")
ALL_LOSSES = [*(f"loss.{name}.weight=0.01" for name in LOSSES), "loss.pseudo.model=drawn"]


@pytest.fixture(scope="module")
def teacher(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """U-Time on EEG, with an output every 10 s."""
    folder, _ = train("eeg_base", tiny(store, tmp_path_factory.mktemp("teacher"), **NIGHT))
    return folder / "best.pt"


@pytest.fixture(scope="module")
def with_pseudo_labels(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store with pseudo-labels of a model called `drawn`: random probabilities of five classes."""
    copy = tmp_path_factory.mktemp("pseudo") / "store"
    shutil.copytree(store, copy)
    rng = np.random.default_rng(0)
    for recording in Store(copy).recordings:
        night = Store(copy).open(recording)
        write_pseudo_labels("drawn", night, rng.dirichlet(np.ones(5), len(night.hypnogram)))
    return copy


@pytest.fixture(scope="module")
def unlabelled(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same cohort without labels; all recordings are training recordings."""
    out = tmp_path_factory.mktemp("unlabelled") / "store"
    yaml = (Path(__file__).parents[1] / "configs" / "datasets" / "mass.yaml").read_text()
    layout = out.parent / "unlabelled.yaml"
    head, _, rest = yaml.partition("scoring:")
    head = head.replace("name: mass", "name: unlabelled")
    layout.write_text(head + "scoring: none\n\nstandard" + rest.partition("standard")[2])
    assert prepare.main(["--dataset", str(layout), "--raw", str(cohort), "--out", str(out), "--rate", "64"]) == 0
    for path in out.glob("recordings/*/recording.json"):  # the same recordings in two stores would be refused
        path.write_text(re.sub('"digest": "[0-9a-f]+"', '"digest": ""', path.read_text()))
    return out


def whole_nights(trained: TrainedNetwork, store: Path) -> Segments:
    nights = open_nights((Source(str(store)),), "all")
    return Segments(nights, trained.readers, trained.config.data.whole_nights(), scored_only=False)


def test_all_losses_on_one_and_two_processes_and_from_cached_targets(
    with_pseudo_labels: Path, teacher: Path, tmp_path: Path
) -> None:
    store = with_pseudo_labels
    exact = {"train__precision": "fp64", "model__norm": "group", "train__epochs": 2, "stage__teacher": teacher}
    folder, one = train("kd_temp", [*tiny(store, tmp_path / "one", **NIGHT, **exact), *ALL_LOSSES])
    for line in logged(folder) + logged(folder, "validation"):
        assert all(line[name] > 0 for name in LOSSES if name != "vid")

    two = [*tiny(store, tmp_path / "two", **NIGHT, **exact), *ALL_LOSSES]
    run("train_ddp.py", "--config", "kd_temp", "--set", *two, processes=2)
    assert distance(one.model, read_checkpoint(tmp_path / "two" / "3class" / "kd_temp" / "last.pt").model) < 1e-9

    cached = [*tiny(store, tmp_path / "cached", **NIGHT, **exact, distill__cache_teacher="true"), *ALL_LOSSES]
    cached_folder, _ = train("kd_temp", cached)
    for a, b in zip(logged(folder), logged(cached_folder), strict=True):
        parts = sum(abs(a[name]) for name in LOSSES)  # of both signs: vid may be negative
        assert b["loss"] == pytest.approx(a["loss"], abs=1e-6 * parts)  # the cache is float32


def test_every_scored_sleep_epoch_is_predicted_once(store: Path, teacher: Path) -> None:
    trained = load_trained(teacher)
    nights = predict_nights(trained, whole_nights(trained, store), Processes("cpu"), 4)
    opened = Store(store)
    for night in nights:
        hypnogram = opened.open(night.recording).hypnogram
        inside = (hypnogram.onset_s >= 0) & (hypnogram.onset_s + hypnogram.duration_s <= 1800)
        np.testing.assert_allclose(night.onset_s, hypnogram.onset_s[inside], atol=1e-9)
        np.testing.assert_allclose(night.duration_s, hypnogram.duration_s[inside])


def test_an_update_and_a_prediction_use_no_tensor_on_another_device(
    with_pseudo_labels: Path, teacher: Path, tmp_path: Path
) -> None:
    """torch's meta device, which holds shapes only and refuses tensors of the CPU, stands in for CUDA."""
    store = with_pseudo_labels
    config = load_config(["kd_temp"], [*tiny(store, tmp_path, **NIGHT, stage__teacher=teacher), *ALL_LOSSES])
    nights = open_nights(config.data.sources, "train")
    stage = build_stage(config, nights[0].rate_hz)
    objective = stage.objective
    segments = Segments(
        nights, stage.readers, config.data, objective.uses_unlabelled, STUDENT, pseudo_labels=objective.pseudo_labels
    )
    stage.to(META, torch.float32)
    stage.learner.train()
    rows = np.arange(4)
    batch = segments[rows].to(META, torch.float32)
    # As train_ddp.forward, without autocast, which this device does not have.
    targets = stage.teacher.targets(batch, stage.objective)
    student = NetworkOutput(batch.per_sleep_epoch(stage.learner(batch.inputs[STUDENT])), stage.taps.pop())
    normalizers = stage.objective.normalizers(segments.table.take(rows))
    loss, losses = stage.objective.weighted_sum(student, targets, batch, normalizers, epoch=0)
    loss.backward()
    assert set(losses) == set(LOSSES)
    assert all(x.device == META for x in (student.logits, *targets.values(), *losses.values()))

    trained = load_trained(teacher)
    segments = whole_nights(trained, store)
    found = probabilities_of(trained.network.to(META), segments[np.array([0, 1])].to(META, torch.float32))
    assert found.device == META
    assert found.shape == (*segments.table.labels[:2].shape, 3)


def test_the_mean_of_10_s_outputs_is_the_output_of_a_sleep_epoch(store: Path, tmp_path: Path) -> None:
    """Means over 30 s are means of means over 10 s, and the classifier behind them is linear."""
    per_sleep_epoch = build_stage(load_config(["eeg_base"], tiny(store, tmp_path)), 64).student.eval()
    per_token = build_stage(load_config(["eeg_base"], tiny(store, tmp_path, **NIGHT)), 64).student.eval()
    per_token.load_state_dict(per_sleep_epoch.state_dict())
    x = torch.randn(2, 1, 30 * 64)
    with torch.no_grad():
        tokens, whole = per_token({"eeg": x}), per_sleep_epoch({"eeg": x})
    assert tokens.shape == (2, 3, 3)
    torch.testing.assert_close(tokens.mean(dim=1, keepdim=True), whole)


@pytest.mark.parametrize("view", ["epochs", "night"])
def test_unlabelled_recordings_are_distilled(
    store: Path, unlabelled: Path, tmp_path: Path, view: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"data__view": view, "data__segment_minutes": 5} if view == "night" else {}
    teacher = train("eeg_base", tiny(store, tmp_path, **more))[0] / "best.pt"
    stores = f"data.nights=[{{store: {store}}}, {{store: {unlabelled}}}]"
    printed = {}
    for stage in ("ecg_base", "kd_temp"):
        overrides = tiny(store, tmp_path, **more, stage__teacher=teacher)
        capsys.readouterr()
        folder, _ = train(stage, [*(each for each in overrides if "data.store" not in each), stores])
        printed[stage] = capsys.readouterr().out
    assert "without labels" not in printed["ecg_base"]
    assert "nights (6 without labels)" in printed["kd_temp"]
    lines = logged(folder)
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert sum(lines[0][f"unlabelled_{name}"] for name in ("W", "NREM", "REM")) == pytest.approx(1)


def test_teacher_and_student_need_the_same_view(store: Path, teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"was trained with data\.view night, this run has epochs"):
        train("kd_temp", tiny(store, tmp_path, stage__teacher=teacher))


def test_a_scheduled_weight_is_that_of_the_training_epoch(store: Path, tmp_path: Path) -> None:
    schedule = "loss.ce.weight={start: 0.25, end: 1, epochs: 1}"
    folder, _ = train("eeg_base", [*tiny(store, tmp_path, **NIGHT, train__epochs=2), schedule])
    for line in logged(folder):
        assert line["loss"] == pytest.approx((0.25, 1)[line["epoch"]] * line["ce"], rel=1e-5)
    for line in logged(folder, "validation"):
        assert line["loss"] == pytest.approx(line["ce"], rel=1e-5)
