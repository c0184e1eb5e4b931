"""reproduce --study sensors: its runs, its table against scores computed apart, its figure."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from launch import tiny_night
from sleepkd import reproduce
from sleepkd.data.recording_info import from_json, to_json
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from sleepkd.evaluation.predictions import read_predictions
from sleepkd.study.jobs import RunGroup
from sleepkd.study.paper_plan import plan_paper
from sleepkd.study.sensor_plan import held_kinds, sensor_rows, students_of
from tests.data.stored import signal_info

HELD = ("eeg", "ecg", "eog", "emg", "beats", "motion", "ppg", "thorax")
RATES = {"motion": 0.2, "thorax": 10.0}


@pytest.fixture(scope="module")
def with_sensors(store, tmp_path_factory):
    """A copy of the store whose nights hold movement and a belt, of random numbers."""
    path = tmp_path_factory.mktemp("sensors") / "store"
    shutil.copytree(store, path, ignore=shutil.ignore_patterns("index*"))
    rng = np.random.default_rng(3)
    for recording in Store(path).recordings:
        folder = path / "recordings" / recording
        info = from_json(json.loads((folder / "recording.json").read_text()))
        added = {}
        for name, rate_hz in RATES.items():
            samples = rng.integers(1, 50, round(info.seconds * rate_hz)).astype(np.int16)
            np.save(folder / f"{name}.npy", samples)
            added[name] = signal_info(samples, rate_hz, mean=25.0)
        (folder / "recording.json").write_text(to_json(replace(info, signals=info.signals | added)))
    return path


def test_each_sensor_has_a_student_with_and_without_the_teacher():
    students = students_of(HELD)
    assert students == {
        "beats": ("beats",),
        "motion": ("motion",),
        "ppg": ("ppg",),
        "thorax": ("thorax",),
        "all": ("beats", "motion", "ppg", "thorax"),
    }
    rows = sensor_rows(students, HELD)
    jobs = {job.row: job.config for job in plan_paper(rows, [RunGroup(4, 0, None)], ["beats_2hz"], [], Path("out"))}
    assert set(jobs["night_psg"].stage.inputs) == {"eeg", "eog", "emg"}
    for name, inputs in students.items():
        alone, taught = jobs[name], jobs[f"{name}-taught"]
        assert set(alone.stage.inputs) == set(taught.stage.inputs) == set(inputs)
        assert taught.stage.teacher == "night_psg" and not alone.stage.teacher
        assert alone.data.augment.drop_input == taught.data.augment.drop_input == (0.3 if len(inputs) > 1 else 0)
        assert alone.train.epochs == taught.train.epochs


def test_students_by_name_and_what_is_refused(store):
    assert students_of(HELD, ["beats+motion", "all"])["beats+motion"] == ("beats", "motion")
    with pytest.raises(UserError, match=r"--sensors: spo2 is not held by every recording; they hold eeg, ecg, eog"):
        students_of(HELD, ["beats+spo2"])
    with pytest.raises(UserError, match="holds no sensor besides EEG, EOG, EMG and ECG"):
        students_of(("eeg", "ecg"))
    with pytest.raises(UserError, match="holds no EEG in every recording"):
        sensor_rows({"beats": ("beats",)}, ("beats",))
    with pytest.raises(UserError, match="--study: is sensors or table, not sensor"):
        reproduce.main(["--study", "sensor"])
    assert held_kinds(Store(store), Store(store).recordings) == ("eeg", "ecg", "beats")


def test_the_table_of_a_small_store(with_sensors, tmp_path, started):
    settings = tiny_night(with_sensors, "unused", train__batch_size=4)
    options = ["--out", tmp_path, "--draws", 50, "--classes", 3, "--seeds", 0, 1, "--sensors", "beats", "motion", "all"]
    command = [*map(str, ["--study", "sensors", *options, "--set"]), *settings]
    assert reproduce.main(command) == 0
    assert len([name for name in started if not name.startswith("evaluate")]) == 2 * 7
    table = json.loads((tmp_path / "sensors.json").read_text())["table"]
    assert (table["seeds"], table["nights"], list(table["students"])) == ([0, 1], 1, ["beats", "motion", "all"])

    def kappa(row):
        found = []
        for seed in (0, 1):
            (folder,) = tmp_path.glob(f"results/*/seed{seed}/3class/{row}/predictions")
            (night,), _ = read_predictions(folder)
            labels = (night.labels[night.scored], night.predictions[night.scored])
            found.append(cohen_kappa_score(*labels, labels=[0, 1, 2]))
        return float(np.mean(found))

    assert table["teacher"]["value"] == pytest.approx(kappa("night_psg"))
    for name, entry in table["students"].items():
        assert entry["alone"]["value"] == pytest.approx(kappa(name))
        assert entry["taught"]["value"] == pytest.approx(kappa(f"{name}-taught"))
        assert entry["gain"]["value"] == pytest.approx(kappa(f"{name}-taught") - kappa(name))
    assert table["students"]["beats"]["over_heartbeats"] == {"alone": None, "taught": None}
    over = table["students"]["all"]["over_heartbeats"]["taught"]["value"]
    assert over == pytest.approx(kappa("all-taught") - kappa("beats-taught"))
    text = (tmp_path / "sensors.md").read_text()
    assert "| sensor | alone | taught | taught over alone |" in text and "| over heartbeats |" in text
    assert (tmp_path / "sensors.png").stat().st_size > 5000
    started.clear()
    assert reproduce.main(command) == 0 and not started  # all runs are kept
