"""Every shipped dataset YAML, on a recording in the layout, names and formats of its cohort."""

from pathlib import Path

import numpy as np
import pytest

from sleepkd import prepare
from sleepkd.cohorts.layout import DATASETS, load_cohort
from sleepkd.cohorts.signals.derivation import find_channels
from sleepkd.data.hypnogram import SLEEP_STAGES
from sleepkd.data.store import Night, Store
from tests.cohorts.shipped import BEATS_ALONE, FIVE, TWO_NIGHTS, WRITE, cap_second, mass_second, wsc

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of wfdb


def prepared(raw: Path, out: Path, dataset: str, *more: str) -> Store:
    assert prepare.main(["--dataset", dataset, "--raw", str(raw), "--out", str(out), "--rate", "64", *more]) == 0
    return Store(out)


def stages(night: Night) -> list[str]:
    return [SLEEP_STAGES[label] if label >= 0 else "unscored" for label in night.hypnogram.labels]


def test_every_shipped_cohort_is_tested():
    assert {path.stem for path in DATASETS.glob("*.yaml")} == set(WRITE)
    nowhere = (
        "slpdb_beats",
        "simulated_beats",
        "simulated_rate",
        "simulated_on_beats",
        "simulated_on_rate",
        "bids",
        "table_of_beats",
    )  # templates, and one that belongs to another YAML
    assert all(load_cohort(name).source or name in nowhere for name in WRITE)


@pytest.mark.parametrize("name", WRITE)
def test_a_recording_in_its_layout(tmp_path, name):
    WRITE[name](tmp_path / "raw")
    store = prepared(tmp_path / "raw", tmp_path / "store", name)
    cohort = load_cohort(name)
    for recording in store.recordings:
        night = store.open(recording)
        info = night.info
        assert (set(info.signals) == set()) == (name in BEATS_ALONE)
        if "eeg" in info.signals:
            values = night.signal("eeg") * info.signals["eeg"].scale + info.signals["eeg"].offset
            assert info.signals["eeg"].unit == "uV"
            assert values.std() == pytest.approx(20, rel=0.3)  # the filter takes some of the noise
        assert ("ecg" in info.signals) == ("ecg" in cohort.signals)
        if "ecg" in cohort.signals or cohort.beats or cohort.pulse_beats:
            assert 60 / info.beats.median_s == pytest.approx(60, rel=0.1)
        if name == "apnea_ecg":
            assert not night.has_labels
        elif name == "cinc2018":
            assert stages(night) == [stage for stage in FIVE for _ in range(2)]
        elif name == "wsc_allscore":
            assert stages(night) == [*[stage for stage in FIVE for _ in range(2)][:-1], "unscored"]
            assert night.hypnogram.onset_s[0] == 0
        else:
            assert set(night.hypnogram.duration_s) == {cohort.epoch_seconds}
            np.testing.assert_allclose(np.diff(night.hypnogram.onset_s), cohort.epoch_seconds, atol=0.02)
            assert night.hypnogram.onset_s[0] == pytest.approx(0, abs=0.02)
            assert stages(night) == list(FIVE) * (len(night.hypnogram) // 5)
            assert len(night.hypnogram) in (10, 15)


def test_the_other_variant_of_mass(tmp_path):
    mass_second(tmp_path / "raw")
    night = prepared(tmp_path / "raw", tmp_path / "store", "mass").open("01-04-0001")
    assert (night.info.standard, set(night.hypnogram.duration_s)) == ("rk", {20.0})
    assert night.info.signals["eeg"].derivation == "EEG C4-CLE - EEG A1-CLE"
    assert night.info.signals["ecg"].derivation == "ECG ECGII"


def test_the_other_variant_of_cap(tmp_path):
    cap_second(tmp_path / "raw")
    store = prepared(tmp_path / "raw", tmp_path / "store", "cap")
    night = store.open("nfle3")
    assert stages(night) == ["W", "N1", "N2", "N3", "REM", "unscored"]
    assert (night.info.standard, night.info.subset) == ("rk", "nfle")
    assert night.info.signals["ecg"].derivation == "ECG1 - ECG2"
    assert "1 rows are too short to hold a sleep stage, the first is line 8" in night.info.note


def test_sleep_epochs_of_wsc_lie_by_their_numbers(tmp_path):
    wsc(tmp_path / "raw", first=3)
    night = prepared(tmp_path / "raw", tmp_path / "store", "wsc").open("wsc-visit1-10119-nsrr")
    assert (night.hypnogram.onset_s[0], stages(night)[:3]) == (60, ["N2", "N3", "REM"])


@pytest.mark.parametrize(("name", "subject"), TWO_NIGHTS)
def test_two_nights_of_one_person_have_one_subject(tmp_path, name, subject):
    TWO_NIGHTS[name, subject](tmp_path / "raw")
    store = prepared(tmp_path / "raw", tmp_path / "store", name)
    assert [store.info(recording).subject for recording in store.recordings] == [subject] * 2


@pytest.mark.parametrize(("name", "recording"), [("bidsleep", "Bidslab00-1"), ("dreamt", "S002")])
def test_movement_of_acceleration_lies_on_the_labels(tmp_path, name, recording):
    """The wrist moves in the fifth sleep epoch, REM."""
    WRITE[name](tmp_path / "raw")
    night = prepared(tmp_path / "raw", tmp_path / "store", name, "--signals", "motion").open(recording)
    info = night.info.signals["motion"]
    counts = night.signal("motion") * info.scale + info.offset
    assert counts[24:30].mean() > 50 * max(1, counts[:23].max(), counts[32:59].max())
    assert stages(night)[4] == "REM"
    assert night.signal_quality("motion")[:9].min() == 1


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("shhs", ("THOR RES", "ABDO RES", "AIRFLOW", "SaO2")),
        ("mesa", ("Thor", "Abdo", "Flow", "SpO2", "Pleth")),
        ("mass", ("Resp Belt Thor", "Resp Belt Abdo", "Resp Cannula", "SaO2 SaO2")),
        ("cinc2018", ("CHEST", "ABD", "AIRFLOW", "SaO2")),
        ("dreams", ("VTH", "VAB", "NAF1")),
    ],
)
def test_the_other_sensors_of_a_cohort_are_found_by_their_names(name, channels):
    signals = load_cohort(name).signals
    kinds = ("thorax", "abdomen", "airflow", "spo2", "ppg")
    found = [find_channels(signals[kind], channels) for kind in kinds if kind in signals]
    assert [channels[one[1][0]] for one in found if one] == list(channels)
