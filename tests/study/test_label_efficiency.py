"""Label efficiency: which nights are labelled, the order and length of the runs, and the table."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from launch import tiny_night
from runs import other_nights
from sleepkd import label_efficiency, reproduce
from sleepkd.checkpoints.checkpoint import read_checkpoint
from sleepkd.data.data_settings import Source
from sleepkd.data.hypnogram import merge_labels
from sleepkd.data.splits import read_split
from sleepkd.data.store import Night, Store
from sleepkd.errors import UserError
from sleepkd.evaluation.predictions import read_predictions
from sleepkd.evaluation.scores.night_predictions import NightPredictions
from sleepkd.study.label_plan import LabelStudy, jobs_for_store
from sleepkd.study.label_report import against_consensus, by_standard
from sleepkd.study.label_splits import draw_labelled, draw_test_sets, split_names

OVERLAY = "night_*=beats.yaml"


def settings(store: Path) -> list[str]:
    return [
        s for s in tiny_night(store, "unused", train__batch_size=4) if not s.startswith(("train.epochs", "train.val"))
    ]


def study(store: Path, **more: object) -> LabelStudy:
    values = {
        "rows": ("student", "kd", "ensemble", "self"),
        "numbers": (2, 4, 5),
        "seeds": (0,),
        "classes": 3,
        "overlays": (OVERLAY,),
        "settings": tuple(settings(store)),
        "updates": 20,
        "out": Path("out"),
    }
    return LabelStudy(**values | more)


def test_larger_label_sets_contain_smaller_ones(store: Path) -> None:
    tested = draw_test_sets([Source(str(store))], 0, 0)[""]
    drawn = draw_labelled(tested, (0, 2, 4, 5), 3)
    before: set[tuple[str, str]] = set()
    for number, draw in drawn.items():
        validation, rest = draw.nights("validation", labelled=True), draw.nights("train", labelled=False)
        held = {*draw.nights("train", labelled=True), *validation}
        assert len(held) == number and before <= held and len(validation) == (number > 0)
        assert not held & set(rest) and len(held | set(rest)) == 5
        assert draw.nights("test", labelled=True) == drawn[5].nights("test", labelled=True)
        assert not draw.nights("test", labelled=False) and not draw.nights("validation", labelled=False)
        before = held
    others = [draw_labelled(tested, (2,), seed)[2] for seed in range(6)]
    assert len({tuple(sorted(x.nights("train", True) + x.nights("validation", True))) for x in others}) > 1


def test_folds_test_every_subject_of_every_store_once(store: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    shutil.copytree(store, second)
    stores = [Source(str(path)) for path in (store, second)]
    folds = draw_test_sets(stores, 3, 7)
    assert list(folds) == ["fold0of3", "fold1of3", "fold2of3"]
    for path in (str(store), str(second)):
        tested = [name for parts in folds.values() for name in parts[path]["test"]]
        assert sorted(tested) == sorted(Store(path).recordings)
    for parts in folds.values():
        draw = draw_labelled(parts, (3,), 0)[3]
        held = draw.nights("train", labelled=True) + draw.nights("validation", labelled=True)
        everywhere = held + draw.nights("train", labelled=False) + draw.nights("test", labelled=True)
        assert len(held) == 3 and sorted(everywhere) == sorted(
            (path, name) for path in (str(store), str(second)) for name in Store(path).recordings
        )


def test_all_nights_and_too_many(store: Path) -> None:
    assert study(store, numbers=(2, "all")).counts == (2, 5)
    with pytest.raises(UserError, match="--labelled: asks for 6 of 5 nights outside the test set"):
        study(store, numbers=(6,))
    with pytest.raises(SystemExit):
        label_efficiency.main(["--labelled", "few"])


def test_runs_of_folds_in_two_stores(store: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    shutil.copytree(store, second)
    rest = [s for s in settings(store) if not s.startswith(("data.store=", "data.split="))]
    both = (*rest, f"data.nights=[{{store: {store}}}, {{store: {second}}}]")
    jobs = study(store, rows=("student", "sleepecg"), numbers=(2, "all"), settings=both, folds=2).plan()
    assert len(jobs) == 2 * 2 * 2
    taught = next(job for job in jobs if job.row == "sleepecg" and job.group.split == split_names(2, 0, "fold1of2")[0])
    sources = [(Path(s.store).name, s.split, s.labels) for s in taught.config.data.sources]
    labelled, unlabelled = split_names(2, 0, "fold1of2")
    names = (store.name, "second")
    assert sources == [*((n, labelled, True) for n in names), *((n, unlabelled, False) for n in names)]
    everything = [job for job in jobs if "labelled2" not in job.group.split]
    assert len(everything) == 4 and all(len(job.config.data.sources) == 2 for job in everything)


def test_every_run_gets_about_the_same_number_of_updates(store: Path) -> None:
    jobs = {(job.row, job.group.split): job for job in study(store).plan()}
    two, four = split_names(2, 0)[0], split_names(4, 0)[0]
    rows = {name for name, fold in jobs if fold == two}
    assert rows == {"student", "night_eeg", "kd", "night_eeg_b", "night_eeg_c", "ensemble", "self"}
    with_all = [name for name, fold in jobs if fold == split_names(5, 0)[0]]
    assert set(with_all) == rows  # nothing is left unlabelled
    assert [source.labels for source in jobs["kd", split_names(5, 0)[0]].config.data.sources] == [True]
    # One of the two scored nights trains: seven crops of 5 minutes, two updates an epoch. All nights but the one that
    # chooses: four of them, 28 crops.
    for row, fold, per_epoch in (("student", two, 2), ("kd", two, 7), ("student", four, 6), ("kd", four, 7)):
        assert jobs[row, fold].config.train.epochs == round(20 / per_epoch)
    order = list(jobs)
    assert order.index(("night_eeg", two)) < order.index(("kd", two)) < order.index(("ensemble", two))
    assert jobs["night_eeg_b", two].config.train.seed == 100 and jobs["kd", two].config.train.seed == 0
    assert [source.labels for source in jobs["kd", two].config.data.sources] == [True, False]
    assert [source.labels for source in jobs["student", two].config.data.sources] == [True]


def test_without_validation_all_labelled_nights_train(store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(store, tmp_path / "store")  # splits are written into it
    tested = draw_test_sets([Source(str(store))], 0, 0)[""]
    with_validation, without = (draw_labelled(tested, (4,), 3, validates)[4] for validates in (True, False))
    assert not without.nights("validation", labelled=True) and len(without.nights("train", labelled=True)) == 4
    assert with_validation.unlabelled == without.unlabelled
    of_study = study(store, rows=("student", "kd"), numbers=(4,), validates=False)
    jobs = {job.row: job for job in of_study.plan()}
    assert of_study.of_number(list(jobs.values()), 4) == list(jobs.values())
    for row in ("student", "kd", "night_eeg"):
        assert jobs[row].config.train.validate_every == 0
        assert jobs[row].group.split == split_names(4, 0, validates=False)[0] != split_names(4, 0)[0]
    of_study.write_splits()
    assert read_split(Store(store), split_names(4, 0, validates=False)[0]).parts["validation"] == ()


def test_taps_are_modules_of_the_studys_network(store: Path) -> None:
    given = (*settings(store), "model.repeats=1", "model.dilations=[1, 2, 4, 8]")
    jobs = {job.row: job.config for job in study(store, rows=("at", "hint"), numbers=(2,), settings=given).plan()}
    assert jobs["hint"].active_losses["hint"].tap == "context.3"
    assert jobs["at"].active_losses["at"].taps == (("fuse",), ("context.1",), ("context.3",))


def test_without_labels_only_yasa_runs(store: Path) -> None:
    (job,) = study(store, rows=("student", "kd", "yasa"), numbers=(0,)).plan()
    assert job.row == "yasa" and list(job.config.active_losses) == ["kd"]
    assert job.config.train.validate_every == 0


def test_unknown_row(store: Path) -> None:
    with pytest.raises(UserError, match="--rows: magic is not a row of this study; choose from night_eeg"):
        study(store, rows=("magic",))


def test_one_command_makes_the_table(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    started: list[str],
) -> None:
    own, other = tmp_path / "store", tmp_path / "beats"
    shutil.copytree(store, own)
    other_nights(store, other)
    options = ["--rows", "student", "kd", "self", "--labelled", 2, "--seeds", 0, 1]
    options += ["--updates", 4, "--classes", 3, "--draws", 50, "--out", tmp_path / "out", "--test-stores", other]
    options += ["--overlay", OVERLAY, "--set", *settings(own)]
    assert label_efficiency.main([*map(str, options)]) == 0
    assert len(started) == 2 * (4 + 2)
    content = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert set(content["tables"]) == {"store", "beats", "beats, aasm", "beats, rk"}
    for root, where in ((tmp_path / "out", "store"), (tmp_path / "out" / "other_stores" / "beats", "beats")):
        for number in (2,):
            for row in ("student", "kd"):
                by_seed = []
                for seed in (0, 1):
                    folder = root / "results" / split_names(number, seed)[0] / f"seed{seed}" / "3class" / row
                    nights, _ = read_predictions(folder / "predictions")
                    by_seed.append(np.nanmean([kappa(night.confusion) for night in nights]))
                found = content["tables"][where][str(number)][row]["kappa"]
                assert found["mean"] == pytest.approx(np.mean(by_seed), abs=1e-9)
    table = content["tables"]["store"]["2"]
    assert set(table["kd"]["gains"]) == {"student"} and set(table["self"]["gains"]) == {"student", "kd"}
    assert (tmp_path / "out" / "labels.png").is_file() and "labels.md" in capsys.readouterr().out
    started.clear()
    assert reproduce.main(["--study", "labels", *map(str, options)]) == 0 and not started  # all kept; the former call
    lacking = tmp_path / "out" / "results" / split_names(2, 0)[0] / "seed0" / "3class" / "kd" / "metrics.json"
    lacking.unlink()
    assert label_efficiency.main([*map(str, options), "--table-only"]) == 0 and not started
    content = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert content["tables"]["store"]["2"]["kd"]["seeds"] == [1]
    assert content["tables"]["beats"]["2"]["kd"]["seeds"] == [0, 1]
    assert "One in five of the labelled nights validates" in (tmp_path / "out" / "labels.md").read_text()


def test_the_weights_after_the_last_training_epoch_are_tested(store: Path, tmp_path: Path, started: list[str]) -> None:
    own, out = tmp_path / "store", tmp_path / "out"
    shutil.copytree(store, own)
    options = ["--rows", "student", "--labelled", 2, "--seeds", 0, "--updates", 6, "--classes", 3, "--draws", 50]
    options += ["--no-validation", "--out", out, "--overlay", OVERLAY, "--set", *settings(own)]
    assert label_efficiency.main([*map(str, options)]) == 0 and len(started) == 2
    assert "All labelled nights train" in (out / "labels.md").read_text()
    assert json.loads((out / "labels.json").read_text())["tables"]["store"]["2"]["student"]["seeds"] == [0]
    run = out / "runs" / split_names(2, 0, validates=False)[0] / "seed0" / "3class" / "student"
    assert not (run / "best.pt").exists()  # evaluate.py reads last.pt then
    assert read_checkpoint(run / "last.pt").position.epoch == 2


def kappa(confusion: np.ndarray) -> float:
    total = confusion.sum()
    by_chance = (confusion.sum(0) * confusion.sum(1)).sum() / total**2
    agreed = np.trace(confusion) / total
    return (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else np.nan


def test_jobs_for_another_store(store: Path, tmp_path: Path) -> None:
    jobs = study(store, numbers=(2,)).plan()
    assert jobs_for_store(jobs, "") == jobs
    bare = tmp_path / "bare"
    shutil.copytree(store, bare)
    for path in bare.glob("recordings/*/recording.json"):
        facts = json.loads(path.read_text())
        facts["signals"] = {}
        path.write_text(json.dumps(facts))
    assert {job.row for job in jobs_for_store(jobs, str(bare))} == {"student", "kd", "ensemble", "self"}


def test_the_splits_are_written_once(store: Path, tmp_path: Path) -> None:
    own = tmp_path / "store"
    shutil.copytree(store, own)
    study(own, numbers=(2,)).write_splits()
    path = own / "splits" / split_names(2, 0)[0] / "train.txt"
    path.write_text("# mine\n" + path.read_text())
    study(own, numbers=(2,)).write_splits()
    assert path.read_text().startswith("# mine")


def test_consensus_of_scorers(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Store(store)
    name = opened.recordings[0]
    hypnogram = opened.open(name).hypnogram
    kept = slice(3, 40)  # the network left out the rest
    said = NightPredictions(
        name, "one", "", "aasm", hypnogram.onset_s[kept], hypnogram.duration_s[kept],
        merge_labels(hypnogram.labels[kept], 3), np.full((37, 3), 1 / 3),
    )  # fmt: skip
    results = {("W", "NREM", "REM"): {"kd": {0: [said]}}}
    assert against_consensus(results, [opened]) == {} and by_standard({2: results}) == {}
    rem = np.full(len(hypnogram), 4, dtype=np.int8)  # two others saw REM all night, but for what one of them left out
    left_out = rem.copy()
    left_out[10] = -1
    monkeypatch.setattr(Night, "other_scorings", lambda _: np.stack([rem, left_out]))
    (night,) = against_consensus(results, [opened])["W", "NREM", "REM"]["kd"][0]
    expected = np.full(37, 2)
    expected[7] = said.labels[7]  # one against one: the first scorer's word
    np.testing.assert_array_equal(night.labels, expected)
    assert night.labels[7] != 2 and np.array_equal(night.probabilities, said.probabilities)
