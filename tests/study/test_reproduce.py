"""The whole table by one command: order, keeping, going on, failing; and what the table says."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from launch import REPOSITORY, environment, run, tiny, wait_for_updates
from sleepkd import reproduce
from sleepkd.errors import UserError
from sleepkd.evaluation.predictions import read_predictions
from sleepkd.study import time_estimate

ROWS = ("ecg_base", "ecg_base_long")


def lively(store: Path) -> list[str]:
    """Settings with which a network of a thousand parameters learns something within an epoch."""
    return tiny(store, "unused", train__batch_size=16, train__learning_rate=0.02)


def table(monkeypatch: pytest.MonkeyPatch, store: Path, out: Path, *options: object) -> int:
    arguments = ["--out", out, "--draws", 200, "--classes", 3, *options, "--set", *lively(store)]
    return reproduce.main([*map(str, arguments)])


def test_folds_and_seeds_make_one_table(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str]
) -> None:
    own = tmp_path / "store"  # the folds are written into it
    shutil.copytree(store, own)
    store = own
    options = ("--rows", *ROWS, "--seeds", 0, 1, "--folds", 2)
    assert table(monkeypatch, store, tmp_path, *options) == 0
    order = [*ROWS, "evaluate"]
    assert [name.split("-")[0] for name in started] == order * 4
    content = json.loads((tmp_path / "table.json").read_text())
    part = content["table"]["3"]
    assert (part["nights"], set(part["rows"])) == (6, set(ROWS))
    assert content["about"]["epochs"]["ecg_base_long"] == 2 and content["about"]["simulated"]
    for row, entry in part["rows"].items():
        for seed in (0, 1):
            folders = tmp_path.glob(f"results/*/seed{seed}/3class/{row}/predictions")
            nights = [night for folder in folders for night in read_predictions(folder)[0]]
            assert len({night.recording for night in nights}) == len(nights) == 6
            labels = np.concatenate([night.labels[night.scored] for night in nights])
            predicted = np.concatenate([night.predictions[night.scored] for night in nights])
            expected = f1_score(labels, predicted, average="weighted")
            assert entry["scores"]["all"]["weighted_f1"]["by_seed"][str(seed)] == pytest.approx(expected, abs=1e-12)
    gain = part["rows"]["ecg_base_long"]["gains"]["ecg_base"]["all"]["pooled"]["weighted_f1"]
    of_row, of_baseline = (part["rows"][row]["scores"]["all"]["weighted_f1"] for row in ("ecg_base_long", "ecg_base"))
    assert gain["value"] == pytest.approx(of_row["mean"] - of_baseline["mean"], abs=1e-12)
    assert gain["low"] < gain["value"] < gain["high"]
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "gain over ecg_base" in text and "R&K: weighted F1" in text
    page = (tmp_path / "table.html").read_text(encoding="utf-8")
    assert "<table>" in page and "http" not in page

    started.clear()
    assert table(monkeypatch, store, tmp_path, *options) == 0
    assert started == []
    (tmp_path / "runs" / "2fold-seed0-1" / "seed1" / "3class" / "ecg_base" / "last.pt").unlink()
    assert table(monkeypatch, store, tmp_path, *options) == 0
    assert started == ["ecg_base-3class-seed1-2fold-seed0-1", "evaluate-3class-seed1-2fold-seed0-1"]


def test_what_fails_is_reported_and_what_does_not_need_it_goes_on(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str], capsys: pytest.CaptureFixture
) -> None:
    broken, child = tmp_path / "broken.yaml", tmp_path / "child.yaml"
    broken.write_text("stage: {name: broken, inputs: {ecg: {}}, start_from: nowhere.pt}\nloss: {ce: {weight: 1}}\n")
    child.write_text("stage: {name: child, inputs: {ecg: {}}, start_from: broken}\nloss: {ce: {weight: 1}}\n")
    options = ("--rows", broken, child, "ecg_base", "--seeds", 0)
    assert table(monkeypatch, store, tmp_path / "out", *options) == 1
    assert started == ["broken-3class-seed0", "ecg_base-3class-seed0", "evaluate-3class-seed0"]
    printed = capsys.readouterr()
    assert "nowhere.pt" in printed.err and "child, 3 classes, seed 0: needs" in printed.err
    content = json.loads((tmp_path / "out" / "table.json").read_text())
    assert list(content["table"]["3"]["rows"]) == ["ecg_base"] and len(content["about"]["failed"]) == 2
    assert "Missing: broken" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_a_run_with_other_settings_is_not_written_over(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert table(monkeypatch, store, tmp_path, "--rows", "ecg_base", "--seeds", 0) == 0
    assert table(monkeypatch, store, tmp_path, "--rows", "ecg_base", "--seeds", 0, "--set", "data.clip=5") == 1
    assert started == ["ecg_base-3class-seed0", "evaluate-3class-seed0"]
    assert "data.clip = 20.0, this one asks for 5.0" in capsys.readouterr().err


def test_a_dry_run_prints_commands_and_hours_and_writes_nothing(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(time_estimate, "time_update", lambda *_: 1.0)
    options = ("--rows", "feat_temp", "--seeds", 0, 1, "--folds", 3, "--nproc", 2, "--dry-run")
    assert table(monkeypatch, store, tmp_path / "out", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [line for line in lines if line.startswith("torchrun --standalone --nproc_per_node=2 train_ddp.py")]
    assert len(commands) == 3 * 2 * 3
    assert "18 runs; about" in lines[-1] and "h of training on 2 processes" in lines[-1]
    assert not (tmp_path / "out").exists() and not list((store / "splits").glob("3fold*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--folds", "1"), "--folds: must be at least 2"),
        (("--folds", "9"), "9 folds of 6 subjects"),
        (("--rows", "feat_tmp"), "feat_tmp: no such config"),
        (("--nproc", "0"), "--nproc: must be at least 1"),
    ],
)
def test_bad_input(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        table(monkeypatch, store, tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_stopped_and_started_again_under_torchrun(store: Path, tmp_path: Path) -> None:
    """SIGTERM in the middle of a run: it saves, the table stops; the same command resumes from there."""
    settings = tiny(store, "unused", train__epochs=6, train__batch_size=20)
    arguments = [
        "--rows", "ecg_base", "--classes", "3", "--seeds", "0", "--nproc", "2",
        "--out", str(tmp_path), "--set", *settings,
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "sleepkd.reproduce", *arguments],
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = tmp_path / "runs" / "single" / "seed0" / "3class" / "ecg_base"
    wait_for_updates(process, folder, 3)
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 143 and "the same command resumes" in printed
    printed = run("sleepkd/reproduce.py", *arguments)
    assert "1/1 ecg_base: resumes" in printed
    assert (tmp_path / "table.md").is_file()
    assert "1/1 ecg_base: kept" in run("sleepkd/reproduce.py", *arguments)
