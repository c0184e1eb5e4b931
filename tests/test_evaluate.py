"""evaluate.py: scores from its own files by scikit-learn, the same on two processes, bad input."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from launch import run, tiny
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

import evaluate
import train_ddp
from sleepkd.config import load_config
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store
from sleepkd.distributed import Processes
from sleepkd.errors import UserError


@pytest.fixture(scope="module")
def checkpoints(store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An EEG and an ECG network, the second with windows of five sleep epochs."""
    root = tmp_path_factory.mktemp("runs")
    paths = []
    for stage, window in (("eeg_base", 1), ("ecg_base", 5)):
        config = load_config([stage], tiny(store, root, data__window=window, train__batch_size=100))
        train_ddp.train(config, Processes("cpu"))
        paths.append(config.run_directory / "best.pt")
    return paths


def read_predictions(folder: Path) -> dict[str, list[dict[str, str]]]:
    return {
        path.stem: list(csv.DictReader(path.open(encoding="utf-8")))
        for path in (folder / "predictions").glob("*.csv")
        if path.stem != "recordings"
    }


@pytest.fixture(scope="module")
def results(checkpoints: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    printed = run("evaluate.py", "--checkpoint", *checkpoints, "--split", "all", "--out", out)
    assert printed.count("kappa") == 2
    return out


@pytest.mark.parametrize("stage", ["eeg_base", "ecg_base"])
def test_scores_are_scikit_learns_of_the_written_predictions(results: Path, stage: str) -> None:
    metrics = json.loads((results / stage / "metrics.json").read_text())
    nights = read_predictions(results / stage)
    assert metrics["classes"] == ["W", "NREM", "REM"]
    assert set(metrics["by_recording"]) == set(nights)
    groups = {("overall",): nights, **{("by_recording", name): {name: rows} for name, rows in nights.items()}}
    for standard in ("aasm", "rk"):
        groups["by_standard", standard] = {
            name: rows for name, rows in nights.items() if metrics["by_recording"][name]["standard"] == standard
        }
    for path, members in groups.items():
        scored = [row for rows in members.values() for row in rows if row["label"] != "unscored"]
        truth, predicted = [row["label"] for row in scored], [row["prediction"] for row in scored]
        got = metrics
        for key in path:
            got = got[key]
        assert got["n"] == len(scored) > 0
        assert got["accuracy"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
        assert got["kappa"] == pytest.approx(cohen_kappa_score(truth, predicted), abs=1e-12)
        assert got["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"), abs=1e-12)
        assert got["weighted_f1"] == pytest.approx(f1_score(truth, predicted, average="weighted"), abs=1e-12)
        assert got["confusion"] == confusion_matrix(truth, predicted, labels=metrics["classes"]).tolist()
        if set(predicted) <= set(truth):
            expected = balanced_accuracy_score(truth, predicted)
            assert got["balanced_accuracy"] == pytest.approx(expected, abs=1e-12)


def test_every_usable_sleep_epoch_is_predicted_once(results: Path, store: Path) -> None:
    for stage in ("eeg_base", "ecg_base"):
        for name, rows in read_predictions(results / stage).items():
            night = Store(store).open(name)
            onsets = [float(row["onset_s"]) for row in rows]
            assert len(set(onsets)) == len(onsets)
            dropped = len(night.hypnogram) - len(onsets)
            assert (2 if night.info.standard == "rk" else 0) <= dropped <= 3
            assert sum(float(rows[0][f"p_{sleep_stage}"]) for sleep_stage in ("W", "NREM", "REM")) == pytest.approx(
                1, abs=1e-5
            )


def test_every_night_has_its_figures(results: Path, store: Path) -> None:
    for stage in ("eeg_base", "ecg_base"):
        pictures = {path.stem for path in (results / stage / "hypnograms").glob("*.png")}
        assert pictures == set(Store(store).recordings)
        assert (results / stage / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_two_processes_give_the_same_files(results: Path, checkpoints: list[Path], tmp_path: Path) -> None:
    run("evaluate.py", "--checkpoint", checkpoints[1], "--split", "all", "--out", tmp_path, processes=2)
    assert (tmp_path / "metrics.json").read_text() == (results / "ecg_base" / "metrics.json").read_text()
    one, two = read_predictions(results / "ecg_base"), read_predictions(tmp_path)
    assert one.keys() == two.keys()
    for name, rows in one.items():
        assert [row["label"] for row in rows] == [row["label"] for row in two[name]]
        for a, b in zip(rows, two[name], strict=True):
            assert float(a["p_W"]) == pytest.approx(float(b["p_W"]), abs=1e-5)


def test_the_parts_of_the_split_are_kept_apart(checkpoints: list[Path], store: Path, tmp_path: Path) -> None:
    trained = evaluate.load_trained(checkpoints[0])
    split = read_split(Store(store), "default")
    for part in ("train", "validation", "test"):
        nights = evaluate.evaluate(trained, None, part, Processes("cpu"), batch_size=64)
        assert [night.recording for night in nights] == list(split.part(part))


def main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["evaluate.py", *map(str, arguments)])
    return evaluate.main()


def test_bad_input_is_one_line_that_names_it(
    checkpoints: list[Path], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_rate = tmp_path / "other_rate"
    shutil.copytree(store, other_rate)
    settings = json.loads((other_rate / "store.json").read_text())
    (other_rate / "store.json").write_text(json.dumps(settings | {"rate_hz": 200.0}))
    no_test = tmp_path / "no_test"
    shutil.copytree(store, no_test)
    (no_test / "splits" / "default" / "test.txt").write_text("")
    eeg = checkpoints[0]
    cases = [
        (["--checkpoint", tmp_path / "gone.pt"], "gone.pt: no such checkpoint"),
        (["--checkpoint", eeg, "--store", tmp_path / "nowhere"], "nowhere: no such store"),
        (["--checkpoint", eeg, "--store", other_rate], "was trained on signals at 64 Hz, the store holds 200 Hz"),
        (["--checkpoint", eeg, "--store", no_test], "test.txt: lists no recording"),
        (["--checkpoint", eeg, eeg], "several of stage eeg_base"),
        (["--checkpoint", eeg, "--batch-size", 0], "--batch-size: must be at least 1"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message):
            main(monkeypatch, *arguments, "--out", tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_mistake_leaves_with_exit_code_2_and_one_line(tmp_path: Path) -> None:
    output = run("evaluate.py", "--checkpoint", "gone.pt", "--out", tmp_path / "out", code=2)
    assert output == "error: gone.pt: no such checkpoint\n"
