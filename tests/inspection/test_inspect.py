"""The table and the page of a prepared store, against what was counted by hand."""

import re

import numpy as np
import pytest

from sleepkd import inspect, prepare
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.inspection.store_summary import facts_of
from tests.cohorts.mass import night, sleep_epochs
from tests.data.stored import signal_info

RATE = 50


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Two nights of MASS, one of them with a label too many; prepared and split."""
    folder = tmp_path_factory.mktemp("inspected")
    night(folder / "raw", "01-03-0001", annotations=sleep_epochs(3.25, 7, stages="WW12?"))
    night(folder / "raw", "01-05-0001", annotations=sleep_epochs(8.5, 11, 20.0))
    arguments = ["--dataset", "mass", "--raw", folder / "raw", "--out", folder / "store", "--rate", RATE]
    assert prepare.main([str(argument) for argument in arguments]) == 0
    return Store(folder / "store")


def made(tmp_path, quality, note="", gaps=(), labels=(0, 1, -1, 2)) -> Store:
    """One night of ten minutes, its facts given."""
    create_store(tmp_path, StoreSettings("made", RATE))
    n = len(labels)
    x = np.random.default_rng(0).integers(-100, 100, 600 * RATE).astype(np.int16)
    info = RecordingInfo(
        "n<1>", "s&1", "all", "aasm", "a.edf", "b.edf", 600.0, {"ecg": signal_info(x, RATE, polarity=-1)}, {},
        BeatsInfo("sleepecg", 600, 0.8), gaps, note,
    )  # fmt: skip
    onsets = 30.0 * np.arange(n)
    hypnogram = Hypnogram(onsets, np.full(n, 30.0), np.array(labels, dtype=np.int8))
    write_recording(tmp_path, info, {"ecg": x}, hypnogram, np.arange(0, 600, 0.8), np.array(quality))
    return Store(tmp_path)


def test_the_facts_of_a_night(tmp_path):
    facts = facts_of(
        made(tmp_path, [1.0, 0.4, 0.0, 0.5], "all well; WARNING: look here; WARNING: and there").open("n<1>")
    )
    assert facts.labels == {"W": 1, "N1": 1, "N2": 1, "N3": 0, "REM": 0, "unscored": 1}
    assert (facts.hours, facts.bad_ecg, facts.heart_rate) == (600 / 3600, 0.5, 75.0)
    assert facts.channels == "ECG C3 (50 Hz, upside down)"
    assert facts.warnings == ("look here", "and there")


def test_the_table_names_every_recording_and_the_balance_of_its_split(store, capsys, tmp_path):
    assert inspect.main([str(store.path), "--tsv", str(tmp_path / "a.tsv")]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("01-03-0001"))
    assert row.split()[2:10] == ["aasm", "0.1", "4", "1", "1", "0", "0", "1"]
    assert "SS3: 1 recordings of 1 subjects, 0.1 h; W 4, N1 1, N2 1, N3 0, REM 0, unscored 1" in out
    train = next(line for line in out.splitlines() if line.startswith("train"))
    assert train.split()[1:3] == ["2", "2"]
    assert max(len(line) for line in out.splitlines() if line.startswith("01-") and ":" not in line) <= 80
    header, first, *_ = (tmp_path / "a.tsv").read_text().splitlines()
    assert header.split("\t")[-2:] == ["channels", "warnings"]
    assert first.split("\t")[-2].startswith("EEG EEG C3-LER (256 Hz)")


def test_a_damaged_recording_is_named_and_stops_no_other(tmp_path, capsys):
    store = made(tmp_path, [1.0] * 4)
    (tmp_path / "recordings" / "z").mkdir()
    (tmp_path / "recordings" / "z" / "recording.json").write_text("{}")
    assert inspect.main([str(store.path)]) == 2
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("n<1>")
    assert re.search(r"cannot be read: .*z/recording\.json: is damaged", out)


def test_the_page_is_whole_and_escapes_what_it_shows(tmp_path):
    store = made(tmp_path / "s", [1.0] * 4, "odd <b>; WARNING: a & b", gaps=((100.0, 130.0),))
    assert inspect.main([str(store.path), "--html", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "n&lt;1&gt;" in page and "a &amp; b" in page and "odd &lt;b&gt;" in page and "<b>;" not in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)


def test_the_page_shows_so_many_and_says_so(store, tmp_path):
    assert inspect.main([str(store.path), "--html", str(tmp_path), "--most", "1"]) == 0
    page = (tmp_path / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "Pictures of 1 follow" in page and "01-05-0001" in page
