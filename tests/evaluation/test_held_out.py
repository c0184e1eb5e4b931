"""evaluate.py refuses training nights, whatever store or split names them; where allowed, every output is marked."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import evaluate
from launch import tiny
from runs import train
from sleepkd.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.splits import write_split
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.evaluation.held_out import evaluation_segments, training_nights

Evaluate = Callable[..., int]


@pytest.fixture(scope="module")
def folds(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort with two splits, `one` and `two`, that train on different nights and test on those of the other."""
    path = tmp_path_factory.mktemp("folds") / "store"
    shutil.copytree(store, path)
    shutil.rmtree(path / "splits")
    a, b, c, d, e, f = Store(path).recordings
    for name, parts in {"one": ((a, b), (c,), (d, e, f)), "two": ((d, e), (c,), (a, b, f))}.items():
        write_split(path / "splits" / name, dict(zip(("train", "validation", "test"), parts, strict=True)), "")
    shutil.copytree(path / "splits" / "two", path / "splits" / "default")
    return path


@pytest.fixture(scope="module")
def runs(folds: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """best.pt of two networks trained on split `one`, and of a student and a fine-tuned network trained on `two`."""
    root, found = tmp_path_factory.mktemp("runs"), {}
    for name, split, more in (
        ("eeg_base", "one", {}),
        ("ecg_base", "one", {}),
        ("kd_temp", "two", {}),
        ("feat_wce", "two", {"stage__start_from": "ecg_base"}),
    ):
        settings = {"data__split": split, "train__batch_size": 100} | more
        folder, _ = train(name, tiny(folds, root, **settings))
        found[name] = folder / "best.pt"
    return found


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Run evaluate.py in this process."""

    def main(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["evaluate.py", *map(str, arguments), "--draws", "50"])
        return evaluate.main()

    return main


def scored(out: Path) -> list[str]:
    return list(json.loads((out / "metrics.json").read_text())["by_recording"])


def copy_of(store: Path, path: Path, rename: Callable[[str], str], cohort: str, test: Sequence[str]) -> Path:
    """A copy of a store under other names, with a default split that tests on some of its recordings."""
    shutil.copytree(store, path)
    shutil.rmtree(path / "splits")
    settings = json.loads((path / "store.json").read_text())
    (path / "store.json").write_text(json.dumps(settings | {"cohort": cohort}))
    for folder in list((path / "recordings").iterdir()):
        facts = json.loads((folder / "recording.json").read_text())
        facts |= {key: rename(facts[key]) for key in ("recording", "subject")}
        (folder / "recording.json").write_text(json.dumps(facts))
        folder.rename(folder.with_name(rename(folder.name)))
    write_split(path / "splits" / "default", {"train": (), "validation": (), "test": tuple(map(rename, test))}, "")
    return path


def test_a_store_of_the_training_run_keeps_the_split_of_the_run(
    folds: Path, runs: dict[str, Path], evaluated: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Its default split tests on the nights that the run was trained on."""
    assert evaluated("--checkpoint", runs["ecg_base"], "--store", folds, "--only-scores", "--out", tmp_path) == 0
    assert scored(tmp_path) == Store(folds).recordings[3:]
    assert f"scored: 3 test recordings of split one of {folds}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rename", "cohort_name", "shown"),
    [
        (lambda name: name, "mass", r"mass/\S+, mass/\S+;"),
        (lambda name: f"x{name}", "copies", r"copies/x\S+ \(a copy of mass/\S+\), copies/x\S+ \(a copy of mass/\S+\);"),
    ],
    ids=["same names", "other names"],
)
def test_training_nights_in_another_store_are_refused(
    rename: Callable[[str], str],
    cohort_name: str,
    shown: str,
    folds: Path,
    runs: dict[str, Path],
    evaluated: Evaluate,
    tmp_path: Path,
) -> None:
    copy = copy_of(folds, tmp_path / "copy", rename, cohort_name, Store(folds).recordings[:3])
    arguments = ["--checkpoint", runs["ecg_base"], "--store", copy, "--only-scores", "--out", tmp_path / "out"]
    message = rf"ecg_base/best\.pt: it, .* was trained on 2 of the 3 recordings to score: {shown} .*--allow-training"
    with pytest.raises(UserError, match=message):
        evaluated(*arguments)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="2 of the 6 recordings"):
        evaluated(*arguments, "--split", "all")
    clean = copy_of(folds, tmp_path / "clean", rename, cohort_name, Store(folds).recordings[3:])
    assert evaluated(*arguments, "--store", clean) == 0
    assert scored(tmp_path / "out") == [rename(name) for name in Store(folds).recordings[3:]]


@pytest.mark.parametrize("stage", ["kd_temp", "feat_wce"])
def test_nights_of_the_teacher_and_of_the_start_are_training_nights(
    stage: str, folds: Path, runs: dict[str, Path], evaluated: Evaluate, tmp_path: Path
) -> None:
    """Both are test nights of the student's own split."""
    with pytest.raises(UserError, match=rf"{stage}/best\.pt: it, its teacher .* was trained on 2 of the 3 recordings"):
        evaluated("--checkpoint", runs[stage], "--only-scores", "--out", tmp_path)
    assert set(training_nights(load_trained(runs[stage])).digests) == {
        f"mass/{name}" for name in (*Store(folds).recordings[:2], *Store(folds).recordings[3:5])
    }


def test_every_output_is_marked_when_training_nights_are_allowed(
    folds: Path, runs: dict[str, Path], evaluated: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["--split", "all", "--allow-training-nights", "--compare", runs["ecg_base"], runs["kd_temp"]]
    assert evaluated(*arguments, "--out", tmp_path) == 0
    recordings = Store(folds).recordings
    of_run = {"ecg_base": recordings[:2], "kd_temp": [*recordings[:2], *recordings[3:5]]}
    for name, nights in of_run.items():
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert (metrics["held_out"], metrics["training_nights"]) == ("no", nights)
        with (tmp_path / name / "predictions" / "recordings.csv").open() as file:
            index = {row["recording"]: row["held_out"] for row in csv.DictReader(file)}
        assert [recording for recording, status in index.items() if status == "no"] == nights
        assert index[recordings[2]] == "validation" and index[recordings[5]] == "yes"
    comparison = json.loads((tmp_path / "comparison.json").read_text())
    assert sorted(comparison["training_nights"]) == sorted(of_run["kd_temp"])
    printed = capsys.readouterr().out
    for name, nights in of_run.items():
        assert f"NOT HELD OUT: {runs[name]} was trained on {len(nights)} of these recordings\n" in printed
    assert "kd_temp (training nights) minus ecg_base (training nights): kappa" in printed
    assert printed.count("kd_temp (training nights): kappa") == 1
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"Not held out: 2 of 6 recordings are training nights ({', '.join(recordings[:2])})" in report
    assert "<h1>kd_temp (training nights) against ecg_base (training nights)" in report
    captions = [part.partition("</figcaption>")[0] for part in report.split("<figcaption>")[1:]]
    assert sum("kd_temp (training nights)" in caption for caption in captions) > 5
    assert not any("kd_temp:" in caption for caption in captions)


def test_validation_nights_are_scored_and_marked(
    runs: dict[str, Path], evaluated: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["--checkpoint", runs["ecg_base"], "--split", "validation", "--only-scores", "--out", tmp_path]
    assert evaluated(*arguments) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["held_out"], metrics["training_nights"]) == ("validation", [])
    assert "ecg_base (validation nights): kappa" in capsys.readouterr().out


def test_a_temperature_is_not_fitted_on_training_nights(
    folds: Path, runs: dict[str, Path], evaluated: Evaluate, tmp_path: Path
) -> None:
    other = copy_of(folds, tmp_path / "copy", str, "mass", ())
    a, *_, f = Store(folds).recordings
    write_split(other / "splits" / "default", {"train": (), "validation": (a,), "test": (f,)}, "")
    arguments = ["--checkpoint", runs["ecg_base"], "--store", other, "--only-scores", "--out", tmp_path / "out"]
    with pytest.raises(UserError, match="trained on 1 of the 1 recordings"):
        evaluated(*arguments, "--calibrate")
    assert evaluated(*arguments) == 0


@pytest.fixture
def older(runs: dict[str, Path], folds: Path, tmp_path: Path) -> dict[str, Path]:
    """A teacher and its student as version 0.1 wrote them: no training nights in the checkpoints."""
    found = {}
    for name in ("eeg_base", "kd_temp"):
        checkpoint = read_checkpoint(runs[name])
        config = checkpoint.config | {"runs_root": str(tmp_path / "older")}
        found[name] = tmp_path / "older" / "3class" / name / "best.pt"
        save_checkpoint(found[name], replace(checkpoint, config=config, trained_on=None))
    return found


def test_training_nights_of_an_older_checkpoint_follow_from_its_config(
    older: dict[str, Path], folds: Path, evaluated: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["--checkpoint", older["kd_temp"], "--only-scores", "--out", tmp_path / "out"]
    with pytest.raises(UserError, match=r"was trained on 2 of the 3 recordings to score, by the split in its config"):
        evaluated(*arguments)
    older["eeg_base"].unlink()
    assert evaluated(*arguments) == 0
    assert "training nights unknown: " in (printed := capsys.readouterr().out) and "those of eeg_base" in printed
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["held_out"] == "unknown"


def test_training_nights_are_unknown_where_an_older_checkpoint_s_store_is_gone(
    older: dict[str, Path], folds: Path, evaluated: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    checkpoint = read_checkpoint(older["eeg_base"])
    checkpoint.config["data"]["store"] = str(tmp_path / "gone")
    save_checkpoint(older["eeg_base"], checkpoint)
    arguments = ["--checkpoint", older["eeg_base"], "--store", folds, "--only-scores", "--out", tmp_path / "out"]
    assert evaluated(*arguments) == 0
    printed = capsys.readouterr().out
    assert printed.count("training nights unknown: ") == 1 and "its stores cannot be read" in printed


def test_a_new_student_of_an_older_teacher_has_the_teacher_s_nights(
    older: dict[str, Path], runs: dict[str, Path]
) -> None:
    """Its checkpoint records its own nights only: the teacher's checkpoint had none to add."""
    student = load_trained(older["kd_temp"])
    both = load_trained(runs["kd_temp"]).trained_on
    teacher = set(load_trained(runs["eeg_base"]).trained_on)
    student.checkpoint.trained_on = {key: digests for key, digests in both.items() if key not in teacher}
    assert set(training_nights(student).digests) == set(both)


def test_another_store_needs_a_default_split(runs: dict[str, Path], folds: Path, tmp_path: Path) -> None:
    trained = load_trained(runs["ecg_base"])
    copy = copy_of(folds, tmp_path / "copy", str, "mass", ())
    shutil.rmtree(copy / "splits")
    with pytest.raises(UserError, match=r"--store: .*copy has no default split; .* give --split all"):
        evaluation_segments(trained, [str(copy)], "test")
    assert len(evaluation_segments(trained, [str(copy)], "all").nights) == 6
