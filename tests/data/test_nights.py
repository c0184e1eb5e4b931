"""Nights of several stores: keys, parts, and how stores are mixed."""

from pathlib import Path

import numpy as np
import pytest

from sleepkd.data.batches import draw_epoch, shares
from sleepkd.data.data_settings import DataConfig, Source
from sleepkd.data.nights import open_nights
from sleepkd.data.segments import Segments
from sleepkd.data.splits import write_split
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import StoreSettings
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store

RATE = 10
SIGNAL = np.random.default_rng(0).integers(-100, 100, 1200 * RATE).astype(np.int16)


def cohort(path: Path, name: str, nights: dict[str, int], parts: dict[str, tuple[str, ...]] | None = None) -> str:
    """A store of a cohort. nights: {recording: number of sleep epochs}. parts: by default all train."""
    hypnograms = {night: hypnogram(30.0 * np.arange(n), labels=np.arange(n) % 5) for night, n in nights.items()}
    made_store(path, hypnograms, {"ecg": SIGNAL}, RATE, StoreSettings(name, RATE))
    empty: dict[str, tuple[str, ...]] = {"train": tuple(nights), "validation": (), "test": ()}
    write_split(path / "splits" / "default", empty | (parts or {}), "made up")
    return str(path)


def segments_of(data: DataConfig, part: str = "train") -> Segments:
    nights = open_nights(data.sources, part)
    return Segments(nights, {"student": resolve({"ecg": {}}, data, RATE)}, data)


def counts(segments: Segments, batches: list[np.ndarray]) -> np.ndarray:
    """(batches, stores): how many segments of each store each batch holds."""
    source = np.array([night.source for night in segments.nights])[segments.table.night]
    return np.array([np.bincount(source[batch], minlength=len(segments.data.sources)) for batch in batches])


def test_two_cohorts_may_have_recordings_of_one_name(tmp_path):
    a, b = cohort(tmp_path / "a", "one", {"n1": 4, "n2": 4}), cohort(tmp_path / "b", "two", {"n1": 6})
    segments = segments_of(DataConfig(nights=(Source(a), Source(b))))
    assert [night.key for night in segments.nights] == ["one/n1", "one/n2", "two/n1"]
    assert segments.names == ["one/n1", "n2", "two/n1"]
    assert len(segments) == 14


def test_a_glob_names_the_stores_of_several_disks(tmp_path):
    """Stores that are named as a glob are read as if each were named; the weight holds for each."""
    stores = [cohort(tmp_path / disk / "store", disk, {f"{disk}1": 4}) for disk in ("b", "a", "c[1]")]
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "store").write_text("no folder")
    data = DataConfig(nights=(Source(str(tmp_path / "*" / "store"), weight=2.0, labels=False),))
    named = tuple(Source(store, weight=2.0, labels=False) for store in sorted(stores))
    assert data.sources == named
    assert [night.key for night in open_nights(data.sources, "train")] == ["a/a1", "b/b1", "c[1]/c[1]1"]
    assert Source(stores[2]).matched == (Source(stores[2]),)  # a folder of this very name
    with pytest.raises(UserError, match=r"data\.nights: no folder matches store: .*/e\*"):
        DataConfig(nights=(Source(str(tmp_path / "e*")),)).sources  # noqa: B018


def test_the_same_cohort_twice_is_refused(tmp_path):
    a, b = cohort(tmp_path / "a", "one", {"n1": 4}), cohort(tmp_path / "b", "one", {"n1": 6})
    with pytest.raises(
        UserError, match=r"b/recordings/n1: cohort one has a recording of this name in .*a/recordings/n1"
    ):
        open_nights((Source(a), Source(b)), "train")


def test_a_subject_in_two_parts_of_two_stores_is_refused(tmp_path):
    a = cohort(tmp_path / "a", "one", {"n1": 4, "n2": 4})
    b = cohort(tmp_path / "b", "one", {"n3": 4}, {"train": (), "test": ("n3",)})
    info = Path(b) / "recordings" / "n3" / "recording.json"
    info.write_text(info.read_text().replace("subject of n3", "subject of n1"))
    with pytest.raises(UserError, match="b: subject subject of n1 of cohort one is in test here, in train of"):
        open_nights((Source(a), Source(b)), "train")


def test_a_night_in_two_cohorts_is_refused_under_any_name(tmp_path):
    """Even where the copies are in different parts: one trains and the other tests."""
    a = cohort(tmp_path / "a", "one", {"n1": 4, "n2": 4})
    b = cohort(tmp_path / "b", "two", {"n3": 4, "n4": 4}, {"train": ("n4",), "test": ("n3",)})
    for store, name in ((a, "n1"), (b, "n3")):
        info = Path(store) / "recordings" / name / "recording.json"
        info.write_text(info.read_text().replace('"digest": ""', '"digest": "the same"'))
    with pytest.raises(UserError, match=r"b/recordings/n3: is the same night as .*a/recordings/n1, under another name"):
        open_nights((Source(a), Source(b)), "train")


def test_a_part_without_recordings_is_named(tmp_path):
    a = cohort(tmp_path / "a", "one", {"n1": 4})
    with pytest.raises(UserError, match=r"a/splits/default/test.txt: lists no recording"):
        open_nights((Source(a),), "test")
    b = cohort(tmp_path / "b", "two", {"m1": 4}, {"train": (), "test": ("m1",)})
    assert [night.key for night in open_nights((Source(a), Source(b)), "test")] == [
        "two/m1"
    ]  # a part may be empty in one of the stores


def test_in_proportion_to_size_every_segment_is_drawn_once(tmp_path):
    a, b = cohort(tmp_path / "a", "one", {"n1": 30}), cohort(tmp_path / "b", "two", {"m1": 10})
    data = DataConfig(nights=(Source(a), Source(b)))
    segments = segments_of(data)
    batches = draw_epoch(segments, 8, seed=3, epoch=1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(40))


@pytest.mark.parametrize(
    ("mix", "weights", "expected"),
    [
        (1.0, (1, 1), (0.5, 0.5)),
        (0.5, (1, 1), (0.625, 0.375)),
        (0.0, (1, 3), (0.5, 0.5)),
        (1.0, (3, 1), (0.75, 0.25)),
    ],
)
def test_every_batch_has_its_share_of_each_store(tmp_path, mix, weights, expected):
    a, b = cohort(tmp_path / "a", "one", {"n1": 30}), cohort(tmp_path / "b", "two", {"m1": 10})
    data = DataConfig(nights=(Source(a, weight=weights[0]), Source(b, weight=weights[1])), mix=mix)
    np.testing.assert_allclose(shares([30, 10], data), expected)
    segments = segments_of(data)
    batches = draw_epoch(segments, 8, seed=3, epoch=1)
    assert sum(map(len, batches)) == 40
    assert (np.abs(counts(segments, batches) - 8 * np.array(expected)) <= 1).all()
    drawn = np.concatenate(batches)
    for store in (range(30), range(30, 40)):  # the segments of a store are drawn in turn
        times = np.bincount(drawn, minlength=40)[list(store)]
        assert times.max() - times.min() <= 1


def test_batches_depend_on_seed_and_training_epoch_alone(tmp_path):
    a, b = cohort(tmp_path / "a", "one", {"n1": 30}), cohort(tmp_path / "b", "two", {"m1": 10})
    segments = segments_of(DataConfig(nights=(Source(a), Source(b)), mix=0.7))
    first, again, other, later = (
        np.concatenate(draw_epoch(segments, 8, seed, epoch)).tolist()
        for seed, epoch in ((0, 0), (0, 0), (1, 0), (0, 1))
    )
    assert first == again and first != other and first != later


def test_a_store_without_segments_has_no_share():
    data = DataConfig(nights=(Source("a"), Source("b")), mix=1.0)
    np.testing.assert_allclose(shares([30, 0], data), [1, 0])


def test_unlabelled_recordings_are_read_on_request_only(tmp_path):
    nights = {
        "scored": hypnogram(30.0 * np.arange(5), labels=[0, 1, -1, 3, 4]),
        "unlabelled": hypnogram(30.0 * np.arange(7), labels=[-1] * 7),
    }
    store = made_store(tmp_path / "s", nights, {"ecg": SIGNAL}, RATE)
    opened = [store.open(name) for name in store.recordings]
    data = DataConfig()
    readers = {"student": resolve({"ecg": {}}, data, RATE)}
    labelled = Segments(opened, readers, data)
    both = Segments(opened, readers, data, unlabelled=True)
    assert len(labelled) == 4  # without the unscored sleep epoch
    assert len(both) == 4 + 7
    assert np.count_nonzero(both.table.labels == -1) == 7
