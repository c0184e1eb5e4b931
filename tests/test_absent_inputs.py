"""Nights that lack inputs in training and evaluation: DDP, silent teachers, logits, subsets of inputs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import evaluate
from launch import run, tiny_night
from runs import distance, logged, train
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.checkpoints.trained import NETWORK, load_trained
from sleepkd.data.segments import Segments
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.evaluation.held_out import evaluation_nights
from sleepkd.prediction.staged import stage_night
from sleepkd.settings import load_config
from tests.data.stored import without_inputs
from train_ddp import build_stage, forward

FEATURES = ("loss.at.weight=0.5", "loss.hint.weight=0.5", "loss.sp={weight: 0.5, tap: fuse}")


@pytest.fixture(scope="module")
def mixed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store. Of the training nights the first lacks the ECG, the second heartbeats, the third the EEG."""
    training = read_split(Store(store), "default").parts["train"]
    missing = dict(zip(training, (["ecg"], ["beats"], ["eeg"]), strict=False))
    return without_inputs(store, tmp_path_factory.mktemp("mixed") / "store", missing).path


@pytest.fixture(scope="module")
def teacher(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, _ = train("night_eeg", tiny_night(store, tmp_path_factory.mktemp("teacher")))
    return folder / "best.pt"


def overrides(store: Path, teacher: Path, runs_root: Path, **more: object) -> list[str]:
    exact = {"train__precision": "fp64", "train__epochs": 2, "model__dropout": 0, "stage__teacher": teacher}
    return [*tiny_night(store, runs_root, **exact | more), *FEATURES]


@pytest.fixture(scope="module")
def student(mixed: Path, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """last.pt of a student of ECG and heartbeats."""
    folder, _ = train("night_kd", overrides(mixed, teacher, tmp_path_factory.mktemp("student")))
    return folder / "last.pt"


def test_two_processes_and_cached_targets_give_the_same_training(
    mixed: Path, teacher: Path, student: Path, tmp_path: Path
) -> None:
    two = overrides(mixed, teacher, tmp_path / "two")
    printed = run("train_ddp.py", "--config", "night_kd", "--set", *two, processes=2)
    for line in (
        "input ecg: 3 of 4 training nights",
        "input beats: 3 of 4 training nights",
        "the teacher is silent on 1 of 4 training nights",
    ):
        assert printed.count(line) == 1
    other = read_checkpoint(tmp_path / "two" / "3class" / "night_kd" / "last.pt")
    assert distance(read_checkpoint(student).model, other.model) < 1e-9
    cached, _ = train("night_kd", overrides(mixed, teacher, tmp_path / "cached", distill__cache_teacher="true"))
    for a, b in zip(logged(student.parent), logged(cached), strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-6)


def test_a_silent_teacher_gives_no_gradient_and_counts_in_no_normalizer(
    mixed: Path, teacher: Path, tmp_path: Path
) -> None:
    config = load_config(["night_kd"], [*overrides(mixed, teacher, tmp_path), "loss.ce.weight=0"])
    nights = [Store(mixed).open(name) for name in read_split(Store(mixed), "default").parts["train"]]
    stage = build_stage(config, 64)
    stage.to(torch.device("cpu"), torch.float64)
    segments = Segments(nights, stage.readers, config.data, True, absent=stage.absent)
    silent = segments.table.night == 2
    assert np.array_equal(segments.table.silent, silent)

    def losses_of(rows: np.ndarray) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        batch = segments[rows].to(torch.device("cpu"), torch.float64)
        logits, _, losses = forward(stage, stage.learner, batch, stage.objective.normalizers(segments.table.take(rows)))
        return logits, losses

    rows = np.arange(len(segments))
    logits, every = losses_of(rows)
    _, heard = losses_of(rows[~silent])
    assert set(every) == {"kd", "at", "hint", "sp"}
    for name, value in heard.items():
        assert every[name].item() == pytest.approx(value.item(), rel=1e-9) and value > 0
    (gradient,) = torch.autograd.grad(every["kd"], logits)
    assert not gradient[torch.from_numpy(silent)].any() and gradient[torch.from_numpy(~silent)].any()
    _, alone = losses_of(rows[silent])
    assert all(value.item() == 0 for value in alone.values())


def test_a_night_without_an_input_has_the_logits_of_that_input_dropped(store: Path, mixed: Path, student: Path) -> None:
    trained = load_trained(student)
    first, second, *_ = read_split(Store(mixed), "default").parts["train"]
    nights = evaluation_nights(trained, [str(mixed)], "train", allow_training_nights=True)
    assert [line.partition("input ")[2] for line in nights.lines if "absent" in line] == [
        "ecg is absent from 1 of 4 recordings",
        "beats is absent from 1 of 4 recordings",
    ]
    inputs = nights.segments[np.arange(4)].inputs[NETWORK]
    together = trained.network(inputs)
    whole = evaluation_nights(trained, [str(store)], "train", allow_training_nights=True).segments
    for row, (recording, kept) in enumerate(((first, "beats"), (second, "ecg"))):
        alone = trained.network({kept: whole[np.array([row])].inputs[NETWORK][kept]})
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)
        predicted = stage_night(trained, Store(mixed).open(recording)).predicted
        expected = stage_night(trained.with_inputs([kept]), Store(store).open(recording)).predicted
        np.testing.assert_allclose(predicted.probabilities, expected.probabilities, atol=1e-6)
    for row in range(4):
        alone = trained.network(nights.segments[np.array([row])].inputs[NETWORK])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_subsets_of_inputs_are_scored_and_what_each_adds(
    store: Path, mixed: Path, student: Path, teacher: Path, tmp_path: Path
) -> None:
    common = ["--split", "all", "--allow-training-nights", "--only-scores", "--draws", 50]
    out = [*common, "--checkpoint", student, "--store", mixed]
    printed = run("evaluate.py", *out, "--subsets", "--out", tmp_path / "one", processes=2)
    found = json.loads((tmp_path / "one" / "metrics.json").read_text())["input_subsets"]
    assert [(row["inputs"], row["recordings"]) for row in found["subsets"]] == [
        (["ecg", "beats"], 4),
        (["ecg"], 5),
        (["beats"], 5),
    ]
    kappa = {}
    for name in ("ecg", "beats"):
        run(
            "evaluate.py",
            *common,
            "--checkpoint",
            student,
            "--store",
            store,
            "--inputs",
            name,
            "--out",
            tmp_path / name,
        )
        of_night = json.loads((tmp_path / name / "metrics.json").read_text())["by_recording"]
        kappa[name] = {recording: scores["kappa"] for recording, scores in of_night.items()}
    first, second, *_ = read_split(Store(mixed), "default").parts["train"]
    of_ecg = [value for recording, value in kappa["ecg"].items() if recording != first]
    assert found["subsets"][1]["kappa"]["value"] == pytest.approx(np.mean(of_ecg))
    added = json.loads((tmp_path / "one" / "metrics.json").read_text())["by_recording"]
    gains = [added[name]["kappa"] - kappa["beats"][name] for name in added if name not in (first, second)]
    assert found["adds"]["ecg"]["kappa"]["value"] == pytest.approx(np.mean(gains))
    assert found["adds"]["ecg"]["recordings"] == 4
    assert "  ECG + heartbeats: kappa " in printed and "  added to the others by ECG: " in printed
    assert printed.count("added to the others by") == 2


def test_subsets_of_one_input_are_refused(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["evaluate.py", "--checkpoint", str(teacher), "--subsets", "--only-scores", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(UserError, match="--subsets: needs a network that takes any of its inputs"):
        evaluate.main()
    assert not any(tmp_path.iterdir())


def test_a_teacher_is_shown_on_the_nights_that_it_can_read(mixed: Path, teacher: Path, tmp_path: Path) -> None:
    trained = load_trained(teacher)
    with pytest.raises(UserError, match="holds no eeg"):
        evaluation_nights(trained, [str(mixed)], "train", allow_training_nights=True)
    nights = evaluation_nights(trained, [str(mixed)], "train", allow_training_nights=True, only_readable=True)
    training = read_split(Store(mixed), "default").parts["train"]
    assert nights.segments.names == [name for name in training if name != training[2]]
    assert nights.description.startswith("3 train recordings of") and "hold the inputs of" in nights.description
    every = {name: ["eeg"] for name in Store(mixed).recordings if name != training[2]}
    nowhere = without_inputs(mixed, tmp_path / "nowhere", every).path
    with pytest.raises(UserError, match="none of the recordings holds its inputs"):
        evaluation_nights(trained, [str(nowhere)], "train", allow_training_nights=True, only_readable=True)
