"""evaluate.py: its scores against scikit-learn's, several processes, comparisons, calibration, bad input."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

import evaluate
from launch import run, tiny
from runs import train
from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.splits import read_split
from sleepkd.data.store import Store, StoreSettings
from sleepkd.distributed import Processes
from sleepkd.errors import UserError
from sleepkd.evaluation import predictions
from sleepkd.evaluation.held_out import evaluation_segments
from sleepkd.evaluation.inference import EvaluatedNetwork, predict_nights
from sleepkd.evaluation.teacher_student.bottleneck import bottleneck_features
from tests.data.stored import hypnogram, made_store


@pytest.fixture(scope="module")
def checkpoints(store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An EEG and an ECG network, the second with segments of five sleep epochs."""
    root = tmp_path_factory.mktemp("runs")
    paths = []
    for stage, sleep_epochs in (("eeg_base", 1), ("ecg_base", 5)):
        folder, _ = train(stage, tiny(store, root, data__sleep_epochs=sleep_epochs, train__batch_size=100))
        paths.append(folder / "best.pt")
    return paths


@pytest.fixture(scope="module")
def two_seeds(checkpoints: list[Path], store: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """A baseline and a distilled student, each trained with seeds 0 and 1, and a student of four classes."""
    root, teacher = tmp_path_factory.mktemp("seeds"), checkpoints[0]
    paths: dict[str, list[Path]] = {"ecg_base": [], "kd_temp": [], "four": []}
    for seed in (0, 1):
        for stage in ("ecg_base", "kd_temp"):
            more = {"train__seed": seed, "stage__teacher": teacher if stage == "kd_temp" else "''"}
            folder, _ = train(stage, tiny(store, root / str(seed), **more))
            paths[stage].append(folder / "best.pt")
    folder, _ = train("ecg_base", tiny(store, root, data__classes=4))
    paths["four"].append(folder / "best.pt")
    return paths


ALL_NIGHTS = ("--split", "all", "--allow-training-nights")
"""These checkpoints were trained on most nights of the tests' cohort; six nights are needed for the statistics."""


def read_predictions(folder: Path) -> dict[str, list[dict[str, str]]]:
    return {
        path.stem: list(csv.DictReader(path.open(encoding="utf-8")))
        for path in (folder / "predictions").glob("*.csv")
        if path.stem != "recordings"
    }


@pytest.fixture(scope="module")
def results(checkpoints: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results")
    printed = run("evaluate.py", "--checkpoint", *checkpoints, *ALL_NIGHTS, "--out", out)
    assert printed.count("weighted F1") == printed.count("by night: kappa") == 2
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


def test_one_confusion_matrix_on_any_number_of_processes(checkpoints: list[Path], tmp_path: Path) -> None:
    """Evaluating and validating: seven segments do not divide by two or three; of two, the third process gets none."""
    rng = np.random.default_rng(0)
    for segments in (7, 2):
        signal = rng.integers(-3000, 3000, segments * 30 * 64).astype(np.int16)
        labels = [0, 1, 4, 2, -1, 3, 4][:segments]
        night = hypnogram(30.0 * np.arange(segments), labels=labels)
        made_store(tmp_path / str(segments), {"night": night}, {"eeg": signal, "ecg": signal}, 64.0, iqr=3000.0)
    stores, results = [tmp_path / "7", tmp_path / "2"], []
    for processes in (1, 2, 3):
        out = tmp_path / f"{processes}.json"
        run("tests/all_evaluations.py", checkpoints[0], out, *stores, processes=processes)
        results.append(json.loads(out.read_text()))
    assert results[0] == results[1] == results[2]
    for segments, scored in ((7, 6), (2, 2)):
        found = results[0][str(segments)]
        assert found["segments"] == segments and found["evaluated"] == found["validated"]
        assert np.sum(found["evaluated"]) == scored


def test_two_cohorts_are_scored_together_and_apart(
    checkpoints: list[Path], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    signal = rng.integers(-3000, 3000, 20 * 30 * 64).astype(np.int16)
    night = hypnogram(30.0 * np.arange(20), labels=np.arange(20) % 5)
    signals = {"eeg": signal, "ecg": signal}
    made_store(tmp_path / "other", {"a": night, "b": night}, signals, 64.0, iqr=3000.0)
    common = ["--checkpoint", checkpoints[0], *ALL_NIGHTS, "--draws", 100, "--only-scores", "--out", tmp_path]
    assert main(monkeypatch, *common, "--store", store, tmp_path / "other") == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    groups = metrics["groups"]["cohort"]
    assert {name: group["recordings"] for name, group in groups.items()} == {"made up": 2, "mass": 6}
    assert metrics["overall"]["n"] == sum(entry["n"] for entry in metrics["by_recording"].values())
    assert {night.cohort for night in predictions.read_predictions(tmp_path / "predictions")[0]} == {"made up", "mass"}

    made_store(tmp_path / "again", {"b": night}, signals, 64.0, iqr=3000.0)
    with pytest.raises(UserError, match=r"again.*/b: cohort made up has a recording of this name in .*other.*/b too"):
        main(monkeypatch, *common, "--store", tmp_path / "other", tmp_path / "again")
    made_store(tmp_path / "slow", {"c": night}, signals, 32.0)
    with pytest.raises(UserError, match="c: eeg is read at 32 Hz, the network was made for 64 Hz"):
        main(monkeypatch, *common, "--store", tmp_path / "other", tmp_path / "slow")


def test_nights_of_one_name_in_two_cohorts_are_two_nights(
    checkpoints: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    night = hypnogram(30.0 * np.arange(20), labels=np.arange(20) % 5)
    for cohort, names in (("one", "ab"), ("two", "bc")):
        signal = rng.integers(-3000, 3000, 20 * 30 * 64).astype(np.int16)
        nights, settings = dict.fromkeys(names, night), StoreSettings(cohort, 64.0)
        made_store(tmp_path / cohort, nights, {"eeg": signal}, 64.0, settings, iqr=3000.0)
    out = tmp_path / "out"
    arguments = ["--checkpoint", checkpoints[0], "--split", "all", "--draws", 100, "--out", out]
    assert main(monkeypatch, *arguments, "--store", tmp_path / "one", tmp_path / "two") == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert list(metrics["by_recording"]) == ["a", "one/b", "two/b", "c"]
    read, _ = predictions.read_predictions(out / "predictions")
    of_name = {night.recording: night for night in read}
    assert set(of_name) == set(metrics["by_recording"])
    assert [of_name[name].cohort for name in metrics["by_recording"]] == ["one", "one", "two", "two"]
    assert not np.array_equal(of_name["one/b"].probabilities, of_name["two/b"].probabilities)
    assert len(list((out / "hypnograms").rglob("*.png"))) == 4


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
    run("evaluate.py", "--checkpoint", checkpoints[1], *ALL_NIGHTS, "--only-scores", "--out", tmp_path, processes=2)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (results / "ecg_base", tmp_path)]
    # Probabilities may differ in the last bits, with the batches that segments are predicted in; counts may not.
    nll = [of.pop("calibration")["nll"] for of in metrics]
    assert metrics[0] == metrics[1]
    assert nll[0] == pytest.approx(nll[1], abs=1e-5)
    one, two = read_predictions(results / "ecg_base"), read_predictions(tmp_path)
    assert one.keys() == two.keys()
    for name, rows in one.items():
        assert [row["label"] for row in rows] == [row["label"] for row in two[name]]
        for a, b in zip(rows, two[name], strict=True):
            assert float(a["p_W"]) == pytest.approx(float(b["p_W"]), abs=1e-5)


def test_the_parts_of_the_split_are_kept_apart(checkpoints: list[Path], store: Path, tmp_path: Path) -> None:
    trained = load_trained(checkpoints[0])
    split = read_split(Store(store), "default")
    for part in ("train", "validation", "test"):
        nights = predict_nights(trained, evaluation_segments(trained, None, part), Processes("cpu"), 64)
        assert [night.recording for night in nights] == list(split.parts[part])


def main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["evaluate.py", *map(str, arguments)])
    return evaluate.main()


def test_a_report_and_everything_in_it(results: Path) -> None:
    metrics = json.loads((results / "ecg_base" / "metrics.json").read_text())
    assert {"intervals", "groups", "calibration", "sleep_medicine"} < set(metrics)
    assert {"standard", "subset", "sex"} <= set(metrics["groups"])  # participants.tsv came with the store
    text = (results / "report.html").read_text(encoding="utf-8")
    for needed in ("kappa", "python evaluate.py --checkpoint", "train.batch_size", "torch"):
        assert needed in text


def test_several_seeds_are_compared_pairwise(
    two_seeds: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    a, b = two_seeds["ecg_base"], two_seeds["kd_temp"]
    arguments = ["--compare", *a, "--with", *b[::-1], *ALL_NIGHTS, "--draws", 200, "--only-scores", "--out", tmp_path]
    assert main(monkeypatch, *arguments) == 0
    assert "kd_temp (training nights) minus ecg_base (training nights): kappa" in capsys.readouterr().out
    comparison = json.loads((tmp_path / "comparison.json").read_text())
    assert (comparison["seeds"], comparison["recordings"]) == (["0", "1"], 6)
    gains = []
    for seed in (0, 1):
        of_sides = [
            json.loads((tmp_path / f"{stage}-seed-{seed}" / "metrics.json").read_text())["by_recording"]
            for stage in ("ecg_base", "kd_temp")
        ]
        gains.append(np.mean([of_sides[1][name]["kappa"] - night["kappa"] for name, night in of_sides[0].items()]))
        assert comparison["by_seed"][str(seed)]["kappa"] == pytest.approx(gains[-1], abs=1e-12)
    assert comparison["difference"]["mean"]["kappa"]["value"] == pytest.approx(np.mean(gains), abs=1e-12)


def test_a_student_is_evaluated_beside_its_teacher_and_its_baseline(
    two_seeds: dict[str, list[Path]], checkpoints: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are found from the student's checkpoint: its config names the teacher, the baseline is in its runs_root."""
    student = two_seeds["kd_temp"][0]
    assert main(monkeypatch, "--checkpoint", student, *ALL_NIGHTS, "--draws", 100, "--out", tmp_path) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())["distillation"]
    assert (found["teacher"], found["baseline"]) == (str(checkpoints[0]), str(two_seeds["ecg_base"][0]))
    assert found["agreement"]["n"] == sum(map(sum, found["contested"].values()))
    pictures = {path.stem for path in (tmp_path / "distillation").glob("*.png")}
    assert {"confidence", "attention", "projection"} <= pictures
    assert "beside its teacher" in (tmp_path / "report.html").read_text(encoding="utf-8")

    out = tmp_path / "short"
    assert main(monkeypatch, "--checkpoint", student, "--draws", 100, "--only-scores", "--out", out) == 0
    assert {path.name for path in out.iterdir()} == {"metrics.json", "predictions"}
    assert "distillation" not in json.loads((out / "metrics.json").read_text())


def test_bottleneck_features_are_of_the_sleep_epochs_asked_for(
    checkpoints: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classifier in the place of the bottleneck, and segments of five sleep epochs: its logits, taken by the hook,
    give the predicted probabilities."""
    trained = load_trained(checkpoints[1])
    monkeypatch.setattr(trained.network, "bottleneck", "segment_classifier")
    segments = evaluation_segments(trained, None, "all")
    nights = predict_nights(trained, segments, Processes("cpu"), 64)
    chosen = [(night.recording, i) for night in nights[::-1] for i in (7, 0, len(night) - 1)]
    model = EvaluatedNetwork(trained, segments, nights)
    signals, logits = bottleneck_features(model, chosen * 5, lambda feature: feature.squeeze(-1))
    of_night = {night.recording: night for night in nights}
    expected = [of_night[recording].probabilities[i] for recording, i in chosen * 5]
    np.testing.assert_allclose(softmax(logits, axis=1), expected, atol=1e-5)
    assert signals.shape == (len(expected), 30 * 64)
    assert not trained.network.segment_classifier._forward_hooks


def test_a_temperature_is_fitted_stored_and_applied_on_request(
    checkpoints: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "run" / "best.pt"
    checkpoint.parent.mkdir()
    shutil.copy(checkpoints[0], checkpoint)
    common = ["--checkpoint", checkpoint, "--only-scores", "--draws", 100, "--out"]
    assert main(monkeypatch, *common, tmp_path / "a", "--calibrate") == 0
    temperature = json.loads((tmp_path / "run" / "temperature.json").read_text())["temperature"]
    assert main(monkeypatch, *common, tmp_path / "b", "--temperature") == 0
    a, b = (json.loads((tmp_path / out / "metrics.json").read_text()) for out in "ab")
    assert (a["temperature"], b["temperature"]) == (1.0, temperature)
    assert a["overall"] == b["overall"]
    nights_a, nights_b = (read_predictions(tmp_path / out) for out in "ab")
    for name, rows_a in nights_a.items():
        for row_a, row_b in zip(rows_a, nights_b[name], strict=True):
            before, after = (np.array([float(row[f"p_{k}"]) for k in ("W", "NREM", "REM")]) for row in (row_a, row_b))
            expected = before ** (1 / temperature) / (before ** (1 / temperature)).sum()
            np.testing.assert_allclose(after, expected, atol=1e-6)


def test_bad_input_is_one_line_that_names_it(
    checkpoints: list[Path],
    two_seeds: dict[str, list[Path]],
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other_rate = tmp_path / "other_rate"
    shutil.copytree(store, other_rate)
    settings = json.loads((other_rate / "store.json").read_text())
    (other_rate / "store.json").write_text(json.dumps(settings | {"rate_hz": 200.0}))
    no_test = tmp_path / "no_test"
    shutil.copytree(store, no_test)
    (no_test / "splits" / "default" / "test.txt").write_text("")
    eeg = checkpoints[0]
    (a0, a1), (b0, b1), (four,) = (two_seeds[name] for name in ("ecg_base", "kd_temp", "four"))
    cases = [
        (["--checkpoint", tmp_path / "gone.pt"], "gone.pt: no such checkpoint"),
        (["--checkpoint", eeg, "--store", tmp_path / "nowhere"], "nowhere: no such store"),
        (
            ["--checkpoint", eeg, "--store", other_rate],
            "eeg is read at 200 Hz, the network was made for 64 Hz; prepare",
        ),
        (["--checkpoint", eeg, "--store", no_test], "test.txt: lists no recording"),
        (["--checkpoint", eeg, eeg], "several of stage eeg_base"),
        (["--checkpoint", eeg, "--batch-size", 0], "--batch-size: must be at least 1"),
        (["--checkpoint", eeg, "--draws", 0], "--draws: must be at least 1"),
        (["--checkpoint", eeg, "--seed", -1], "--seed: must be at least 0"),
        (
            ["--checkpoint", eeg, "--temperature"],
            "temperature.json: no stored temperature; fit one with evaluate.py --calibrate",
        ),
        (["--checkpoint", eeg, "--participants", tmp_path / "gone.tsv"], "gone.tsv: no such file of participants"),
        (["--checkpoint", b0, "--teacher", tmp_path / "gone.pt"], "gone.pt: no such checkpoint"),
        (["--checkpoint", b0, "--baseline", four], "was trained for 4 classes"),
        (["--checkpoint", eeg, "--with", a0], "--with: goes with --compare"),
        (["--compare", eeg], "--compare: give A.pt B.pt, or several seeds"),
        (["--compare", a0, a1, b0], "--compare: give A.pt B.pt, or several seeds"),
        (["--compare", a0, b0, "--with", a1], "--compare: ecg_base, kd_temp are several stages"),
        (["--compare", a0, a0, "--with", b0, b1], "--compare: several checkpoints have train.seed 0"),
        (["--compare", a1, "--with", b0, b0], "--with: several checkpoints have train.seed 0"),
        (["--compare", a0, four], "was trained for 4 classes"),
    ]
    for arguments, message in cases:
        with pytest.raises(UserError, match=message):
            main(monkeypatch, *arguments, "--out", tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_mistake_leaves_with_exit_code_2_and_one_line(tmp_path: Path) -> None:
    output = run("evaluate.py", "--checkpoint", "gone.pt", "--out", tmp_path / "out", code=2)
    assert output == "error: gone.pt: no such checkpoint\n"
