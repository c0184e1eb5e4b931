"""What Model.predict takes besides arrays, and the words of its messages."""

import datetime as dt
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import wfdb

import sleepkd
from sleepkd.data.inputs import SignalInput
from sleepkd.errors import UserError
from sleepkd.prediction.memory.in_memory import recording_in_memory
from sleepkd.prediction.regularity import sleep_regularity

EEG = {"eeg": SignalInput(rate=64)}


def test_a_path_is_read_as_predict_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "rr.csv"
    path.write_text("rr\n" + "\n".join(f"{800 + 40 * np.sin(k / 9):.0f}" for k in range(2000)))
    night = sleepkd.load().predict(path)
    assert night.judged.given.text == "heartbeats" and len(night.stages) == 53
    nameless = tmp_path / "numbers.csv"
    nameless.write_text("1\n2\n" * 100)
    with pytest.raises(UserError, match=r"predict_beats for RR intervals or beat times, fs= for the samples of an ECG"):
        sleepkd.load().predict(nameless)


def test_of_several_eegs_none_is_taken_unasked_and_gaps_are_gaps() -> None:
    samples = np.random.default_rng(0).standard_normal((2, 700 * 100)) * 2e-5
    raw = mne.io.RawArray(samples, mne.create_info(["C3-A2", "C4-A1"], 100, "eeg"), verbose="error")
    with pytest.raises(UserError, match="2 channels look like EEG; channel= names one of C3-A2, C4-A1"):
        recording_in_memory(raw, EEG)
    raw.set_annotations(mne.Annotations([60.0], [40.0], ["BAD_ACQ_SKIP"]))
    found = recording_in_memory(raw, EEG, channel="C4-A1")
    assert found.signals["eeg"].derivation == "C4-A1" and found.gaps == ((60.0, 100.0),)
    np.testing.assert_allclose(found.signals["eeg"].samples[:100], samples[1, :100] * 1e6)  # V to µV


@pytest.mark.parametrize(
    ("given", "more", "message"),
    [
        (np.zeros(9), {"channel": "ECG", "fs": 100}, "channel ECG: an array has no names"),
        (wfdb.MultiRecord(), {}, "m2s=True"),
        (np.zeros(9), {}, "fs: must be a number of samples per second, not None"),
    ],
)
def test_what_is_refused(given: object, more: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sleepkd.load().predict(given, **more)


def test_the_nights_of_days_are_staged_each_and_their_regularity_is_known() -> None:
    times = pd.date_range("2024-03-01 12:00", "2024-03-03 12:00", freq="30s")
    asleep = (times.hour >= 23) | (times.hour < 7)
    rate = np.where(asleep, 55, 80) + np.random.default_rng(0).normal(0, 2, len(times))
    series = pd.Series(rate, times, name="heart rate")
    nights = sleepkd.load().predict_nights(series)
    assert [night.start.day for night in nights] == [1, 2]
    for night in nights:
        end = night.start + dt.timedelta(seconds=30 * len(night.stages))
        assert 21 <= night.start.hour <= 23 and 7 <= end.hour <= 8
    assert sleep_regularity(nights).nights == 2
    (one,) = sleepkd.load().predict_nights(series[asleep][:900])
    assert len(one.stages) == 898  # the last heartbeat is less than 899 * 30 s after the first


def test_days_without_a_night_are_refused_in_the_words_of_python() -> None:
    hour = pd.date_range("2024-03-01 12:00", periods=120, freq="30s")
    rate = pd.Series(80.0, hour.append(hour + pd.Timedelta(days=1)), name="hr")  # of two workouts
    with pytest.raises(UserError, match=r"holds no night.*; predict stages all of it"):
        sleepkd.load().predict_nights(rate)
