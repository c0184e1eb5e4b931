"""A teacher of EEG, EOG and EMG at once, in the same step as a student: targets, features, missing inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from launch import run, tiny_night
from runs import distance, logged, train
from sleepkd import prepare
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.segments import Segments
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.settings import load_config
from sleepkd.simulation.cohort import write_cohort
from sleepkd.teachers import TEACHER
from tests.data.stored import without_inputs
from train_ddp import build_stage

FEATURES = ("loss.at.weight=0.5", "loss.hint.weight=0.5")


@pytest.fixture(scope="module")
def psg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of four nights with EEG, EOG, EMG, ECG and heartbeats; the first training night lacks EOG and EMG."""
    root = tmp_path_factory.mktemp("psg")
    write_cohort(root / "raw", nights=4, hours=0.5, seed=5, channels="full")
    arguments = [
        "--dataset",
        "mass",
        "--raw",
        root / "raw",
        "--out",
        root / "whole",
        "--rate",
        64,
        "--split",
        0.5,
        0.25,
    ]
    assert prepare.main([str(x) for x in [*arguments, 0.25, "--signals", "eog", "emg"]]) == 0
    first, *_ = read_split(Store(root / "whole"), "default").parts["train"]
    return without_inputs(root / "whole", root / "store", {first: ["eog", "emg"]}).path


@pytest.fixture(scope="module")
def teacher(psg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, _ = train("night_psg", tiny_night(psg, tmp_path_factory.mktemp("teacher")))
    return folder / "best.pt"


def student(psg: Path, teacher: Path, runs_root: Path, **more: object) -> list[str]:
    exact = {"train__precision": "fp64", "model__dropout": 0, "stage__teacher": teacher, "stage__inputs__ecg": "false"}
    exact |= {"data__augment__drop_input": 0}
    return [*tiny_night(psg, runs_root, **exact | more), *FEATURES]


def test_its_targets_are_the_logits_and_features_of_all_its_inputs(psg: Path, teacher: Path, tmp_path: Path) -> None:
    config = load_config(["night_kd"], student(psg, teacher, tmp_path))
    stage = build_stage(config, 64)
    assert list(stage.readers[TEACHER]) == ["eeg", "eog", "emg"] and stage.absent.may_lack >= {TEACHER}
    nights = [Store(psg).open(name) for name in read_split(Store(psg), "default").parts["train"]]
    segments = Segments(nights, stage.readers, config.data, True, absent=stage.absent)
    batch = segments[np.arange(len(segments))]
    inputs = batch.inputs[TEACHER]
    lacking = torch.from_numpy(segments.table.night == 0)
    assert set(inputs) == {"eeg", "eog", "emg"} and segments.table.silent is None
    assert not inputs["eog"][lacking].any() and inputs["eog"][~lacking].any() and inputs["eeg"][lacking].any()
    network = load_trained(teacher).network
    with torch.no_grad():
        expected = batch.per_sleep_epoch(network(inputs))
        without_eog = batch.per_sleep_epoch(network({name: x for name, x in inputs.items() if name != "eog"}))
        found = stage.teacher.output(batch)
    torch.testing.assert_close(found.logits.float(), expected.float())
    assert (without_eog[~lacking] - expected[~lacking]).abs().max() > 1e-3
    torch.testing.assert_close(without_eog[lacking], expected[lacking])
    assert set(found.features) == {"fuse", "context.1"}


def test_two_processes_and_cached_targets_give_the_same_student(psg: Path, teacher: Path, tmp_path: Path) -> None:
    folder, last = train("night_kd", student(psg, teacher, tmp_path / "one"))
    (line,) = logged(folder)[:1]
    assert {"ce", "kd", "at", "hint"} <= set(line)
    run("train_ddp.py", "--config", "night_kd", "--set", *student(psg, teacher, tmp_path / "two"), processes=2)
    other = read_checkpoint(tmp_path / "two" / "3class" / "night_kd" / "last.pt")
    assert distance(last.model, other.model) < 1e-9
    cached, _ = train("night_kd", student(psg, teacher, tmp_path / "cached", distill__cache_teacher="true"))
    assert logged(cached)[-1]["loss"] == pytest.approx(logged(folder)[-1]["loss"], rel=1e-6)


def test_features_alone_of_several_inputs(psg: Path, teacher: Path, tmp_path: Path) -> None:
    folder, _ = train("night_at", [x for x in student(psg, teacher, tmp_path) if "weight=0.5" not in x])
    (line,) = logged(folder)[:1]
    assert line["at"] > 0 and line["hint"] > 0 and "ce" not in line
