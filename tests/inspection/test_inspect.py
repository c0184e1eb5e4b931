"""`sleepkd inspect`: the table and the HTML page of a store, against counts by hand."""

import re
import sys

import numpy as np
import pytest

from sleepkd import inspect, prepare
from sleepkd.data.hypnogram import Hypnogram
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.errors import UserError
from sleepkd.inspection.store_summary import summarise_recording, summary_table
from tests.cohorts.mass import night, sleep_epochs
from tests.data.stored import signal_info

RATE = 50


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Two nights in the layout of MASS, one with an unscored sleep epoch; prepared and split."""
    folder = tmp_path_factory.mktemp("inspected")
    night(folder / "raw", "01-03-0001", annotations=sleep_epochs(3.25, 7, stages="WW12?"))
    night(folder / "raw", "01-05-0001", annotations=sleep_epochs(8.5, 11, 20.0))
    arguments = ["--dataset", "mass", "--raw", folder / "raw", "--out", folder / "store", "--rate", RATE]
    assert prepare.main([str(argument) for argument in arguments]) == 0
    return Store(folder / "store")


def synthetic_store(tmp_path, quality, note="", gaps=(), labels=(0, 1, -1, 2)) -> Store:
    """A store of one night of ten minutes with the given summary."""
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


def test_summary_of_a_recording(tmp_path):
    summary = summarise_recording(
        synthetic_store(tmp_path, [1.0, 0.4, 0.0, 0.5], "all well; WARNING: look here; WARNING: and there").open("n<1>")
    )
    assert summary.labels == {"W": 1, "N1": 1, "N2": 1, "N3": 0, "REM": 0, "unscored": 1}
    assert (summary.hours, summary.bad_ecg, summary.heart_rate) == (600 / 3600, 0.5, 75.0)
    assert summary.channels == "ECG C3 (50 Hz, inverted)"
    assert summary.warnings == ("look here", "and there")


def test_table_of_recordings_and_balance_of_the_split(store, capsys, tmp_path):
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


def test_a_damaged_recording_is_named_and_the_others_are_summarised(tmp_path, capsys):
    store = synthetic_store(tmp_path, [1.0] * 4)
    (tmp_path / "recordings" / "z").mkdir()
    (tmp_path / "recordings" / "z" / "recording.json").write_text("{}")
    assert inspect.main([str(store.path)]) == 2
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("n<1>")
    assert re.search(r"cannot be read: .*z/recording\.json: is damaged", out)


def test_page_is_complete_and_escapes_text(tmp_path):
    store = synthetic_store(tmp_path / "s", [1.0] * 4, "odd <b>; WARNING: a & b", gaps=((100.0, 130.0),))
    assert inspect.main([str(store.path), "--html", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "n&lt;1&gt;" in page and "a &amp; b" in page and "odd &lt;b&gt;" in page and "<b>;" not in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)


@pytest.mark.parametrize("option", ["--max-figures", "--most"])  # the older spelling stays
def test_page_with_a_limited_number_of_figures(store, tmp_path, option):
    assert inspect.main([str(store.path), "--html", str(tmp_path), option, "1"]) == 0
    page = (tmp_path / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "Figures of 1 of 2 recordings" in page and "01-05-0001" in page


def test_page_without_matplotlib_is_refused_before_the_table_is_printed(store, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"matplotlib.*sleepkd\[evaluate\]"):
        inspect.main([str(store.path), "--html", str(tmp_path / "page"), "--tsv", str(tmp_path / "a.tsv")])
    assert capsys.readouterr().out == "" and list(tmp_path.iterdir()) == []


def test_no_figures_at_all_is_refused(store):
    with pytest.raises(UserError, match="--max-figures"):
        inspect.main([str(store.path), "--max-figures", "0"])


def test_age_and_sex_are_columns_where_they_are_known(tmp_path, capsys):
    store = synthetic_store(tmp_path, [1.0] * 4)
    path = tmp_path / "recordings" / "n<1>" / "recording.json"
    assert summary_table([summarise_recording(store.open("n<1>"))])[0][2] == "std"
    path.write_text(path.read_text().replace('"age": null', '"age": 44.0'))
    assert inspect.main([str(tmp_path)]) == 0
    header, row, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[:5] == ["recording", "subject", "age", "sex", "std"]
    assert row.split()[:5] == ["n<1>", "s&1", "44", "-", "aasm"]
