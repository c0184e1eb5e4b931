"""Model.predict of an mne.io.Raw and a wfdb.Record: the stages of the file, annotations and clocks respected."""

import datetime as dt
from pathlib import Path

import mne
import numpy as np
import pytest
import wfdb

import sleepkd
from sleepkd.data.signal_kinds import SIGNAL_KINDS
from sleepkd.errors import UserError
from sleepkd.prediction.memory.signals_in_memory import signals_of_raw
from sleepkd.prediction.model import Model
from sleepkd.prediction.predicted_night import PredictedNight

ECG = "ECG ECGI"


@pytest.fixture(scope="module")
def model() -> Model:
    return sleepkd.load()


@pytest.fixture(scope="module")
def psg(cohort: Path) -> Path:
    (path,) = cohort.glob("SS1_EDF/01-01-0001 PSG.edf")
    return path


@pytest.fixture(scope="module")
def of_file(model: Model, psg: Path) -> PredictedNight:
    return model.predict(psg)


@pytest.fixture
def raw(psg: Path) -> mne.io.BaseRaw:
    return mne.io.read_raw_edf(psg, preload=True, verbose="error")


def unscored(night: PredictedNight) -> list[int]:
    return [k for k, stage in enumerate(night.stages) if stage == "unscored"]


def test_a_raw_gets_the_stages_of_its_file(model: Model, raw: mne.io.BaseRaw, of_file: PredictedNight) -> None:
    found = model.predict(raw)
    np.testing.assert_allclose(found.probabilities, of_file.probabilities, atol=1e-5)
    assert found.stages == of_file.stages
    assert found.start == of_file.start == raw.info["meas_date"].replace(tzinfo=None)


def test_bad_annotations_are_unscored_at_their_time_in_a_cropped_raw_too(model: Model, raw: mne.io.BaseRaw) -> None:
    marks = mne.Annotations([600.0, 0.0], [300.0, 1e4], ["bad_move", "nap"], orig_time=raw.info["meas_date"])
    raw.set_annotations(marks, emit_warning=False)
    assert unscored(model.predict(raw)) == list(range(20, 30))
    later = model.predict(raw.copy().crop(300))
    assert unscored(later) == list(range(10, 20))
    assert later.start == raw.info["meas_date"].replace(tzinfo=None) + dt.timedelta(seconds=300)


def test_a_bad_annotation_of_another_channel_is_not_missing(raw: mne.io.BaseRaw) -> None:
    marks = mne.Annotations([600.0], [300.0], ["BAD"], raw.info["meas_date"], ch_names=[("EEG C3-CLE",)])
    signals = signals_of_raw(raw.set_annotations(marks), SIGNAL_KINDS["ecg"])
    missing = {name: np.isnan(signals.read(k)).sum() for k, name in enumerate(signals.labels)}
    assert missing[ECG] == 0 and missing["EEG C3-CLE"] == 300 * raw.info["sfreq"]


@pytest.mark.parametrize("dated", [True, False])
def test_annotations_of_a_night_lie_in_the_raw_at_its_times(model: Model, raw: mne.io.BaseRaw, dated: bool) -> None:
    raw.crop(300).set_annotations(None)
    if not dated:
        raw.set_meas_date(None)
    night = model.predict(raw)
    marks = night.to_annotations()
    assert (marks.orig_time is not None) == dated
    raw.set_annotations(marks)
    events, ids = mne.events_from_annotations(raw, regexp="Sleep stage", verbose="error")
    assert list((events[:, 0] - raw.first_samp) / raw.info["sfreq"]) == list(night.onset_s)
    names = {number: text for text, number in ids.items()}
    texts = {"W": "W", "light": "2", "deep": "3", "REM": "R", "unscored": "?"}
    assert [names[number] for number in events[:, 2]] == [f"Sleep stage {texts[stage]}" for stage in night.stages]


def test_the_channel_is_chosen_by_name_by_type_or_by_the_user(
    model: Model, raw: mne.io.BaseRaw, of_file: PredictedNight
) -> None:
    raw.rename_channels({ECG: "chest"})
    with pytest.raises(
        UserError, match=r"no channel that looks like ECG; channel= names one of EEG C3-CLE, .*, chest$"
    ):
        model.predict(raw)
    assert model.predict(raw, channel="chest").stages == of_file.stages
    assert model.predict(raw.set_channel_types({"chest": "ecg"})).stages == of_file.stages
    raw.info["bads"] = ["chest"]
    with pytest.raises(UserError, match="no channel that looks like ECG"):
        model.predict(raw)


def test_a_rate_that_contradicts_the_raw_is_refused(model: Model, raw: mne.io.BaseRaw) -> None:
    with pytest.raises(UserError, match=r"fs: is 100, .* states 256 samples per second; leave out fs"):
        model.predict(raw, fs=100)


def test_a_wfdb_record_in_each_of_its_forms_gets_the_stages_of_the_file(
    model: Model, raw: mne.io.BaseRaw, of_file: PredictedNight, tmp_path: Path
) -> None:
    samples = raw.get_data(ECG).T * 1e3
    clock = {"base_time": dt.time(23, 0, 5), "base_date": dt.date(2024, 1, 2)}
    wfdb.wrsamp("night", raw.info["sfreq"], ["mV"], ["ECG"], samples, fmt=["16"], write_dir=str(tmp_path), **clock)
    name = str(tmp_path / "night")
    forms = [{}, {"smooth_frames": False}, {"physical": False}, {"physical": False, "smooth_frames": False}]
    for form in forms:
        night = model.predict(wfdb.rdrecord(name, **form))
        assert np.mean(np.array(night.stages) == of_file.stages) > 0.95
        assert night.start == dt.datetime(2024, 1, 2, 23, 0, 5)
    with pytest.raises(UserError, match="night: holds no samples"):
        model.predict(wfdb.rdheader(name))
