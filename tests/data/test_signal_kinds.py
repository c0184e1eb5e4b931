"""Kinds of signals: a new one is an entry of `SIGNAL_KINDS`, with a unit and a stored rate of its own."""

import re

import numpy as np
import pytest

from sleepkd.data.data_settings import AugmentConfig, DataConfig
from sleepkd.data.inputs import MEASURED, SignalInput
from sleepkd.data.recording_info import MISSING, BeatsInfo, RecordingInfo
from sleepkd.data.segments import Segments
from sleepkd.data.signal_kinds import SIGNAL_KINDS, SignalKind, sampled_kinds
from sleepkd.data.stage_inputs import INPUTS, resolve
from sleepkd.data.store import Store, StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store, signal_info

RATE, BELT_RATE, SECONDS = 100.0, 10.0, 300
THORAX = SignalKind(label="thorax belt", unit="V", rate_hz=BELT_RATE, scale=0.5, channels=r".*thor.*")
BELT = (1000 * np.sin(2 * np.pi * np.arange(SECONDS * BELT_RATE) / (4 * BELT_RATE))).astype(np.int16)
ECG = np.arange(SECONDS * RATE).astype(np.int16)


@pytest.fixture(params=["whole_night", "each_window"])
def store(tmp_path, monkeypatch, request) -> Store:
    """An ECG, heartbeats, and a respiration belt at 10 Hz. `each_window` stores the ECG at 128 Hz, as recorded."""
    monkeypatch.setitem(SIGNAL_KINDS, "thorax", THORAX)
    ecg_rate = 128.0 if request.param == "each_window" else RATE
    ecg = np.resize(ECG, round(SECONDS * ecg_rate))
    create_store(tmp_path, StoreSettings("made up", RATE, request.param))
    signals = {"ecg": ecg, "thorax": BELT}
    infos = {"ecg": signal_info(ecg, ecg_rate, unit="mV"), "thorax": signal_info(BELT, BELT_RATE, unit="V", iqr=1000.0)}
    beats = np.arange(0.5, SECONDS, 0.8)
    info = RecordingInfo(
        "a", "a", "all", "aasm", "x", "y", SECONDS, infos, {}, BeatsInfo("made up", len(beats), 0.8)
    )  # fmt: skip
    write_recording(tmp_path, info, signals, hypnogram(30.0 * np.arange(10)), beats, np.ones(10))
    return Store(tmp_path)


def segments_of(store: Store, augmented: str = "", **data) -> Segments:
    config = DataConfig(**data)
    spec = resolve({"ecg": {}, "thorax": {}, "beats": {}}, config, store.rate_hz)
    return Segments([store.open("a")], {"student": spec}, config, augmented=augmented)


def test_every_kind_has_a_class_that_reads_it():
    assert set(sampled_kinds()) == SIGNAL_KINDS.keys() - {"beats"}
    assert {kind.stored_as for kind in SIGNAL_KINDS.values()} == INPUTS.keys()
    files = {"beats", "beat_quality", "other_scorings", "hypnogram"}
    assert not files & sampled_kinds().keys()  # the files of a recording beside its signals


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("eeg", "EEG C3-LER"),
        ("ecg", "ECG ECGI"),
        ("ecg", "EKG"),
        ("eog", "EOG Left Horiz"),
        ("emg", "EMG Chin1"),
        ("thorax", "THOR RES"),
        ("thorax", "Thor"),
        ("thorax", "CHEST"),
        ("thorax", "Resp Belt Thor"),
        ("abdomen", "ABDO RES"),
        ("abdomen", "ABD"),
        ("airflow", "AIRFLOW"),
        ("airflow", "NEW AIR"),
        ("airflow", "Resp Cannula"),
        ("airflow", "Resp oro-nasal"),
        ("airflow", "Therm"),
        ("spo2", "SpO2"),
        ("spo2", "SaO2"),
        ("spo2", "SaO2 SaO2"),
        ("ppg", "Pleth"),
        ("ppg", "BVP"),
        ("temperature", "Temp rectal"),
        ("motion", "Activity"),
        ("motion", "motion"),
    ],
)
def test_a_kind_is_guessed_from_a_channel_name(name, channel):
    matches = {kind for kind, entry in sampled_kinds().items() if re.fullmatch(entry.channels, channel, re.IGNORECASE)}
    assert matches == {name}


@pytest.mark.parametrize(("view", "segments", "n"), [("epochs", 10, 30), ("night", 1, SECONDS)])
def test_a_signal_is_read_at_the_rate_of_its_kind(store, view, segments, n):
    read = segments_of(store, view=view)
    assert len(read) == segments
    inputs = read[np.arange(segments)].inputs["student"]
    assert inputs["ecg"].shape == (segments, 1, n * RATE)
    assert inputs["thorax"].shape == (segments, 1, n * BELT_RATE)
    assert inputs["beats"].shape == (segments, 1, 3, n * 4)
    np.testing.assert_allclose(inputs["thorax"].flatten(), BELT / 1000, atol=1e-6)


def test_defaults_come_from_the_kind(store):
    spec = segments_of(store, ecg_polarity="inverted").readers["student"]
    assert spec["thorax"] == SignalInput(BELT_RATE, "robust_night", 20.0, "as_recorded", "exact", scale=0.5)
    assert spec["ecg"].rate == RATE
    assert store.open("a").info.kinds == ("ecg", "thorax", "beats")


def test_it_is_augmented_like_any_signal(store):
    settings = {"view": "night", "segment_minutes": 2.5}
    plain = segments_of(store, **settings)[np.arange(2)].inputs["student"]["thorax"]
    augment = AugmentConfig(inversion=1.0)
    inverted = segments_of(store, "student", augment=augment, **settings)[np.arange(2)].inputs["student"]["thorax"]
    np.testing.assert_array_equal(inverted, -plain)


def test_a_shorter_signal_limits_the_night(store):
    night = store.open("a")
    info = night.info.signals["thorax"]
    object.__setattr__(info, "samples", 2400)  # 240 s of 300
    data = DataConfig(view="night")
    spec = resolve({"ecg": {}, "thorax": {}}, data, store.rate_hz)
    segments = Segments([night], {"student": spec}, data)
    assert (int(segments.table.mask.sum()), int(segments.table.present.sum())) == (24, 8)


def test_a_store_with_another_rate_of_the_kind_is_refused(store, monkeypatch):
    monkeypatch.setitem(SIGNAL_KINDS, "thorax", SignalKind(label="thorax belt", rate_hz=25.0))
    with pytest.raises(
        UserError, match=r"a: thorax is read at 10 Hz, the network was made for 25 Hz; prepare .*rate_hz"
    ):
        segments_of(store)


def test_a_recording_without_the_signal_is_named(store):
    night = store.open("a")
    del night.info.signals["thorax"]
    data = DataConfig()
    with pytest.raises(UserError, match="a: holds no thorax; prepare it with a channel for it"):
        Segments([night], {"student": resolve({"thorax": {}}, data, RATE)}, data)


def test_missing_samples_are_no_signal_and_a_measured_zero_is(tmp_path):
    stored = np.array([0, MISSING, 500, -500], dtype=np.int16)
    night = made_store(tmp_path, {"a": hypnogram([0.0])}, {"thorax": stored}, 10.0, iqr=1000.0).open("a")
    x = SignalInput(10.0).read("thorax", [night], np.zeros(1), np.zeros(1), 0.4)[0]
    np.testing.assert_allclose(x, [MEASURED, 0, 0.5, -0.5])
    spec = resolve({"spo2": {}}, DataConfig(), 200.0)
    assert (spec["spo2"].normalisation, spec["spo2"].centre, spec["spo2"].scale, spec["spo2"].rate) == (
        "physical",
        96,
        2,
        1,
    )
    night = made_store(tmp_path / "x", {"a": hypnogram([0.0])}, {"spo2": np.array([96, 90], np.int16)}, 1.0).open("a")
    np.testing.assert_allclose(spec["spo2"].read("spo2", [night], np.zeros(1), np.zeros(1), 2.0)[0], [MEASURED, -3])
