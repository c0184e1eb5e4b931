"""The index of a store equals its files and follows their changes."""

import json

import numpy as np
import pytest

from sleepkd.data import store as store_module
from sleepkd.data.store import Store
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store

X = np.arange(600, dtype=np.int16)


@pytest.fixture
def many(tmp_path, monkeypatch) -> Store:
    monkeypatch.setattr(store_module, "MIN_INDEXED", 3)
    nights = {f"n{k}": hypnogram(0.25 + 30.0 * np.arange(k + 1), labels=np.arange(k + 1) % 5) for k in range(4)}
    return made_store(tmp_path, nights, {"ecg": X}, 10)


def same(a, b) -> None:
    assert a.info == b.info
    for name in ("onset_s", "duration_s", "labels"):
        np.testing.assert_array_equal(getattr(a.hypnogram, name), getattr(b.hypnogram, name))
        assert getattr(a.hypnogram, name).dtype == getattr(b.hypnogram, name).dtype


def test_the_index_equals_the_files(many, monkeypatch):
    first = [many.open(name) for name in many.recordings]  # writes the index
    assert (many.path / "index.json").is_file()
    monkeypatch.setattr(store_module, "read_hypnogram", None)  # from now on no file is read
    again = [Store(many.path).open(name) for name in many.recordings]
    monkeypatch.undo()
    plain = [Store(many.path).open(name) for name in many.recordings]
    for one, two, three in zip(first, again, plain, strict=True):
        same(one, three)
        same(two, three)


def test_it_follows_files_that_are_edited_added_or_removed(many, tmp_path):
    many.open("n1")
    path = many.path / "recordings" / "n1" / "hypnogram.tsv"
    path.write_text(path.read_text().replace("W", "REM"))
    assert Store(many.path).open("n1").hypnogram.labels.tolist() == [4, 1]
    made_store(tmp_path, {"n9": hypnogram([0.0])}, {"ecg": X}, 10)
    assert len(Store(many.path).open("n9").hypnogram) == 1
    assert len(list(many.path.glob("index.*.npy"))) == 1
    (many.path / "recordings" / "n1" / "recording.json").unlink()
    with pytest.raises(UserError, match="holds no recording n1"):
        Store(many.path).open("n1")


def test_a_damaged_index_or_recording_affects_no_other_recording(many):
    many.open("n1")
    (many.path / "index.json").write_text("{")
    (many.path / "recordings" / "n2" / "recording.json").write_text("{}")
    store = Store(many.path)
    assert len(store.open("n3").hypnogram) == 4
    assert set(json.loads((many.path / "index.json").read_text())["recordings"]) == {"n0", "n1", "n3"}
    with pytest.raises(UserError, match=r"n2/recording\.json: is damaged"):
        store.open("n2")
