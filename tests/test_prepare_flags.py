"""Flags of `prepare`: gaps, warnings as an exit code, shards, progress; links and names found twice."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from sleepkd import prepare
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Store
from tests.cohorts.mass import night, run, sleep_epochs, summary
from tests.cohorts.raw import channel, write_psg
from tests.cohorts.test_edf import with_onsets

RATE = 16


def interrupted(folder: Path) -> Path:
    """600 records of 1 s, and a gap of 60 s after 100 s; scored to the end of both parts; samples count up."""
    folder.mkdir()
    onsets = [str(i if i < 100 else i + 60) for i in range(600)]
    path = with_onsets(folder, onsets).path
    path.rename(folder / "s1.edf")
    (folder / "s1.txt").write_text("\n".join("W" if k % 2 else "R" for k in range(22)))
    (folder / "gap.yaml").write_text(
        "name: gap\nfiles: '(?P<recording>s\\d)\\.edf'\n"
        "scoring: {format: values, files: ['{recording}.txt'], value_seconds: 30, labels: {W: W, R: REM}}\n"
        "signals: {eeg: [{plus: C3}]}\n"
    )
    return folder / "gap.yaml"


def test_an_interrupted_recording_is_refused_or_kept_with_its_gap(tmp_path, capsys):
    yaml = interrupted(tmp_path / "raw")
    run(tmp_path / "raw", tmp_path / "store", "--rate", RATE, dataset=str(yaml), code=2)
    note = summary(tmp_path / "store")["s1"]["note"]
    assert "s1.edf: was interrupted for 60 s after 100 s; --gaps keep prepares it" in note
    store = run(tmp_path / "raw", tmp_path / "store", "--gaps", "keep", "--rate", RATE, dataset=str(yaml))
    opened = store.open("s1")
    assert (opened.info.gaps, opened.info.seconds) == (((100.0, 160.0),), 660.0)
    info = opened.info.signals["eeg"]
    values = opened.signal("eeg") * info.scale + info.offset
    np.testing.assert_allclose(values[200 * RATE], 140 * RATE, atol=2)  # what was recorded after 140 s of samples
    data = DataConfig(view="epochs")
    segments = Segments([opened], {"student": resolve({"eeg": {}}, data, RATE)}, data)
    seen = segments.table.onset_s[segments.table.present].tolist()
    assert seen == [30.0 * k for k in range(22) if not 70 < 30 * k < 160]
    assert "WARNING: was interrupted for 60 s after 100 s: masked" in summary(store.path)["s1"]["note"]


def test_fail_on_warning_and_warnings_of_recordings_prepared_before(tmp_path):
    night(tmp_path / "raw", "01-03-0001")
    run(tmp_path / "raw", tmp_path / "store", "--fail-on-warning")
    scored = [*sleep_epochs(3.25, 6), (100.0, 30.0, "Sleep stage W")]
    night(tmp_path / "odd", "01-03-0001", annotations=[*scored[:3], (100.0, 45.0, "Sleep stage W")])
    run(tmp_path / "odd", tmp_path / "other")
    run(
        tmp_path / "odd", tmp_path / "other", "--fail-on-warning", code=1
    )  # kept from before, and still to be looked at
    row = summary(tmp_path / "other")["01-03-0001"]
    assert row["status"] == "kept"
    assert "WARNING: 15 s of 1 sleep stages, whose duration is not a multiple of 30 s, are left out" in row["note"]


def test_progress_in_a_file_has_no_carriage_return(tmp_path, capsys):
    night(tmp_path / "raw")
    run(tmp_path / "raw", tmp_path / "store")
    assert capsys.readouterr().err == "prepare: 1 of 1 recordings\n"


def test_flags_of_earlier_versions_are_hidden_and_work(tmp_path, capsys):
    with pytest.raises(SystemExit):
        prepare.main(["--help"])
    assert not any(flag in capsys.readouterr().out for flag in ("--again", "--strict", "--eog-emg", "--mend"))
    night(tmp_path / "raw", annotations=[*sleep_epochs(3.25, 3), (100.0, 45.0, "Sleep stage W")])
    run(tmp_path / "raw", tmp_path / "store")
    run(tmp_path / "raw", tmp_path / "store", "--again", "--strict", code=1)
    assert summary(tmp_path / "store")["01-03-0001"]["status"] == "prepared"


def test_shards_are_joined_by_copying_them_into_one_folder(tmp_path, capsys):
    for k in range(1, 6):
        night(tmp_path / "raw", f"01-03-000{k}")
    for share in (1, 2):
        run(tmp_path / "raw", tmp_path / f"store{share}", "--shard", f"{share}/2")
        assert not (tmp_path / f"store{share}" / "splits").exists()
        assert (tmp_path / f"store{share}" / f"summary-{share}-of-2.tsv").is_file()
    assert Store(tmp_path / "store1").recordings == ["01-03-0001", "01-03-0003", "01-03-0005"]
    shutil.copytree(tmp_path / "store2", tmp_path / "store1", dirs_exist_ok=True)
    store = run(tmp_path / "raw", tmp_path / "store1")
    assert len(store.recordings) == 5
    assert {row["status"] for row in summary(store.path).values()} == {"kept"}
    assert (store.path / "splits" / "default" / "train.txt").is_file()
    with pytest.raises(SystemExit):
        prepare.main(["--dataset", "mass", "--raw", "a", "--out", "b", "--shard", "3/2"])


def test_the_same_night_under_two_names_is_warned_of(tmp_path):
    night(tmp_path / "raw", "01-03-0001")
    night(tmp_path / "raw", "01-03-0002")
    store = run(tmp_path / "raw", tmp_path / "store")
    for one, other in (("01-03-0001", "01-03-0002"), ("01-03-0002", "01-03-0001")):
        assert f"WARNING: is the same night as {other}, under another name" in summary(store.path)[one]["note"]


def test_two_files_of_one_name_and_a_broken_link_do_not_stop_the_others(tmp_path, capsys):
    night(tmp_path / "raw", "01-03-0001")
    night(tmp_path / "raw", "01-03-0002")
    night(tmp_path / "raw" / "backup", "01-03-0002")
    os.symlink("nowhere.edf", tmp_path / "raw" / "01-03-0003 PSG.edf")
    store = run(tmp_path / "raw", tmp_path / "store", code=2)
    assert store.recordings == ["01-03-0001"]
    rows = summary(store.path)
    assert [rows[name]["status"] for name in sorted(rows)] == ["prepared", "twice", "skipped"]
    assert "backup/01-03-0002 PSG.edf has this name too" in rows["01-03-0002"]["note"]
    assert "is a link to nowhere.edf, which does not exist" in rows["01-03-0003"]["note"]


def test_the_yaml_chooses_one_of_two_channels_of_one_name(tmp_path):
    seconds = 240
    x = np.random.default_rng(0).normal(scale=20, size=seconds * 64)
    channels = [channel("C3", x, 64), channel("C3", 2 * x, 64)]
    write_psg(tmp_path / "raw" / "s1.edf", channels)
    for which, factor in ((1, 1), (2, 2)):
        (tmp_path / "two.yaml").write_text(
            f"name: two\nfiles: '(?P<recording>s\\d)\\.edf'\nscoring: none\n"
            f"signals: {{eeg: [{{plus: C3, which: {which}}}]}}\n"
        )
        yaml = str(tmp_path / "two.yaml")
        store = run(tmp_path / "raw", tmp_path / f"s{which}", "--rate", 64, dataset=yaml)
        info = store.info("s1").signals["eeg"]
        assert info.iqr == pytest.approx(factor * 20 * 1.349, rel=0.05)
        warned = "several channels are named C3" in summary(store.path)["s1"]["note"]
        assert warned == (which == 1)
