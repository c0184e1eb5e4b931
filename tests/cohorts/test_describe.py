"""A first dataset YAML for an unknown folder."""

import numpy as np
import pytest

from sleepkd import prepare
from sleepkd.cohorts.describe import describe
from sleepkd.cohorts.layout import load_cohort
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from tests.cohorts.mass import night, noise, run, sleep_epochs
from tests.cohorts.raw import channel, write_psg


def test_the_described_folder_can_be_prepared(tmp_path, capsys):
    night(tmp_path / "raw", "01-03-0001", annotations=[*sleep_epochs(3.25, 7), (50.0, 1.0, "Spindle")])
    night(tmp_path / "raw" / "more", "01-03-0002")
    assert prepare.main(["--describe", str(tmp_path / "raw")]) == 0
    path = tmp_path / "mine.yaml"
    path.write_text(capsys.readouterr().out)
    cohort = load_cohort(str(path))
    assert cohort.files == r"(?P<recording>\d+-\d+-\d+) PSG\.edf"
    assert cohort.scoring.files == ("{recording} Base.edf",)
    assert cohort.scoring.labels == {
        "Sleep stage W": "W", "Sleep stage 1": "N1", "Sleep stage 2": "N2",
        "Sleep stage 3": "N3", "Sleep stage R": "REM",
    }  # fmt: skip
    assert (cohort.signals["eeg"][0].plus, cohort.signals["ecg"][0].plus) == ("EEG C3-LER", "ECG ECGI")
    assert "    # 'Spindle': ??? # 1 times" in path.read_text()
    store = run(tmp_path / "raw", tmp_path / "store", dataset=str(path))
    assert Store(store.path).recordings == ["01-03-0001", "01-03-0002"]


def test_a_scoring_in_other_capitals_is_found(tmp_path):
    night(tmp_path, "01-03-0001")
    (psg,) = tmp_path.glob("* PSG.edf")
    (scoring,) = tmp_path.glob("* Base.edf")
    psg.rename(tmp_path / "Sub01 PSG.edf")
    scoring.rename(tmp_path / "SUB01 Base.edf")
    assert "files: ['{recording} Base.edf']" in describe(tmp_path)


def test_epochs_of_20_s_special_characters_and_a_damaged_file(tmp_path):
    channels = [channel("C3 (left)", noise(), 256), channel("M2", noise(), 256), channel("ekg", noise(), 256)]
    write_psg(tmp_path / "a+1.edf", channels)
    (tmp_path / "a+2.edf").write_bytes(b"<html>")
    text = describe(tmp_path)
    assert r"files: '(?P<recording>a\+\d+)\.edf'" in text
    assert r"    - {plus: 'C3 \(left\)', minus: 'M2'}" in text
    assert "    - {plus: 'ekg'}" in text
    assert "scoring: none" in text
    assert "a+2.edf: is not an EDF: a web page" in text
    night(tmp_path / "b", annotations=sleep_epochs(0.5, 10, 20.0))
    assert "epoch_seconds: 20" in describe(tmp_path / "b")


def test_a_folder_without_edf_files_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none: no such folder"):
        describe(tmp_path / "none")
    np.savetxt(tmp_path / "x.txt", np.zeros(3))
    with pytest.raises(UserError, match="holds no EDF or BDF file with signals"):
        describe(tmp_path)
