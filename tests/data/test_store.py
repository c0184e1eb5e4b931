"""Stores: writing, reading, and damaged files."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from sleepkd.data.hypnogram import unscored_hypnogram
from sleepkd.data.recording_info import MISSING, BeatsInfo, from_json, to_json
from sleepkd.data.store import Store, StoreSettings, read_settings
from sleepkd.data.store_writing import create_store, to_int16, write_recording
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store

SIGNALS = {"eeg": np.arange(-500, 500, dtype=np.int16), "ecg": np.arange(1000, dtype=np.int16)}
NIGHT = hypnogram([0.1 + 0.2, 1 / 3 + 30, 62.0], [30.0, 29.999, 30.0], [0, -1, 4])


@pytest.fixture
def small(tmp_path) -> Store:
    return made_store(tmp_path / "store", {"b": NIGHT, "a": NIGHT}, SIGNALS)


def temporary_files(store: Store) -> list[str]:
    return [path.name for path in store.path.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("offset", [0.0, 5000.0, -0.003])
@pytest.mark.parametrize("size", [1e-4, 1.0, 3e4])
def test_int16_is_off_by_half_a_step_at_most(size, offset):
    signal = offset + size * np.random.default_rng(0).standard_t(3, size=20_000)
    stored, scale, shift = to_int16(signal)
    assert stored.dtype == np.int16
    assert np.max(np.abs(scale * stored.astype(float) + shift - signal)) <= scale / 2 * (1 + 1e-6)
    assert np.max(np.abs(stored.astype(int))) == 32767  # the finest step that fits


def test_a_constant_keeps_its_value():
    stored, scale, offset = to_int16(np.full(10, 7.25))
    np.testing.assert_array_equal(scale * stored + offset, 7.25)


def test_missing_samples_have_a_stored_value_of_their_own():
    stored, scale, offset = to_int16(np.array([1.0, np.nan, 3.0, -5.0]))
    assert stored[1] == MISSING and (stored[[0, 2, 3]] != MISSING).all()
    np.testing.assert_allclose(stored[[0, 2, 3]] * scale + offset, [1, 3, -5], atol=1e-3)


def test_a_recording_is_read_as_written(small):
    assert small.recordings == ["a", "b"]
    assert small.rate_hz == 100.0
    night = small.open("b")
    for name, samples in SIGNALS.items():
        np.testing.assert_array_equal(night.signal(name), samples, strict=True)
    for column in ("onset_s", "duration_s", "labels"):  # to the last bit
        np.testing.assert_array_equal(getattr(night.hypnogram, column), getattr(NIGHT, column), strict=True)
    assert (night.info.recording, night.info.subject) == ("b", "subject of b")
    assert night.info.signals["eeg"].samples == 1000
    assert temporary_files(small) == []


def test_beats_are_written_and_read(small):
    beats, quality = np.array([0.5, 1 / 3 + 1, 2.5]), np.array([0.5, 1.0, 0.0], dtype=np.float32)
    info = replace(small.info("a"), beats=BeatsInfo("sleepecg", 3, 1.0, cadence_s=5.0), seconds=92.5)
    write_recording(small.path, info, SIGNALS, NIGHT, beats, quality)
    night = small.open("a")
    assert night.info == info and night.info.beats.cadence_s == 5.0
    np.testing.assert_array_equal(night.beats(), beats, strict=True)
    np.testing.assert_array_equal(night.beat_quality(), quality, strict=True)
    assert small.info("b").beats is None
    with pytest.raises(UserError, match=r"b/beats\.npy: cannot be read"):
        small.open("b").beats()


def test_an_unlabelled_recording(tmp_path):
    store = made_store(tmp_path / "store", {"a": unscored_hypnogram(95.0, 30.0)}, SIGNALS)
    night = store.open("a")
    assert not night.has_labels
    assert night.hypnogram.onset_s.tolist() == [0, 30, 60]
    assert night.hypnogram.labels.tolist() == [-1] * 3


def test_signals_are_memory_mapped(small):
    signal = small.open("a").signal("eeg")
    base = signal
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        signal[0] = 1


def test_the_hypnogram_is_readable_text(small):
    lines = (small.path / "recordings" / "a" / "hypnogram.tsv").read_text().splitlines()
    assert lines[0] == "onset_s\tduration_s\tsleep_stage"
    assert [line.split("\t")[2] for line in lines[1:]] == ["W", "unscored", "REM"]


def test_writing_again_replaces_the_recording(small):
    info = small.info("a")
    write_recording(small.path, info, SIGNALS, hypnogram([1.0], labels=[2]))
    assert small.open("a").hypnogram.labels.tolist() == [2]
    assert temporary_files(small) == []


def test_a_failed_write_keeps_the_old_recording(small, monkeypatch):
    def fails(*_):
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", fails)
    with pytest.raises(OSError, match="no space left"):
        write_recording(small.path, small.info("a"), SIGNALS, hypnogram([1.0]))
    monkeypatch.undo()
    assert len(small.open("a").hypnogram) == 3
    assert temporary_files(small) == []


def test_a_recording_that_is_being_written_is_not_listed(small):
    """A process that is killed before its last rename leaves such a folder."""
    os.rename(small.path / "recordings" / "b", small.path / "recordings" / ".b.x8k2")
    assert Store(small.path).recordings == ["a"]


def test_a_store_keeps_its_settings(tmp_path):
    settings = StoreSettings("mass", 200.0, "whole_night")
    create_store(tmp_path / "s", settings)
    create_store(tmp_path / "s", settings)
    assert read_settings(tmp_path / "s") == settings
    for other in (
        StoreSettings("dreams", 200.0),
        StoreSettings("mass", 100.0),
        StoreSettings("mass", 200.0, "each_window"),
    ):
        with pytest.raises(
            UserError, match=f"s: holds .*'mass'.* this command asks for .*{other.cohort}.*choose another --out"
        ):
            create_store(tmp_path / "s", other)


def test_a_store_cannot_be_made_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(UserError, match=f"{path.name}: cannot be made"):
            create_store(path, StoreSettings("mass"))


def test_no_such_store(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none", tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match=f"{path.name}: no such store; run sleepkd prepare"):
            Store(path)


def test_a_store_without_recordings(tmp_path):
    create_store(tmp_path / "s", StoreSettings("mass"))
    with pytest.raises(UserError, match="s: holds no recording; run sleepkd prepare"):
        Store(tmp_path / "s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"store\.json: is damaged"),
        ('{"cohort": "mass"}', "was prepared by another version"),
        ('{"format": 3, "cohort": "mass"}', "was prepared by another version"),
        ('{"format": 1, "name": "mass"}', "was prepared by another version"),
        ("[]", "was prepared by another version"),
    ],
)
def test_settings_of_another_version_are_named(small, text, message):
    (small.path / "store.json").write_text(text)
    with pytest.raises(UserError, match=message):
        Store(small.path)


def test_no_such_recording(small):
    with pytest.raises(UserError, match="store: holds no recording c"):
        small.open("c")


@pytest.mark.parametrize("damage", ["{", "[]", '{"signals": {}}', '{"recording": "a"}'])
def test_a_damaged_recording_is_named(small, damage):
    path = small.path / "recordings" / "a" / "recording.json"
    path.write_text(damage)
    with pytest.raises(UserError, match=r"a/recording\.json: is damaged"):
        small.open("a")


def test_an_unknown_field_is_refused(small):
    path = small.path / "recordings" / "a" / "recording.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weather": "rain"}))
    with pytest.raises(UserError, match=r"a/recording\.json: is damaged"):
        small.info("a")


@pytest.mark.parametrize("damage", ["0.0\t30.0\tN4", "0.0\tlong\tW", "0.0\t30.0", "9.0\t30.0\tW\n8.0\t30.0\tW"])
def test_a_damaged_hypnogram_is_named(small, damage):
    (small.path / "recordings" / "a" / "hypnogram.tsv").write_text(f"onset_s\tduration_s\tsleep_stage\n{damage}\n")
    with pytest.raises(UserError, match=r"a/hypnogram\.tsv: cannot be read as a hypnogram"):
        small.open("a")


@pytest.mark.parametrize("name", ["hypnogram.tsv", "eeg.npy"])
def test_a_missing_file_is_named(small, name):
    (small.path / "recordings" / "a" / name).unlink()
    with pytest.raises(UserError, match=rf"a/{name}: cannot be read"):
        small.open("a").signal("eeg")


def test_a_truncated_signal_is_named(small):
    path = small.path / "recordings" / "a" / "eeg.npy"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"a/eeg\.npy: cannot be read"):
        small.open("a").signal("eeg")


def test_heartbeats_of_an_older_store_have_an_unknown_cadence(small):
    info = replace(small.info("a"), beats=BeatsInfo("sleepecg", 3, 1.0, cadence_s=0.0))
    content = json.loads(to_json(info))
    del content["beats"]["cadence_s"]
    assert from_json(content) == replace(info, beats=BeatsInfo("sleepecg", 3, 1.0))
    assert from_json(content).beats.cadence_s is None


def test_age_sex_and_time_of_day_are_unknown_in_an_older_store(small):
    path = small.path / "recordings" / small.recordings[0] / "recording.json"
    about = json.loads(path.read_text())
    assert [about.pop(key) for key in ("age", "sex", "start_time")] == [None, None, ""]
    path.write_text(json.dumps(about))
    info = small.info(small.recordings[0])
    assert (info.age, info.sex, info.start_time) == (None, None, "")
    path.write_text(json.dumps(about | {"age": 44.0, "sex": "M", "start_time": "22:30:05"}))
    info = small.info(small.recordings[0])
    assert (info.age, info.sex, info.start_time) == (44.0, "M", "22:30:05")
