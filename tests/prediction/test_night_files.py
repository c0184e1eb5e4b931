"""sleepkd predict of several files of one night: heartbeats, movement, and the belts of an EDF, aligned by clocks."""

import csv
import datetime as dt
import json
from pathlib import Path

import edfio
import numpy as np
import pytest

import train_ddp
from launch import tiny_night
from sleepkd import predict, prepare
from sleepkd.checkpoints.trained import load_trained
from sleepkd.data.recording_info import MISSING
from sleepkd.distributed import Processes
from sleepkd.prediction.chosen_nights import chosen_nights
from sleepkd.prediction.memory.signals_in_memory import SignalsInMemory
from sleepkd.prediction.recorded import ReadingOptions, derivations_of, opened
from sleepkd.settings import load_config

MINUTES = 40
CHANNELS = {
    "eeg": "EEG C4-A1", "eog": "EOG Left", "emg": "EMG Chin", "ecg": "ECG II", "thorax": "THO", "abdomen": "ABD",
    "airflow": "Flow", "motion": "Activity",
}  # fmt: skip


def heart_rate(path, first_s=0.0, minutes=MINUTES):
    times = first_s + np.arange(0, 60 * minutes, 5.0)
    path.write_text("\n".join(["time,hr", *(f"{t:.0f},{60 + 5 * np.sin(t / 90):.1f}" for t in times)]) + "\n")
    return path


def movement(path, first_s=0.0, minutes=MINUTES, at=7):
    """Counts of 1 every 30 s, and of 50 in the interval `at`."""
    counts = [f"{first_s + 30 * k:.0f},{50 if k == at else 1 + k % 2}" for k in range(2 * minutes)]
    path.write_text("\n".join(["time,count", *counts]) + "\n")
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network of heart rate and movement, trained for a few updates."""
    root = tmp_path_factory.mktemp("watch")
    for folder in ("heart_rate", "labels", "activity"):
        (root / "raw" / folder).mkdir(parents=True)
    for k in range(4):
        rates = (f"{t},{60 + 5 * np.sin(t / (60 + 9 * k)):.1f}" for t in range(0, 60 * MINUTES, 5))
        (root / f"raw/heart_rate/{k}_heartrate.txt").write_text("\n".join(rates))
        labels = (f"{30 * e} {(e // 8 + k) % 4}" for e in range(2 * MINUTES))
        (root / f"raw/labels/{k}_labeled_sleep.txt").write_text("\n".join(labels))
        counts = (f"{30 * e},{(e * (k + 1)) % 7}" for e in range(2 * MINUTES))
        (root / f"raw/activity/{k}_activity.csv").write_text("\n".join(["onset_s,count", *counts]))
    arguments = ["--dataset", "sleep_accel", "--raw", root / "raw", "--out", root / "store", "--signals", "motion"]
    assert prepare.main([str(x) for x in [*arguments, "--split", 0.5, 0.25, 0.25]]) == 0
    settings = {"stage__inputs__motion": "{}", "data__augment__drop_input": 0.3, "train__validate_every": 0}
    config = load_config(["night_ecg", "beats_2hz"], tiny_night(root / "store", root / "runs", **settings))
    assert train_ddp.train(config, Processes("cpu")) == 0
    return config.run_directory / "last.pt"


def staged(capsys, out, *arguments):
    """What `predict` wrote: rows of hypnogram.csv, summary.json, and its messages."""
    assert predict.main([str(x) for x in [*arguments, "--out", out]]) == 0
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    with (folder / "hypnogram.csv").open() as file:
        rows = list(csv.DictReader(file))
    return rows, json.loads((folder / "summary.json").read_text()), capsys.readouterr().err


def refused(capsys, out, *arguments):
    assert predict.main([str(x) for x in [*arguments, "--out", out]]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    return line


def test_movement_beside_heartbeats_is_read_and_its_quality_written(tmp_path, capsys, checkpoint):
    rr, acc = heart_rate(tmp_path / "rr.csv"), movement(tmp_path / "acc.csv", minutes=20)
    given = ("--beats", rr, "--motion", acc, "--checkpoint", checkpoint)
    rows, summary, text = staged(capsys, tmp_path / "both", *given)
    assert summary["input"] == "heart rate averaged every 5 s and movement"
    assert "acc.csv: movement covers 50% of rr.csv" in text
    measured = [float(row["quality_motion"]) for row in rows]
    assert measured == [1.0] * 40 + [0.0] * (len(rows) - 40)
    assert summary["sensor_quality"] == {"motion": pytest.approx(40 / len(rows), abs=1e-3)}
    alone, _, _ = staged(capsys, tmp_path / "alone", rr, "--checkpoint", checkpoint)
    assert "quality_motion" not in alone[0]
    assert [row["p_W"] for row in alone] != [row["p_W"] for row in rows]


@pytest.mark.parametrize(("beats_at", "counts_at"), [(0, 0), (-600, 0), (1000, 400), (1.7e9, 1.7e9 + 300)])
def test_files_are_aligned_by_their_clocks(tmp_path, checkpoint, beats_at, counts_at):
    rr = heart_rate(tmp_path / "rr.csv", beats_at)
    acc = movement(tmp_path / "acc.csv", counts_at, minutes=60, at=50)
    inputs = load_trained(checkpoint).inputs
    (chosen,) = chosen_nights(rr, inputs, ReadingOptions(beside=(acc,)))
    night = opened(chosen.recording, inputs).night
    info, stored = night.info.signals["motion"], np.array(night.signal("motion"), dtype=float)
    counts = np.where(stored == MISSING, np.nan, stored * info.scale + info.offset)
    first = int(np.nanargmax(counts))
    assert first * 5 == pytest.approx(counts_at + 50 * 30 - beats_at, abs=2.5)  # every 5 s
    assert (counts[first : first + 6] > 49).all() and counts[first + 6] < 3


@pytest.mark.parametrize(
    ("beats_at", "counts_at", "reason"),
    [
        (
            0,
            4000,
            "movement from 1.11 to 1.78 h does not overlap with rr.csv, from 0.00 to 0.67 h; are they of the same",
        ),
        (1.7e9, 1.7e9 + 86400, "movement from 2023-11-15 22:13 to 2023-11-15 22:53 does not overlap with rr.csv"),
        (0, 1.7e9, "cannot be aligned with rr.csv: acc.csv has dates and times, rr.csv not"),
        (1.7e9, 0, "cannot be aligned with rr.csv: rr.csv has dates and times, acc.csv not"),
    ],
)
def test_files_of_other_nights_are_refused_in_a_line(tmp_path, capsys, checkpoint, beats_at, counts_at, reason):
    rr, acc = heart_rate(tmp_path / "rr.csv", beats_at), movement(tmp_path / "acc.csv", counts_at)
    line = refused(capsys, tmp_path / "out", rr, "--motion", acc, "--checkpoint", checkpoint)
    assert reason in line


def test_the_network_that_ships_was_not_given_movement(tmp_path, capsys):
    rr, acc = heart_rate(tmp_path / "rr.csv"), movement(tmp_path / "acc.csv", 1e6)
    rows, summary, text = staged(capsys, tmp_path / "out", rr, "--motion", acc)
    assert "acc.csv: the network reads heartbeats, not movement; it was not given it" in text
    assert summary["input"] == "heart rate averaged every 5 s" and "quality_motion" not in rows[0]


def test_a_folder_of_one_night(tmp_path, capsys, checkpoint):
    folder = tmp_path / "monday"
    folder.mkdir()
    heart_rate(folder / "hr.csv")
    movement(folder / "watch.csv")
    (folder / "notes.md").write_text("slept well\n")
    _, summary, _ = staged(capsys, tmp_path / "out", "--one-night", folder, "--checkpoint", checkpoint)
    assert (tmp_path / "out" / "monday").is_dir()
    assert summary["input"] == "heart rate averaged every 5 s and movement"
    heart_rate(folder / "rr.csv")
    with pytest.raises(Exception, match=r"rr.csv: holds heartbeats as hr.csv does; give one of them for the night"):
        predict.main(["--one-night", str(folder), "--out", str(tmp_path / "out"), "--checkpoint", str(checkpoint)])


def test_movement_of_a_manifest(tmp_path, capsys, checkpoint):
    heart_rate(tmp_path / "rr.csv")
    movement(tmp_path / "acc.csv")
    manifest = tmp_path / "nights.csv"
    manifest.write_text("path,id,motion\nrr.csv,with,acc.csv\nrr.csv,without,\n".replace("rr.csv,without,\n", ""))
    rows, _, _ = staged(capsys, tmp_path / "out", "--manifest", manifest, "--checkpoint", checkpoint)
    assert "quality_motion" in rows[0]


def test_a_sensor_without_a_change_is_left_out(tmp_path, capsys, checkpoint):
    rr, acc = heart_rate(tmp_path / "rr.csv"), tmp_path / "acc.csv"
    acc.write_text("time,count\n" + "".join(f"{30 * k},0\n" for k in range(80)))
    rows, _, text = staged(capsys, tmp_path / "out", rr, "--motion", acc, "--checkpoint", checkpoint)
    assert "without movement: count is flat" in text and "quality_motion" not in rows[0]
    assert "averaged every 5 s and movement" not in text


def edf(path, start, labels, minutes=MINUTES):
    """An EDF of one sample per second and channel, counting up from 0 in every one."""
    samples = np.arange(60.0 * minutes) % 97
    signals = [edfio.EdfSignal(samples, 1, label=label, physical_range=(0, 100)) for label in labels]
    recording = edfio.Recording(startdate=start.date())
    edfio.Edf(signals, recording=recording, starttime=start.time()).write(path)
    return path


def test_channels_of_an_edf_beside_heartbeats(tmp_path, checkpoint):
    begin = dt.datetime(2024, 3, 9, 23, 0)
    times = (begin + dt.timedelta(seconds=5 * k) for k in range(12 * MINUTES))
    lines = (f"{now:%Y-%m-%d %H:%M:%S},{60 + k % 7}" for k, now in enumerate(times))
    rr, inputs = tmp_path / "hr.csv", load_trained(checkpoint).inputs
    rr.write_text("\n".join(["time,hr", *lines]) + "\n")
    belts = edf(tmp_path / "psg.edf", begin + dt.timedelta(minutes=10), ["Thorax", "Activity"])
    (chosen,) = chosen_nights(rr, inputs, ReadingOptions(beside=(belts,)))
    found = chosen.recording.signals["motion"].samples
    assert list(chosen.recording.signals) == ["motion"] and len(found) == round(chosen.recording.seconds)
    assert np.isnan(found[:600]).all()
    np.testing.assert_allclose(found[600:900], np.arange(300) % 97, atol=0.01)
    other = edf(tmp_path / "other.edf", begin, ["Thorax"])
    (chosen,) = chosen_nights(rr, inputs, ReadingOptions(beside=(other,)))
    assert chosen.notes[0].startswith("other.edf: holds no channel that the network reads (heartbeats, movement)")


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (["beats"], ["ecg"]),
        (["beats", "motion"], ["ecg", "motion"]),
        (["beats", "thorax", "airflow"], ["ecg", "thorax", "airflow"]),
        (["thorax", "abdomen"], ["thorax", "abdomen"]),
        (["eeg", "eog", "emg"], ["eeg", "eog", "emg"]),
    ],
)
def test_the_channels_of_an_edf_that_a_network_reads(names, kinds):
    labels = list(CHANNELS.values())
    file = SignalsInMemory(Path("x.edf"), labels, [100.0] * 8, [""] * 8, lambda _: np.zeros(100))
    found = derivations_of(file, dict.fromkeys(names))
    assert list(found) == kinds
    assert [choices[0].plus.replace("\\", "") for choices in found.values()] == [CHANNELS[kind] for kind in kinds]


def test_an_edf_of_belts_alone():
    file = SignalsInMemory(Path("x.edf"), ["THO"], [10.0], [""], lambda _: np.zeros(100))
    assert list(derivations_of(file, {"beats": None, "thorax": None, "motion": None})) == ["thorax"]


def test_heart_rate_and_movement_of_an_apple_export(tmp_path, capsys, checkpoint):
    begin, lines = dt.datetime(2024, 3, 9, 23, 0), []
    for k in range(12 * MINUTES):
        now = begin + dt.timedelta(seconds=5 * k)
        rate = f'type="HKQuantityTypeIdentifierHeartRate" unit="count/min" value="{60 + k % 7}"'
        lines.append(f'<Record {rate} sourceName="Watch" startDate="{now} +0100" endDate="{now} +0100"/>')
        if k % 12 == 0 and k < 6 * MINUTES:  # every minute of the first half
            energy = f'type="HKQuantityTypeIdentifierActiveEnergyBurned" unit="kcal" value="{1 + k % 5}"'
            lines.append(f'<Record {energy} startDate="{now} +0100" endDate="{now + dt.timedelta(seconds=60)} +0100"/>')
    export = tmp_path / "export.xml"
    export.write_text("\n".join(["<HealthData>", *lines, "</HealthData>"]))
    rows, summary, text = staged(capsys, tmp_path / "out", export, "--checkpoint", checkpoint)
    assert "movement is the active energy of the watch, which covers 50% of the night" in text
    assert summary["input"] == "heart rate averaged every 5 s and movement"
    assert [float(row["quality_motion"]) for row in rows] == [1.0] * 40 + [0.0] * (len(rows) - 40)
