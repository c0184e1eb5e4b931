"""Pseudo-labels in the store: any name, 3 to 5 classes, NaN where a model knows nothing; merged, read by segment."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.hypnogram import merged_classes
from sleepkd.data.pseudo_labels import merge_probabilities, read_pseudo_labels, write_pseudo_labels
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import Night, Store
from sleepkd.errors import UserError
from tests.data.reading import RAMP, RATE, segments_of
from tests.data.stored import hypnogram, made_store

N = 10
DATA = DataConfig(classes=4, sleep_epochs=3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two nights of ten sleep epochs."""
    nights = {name: hypnogram(30.0 * np.arange(N), labels=np.arange(N) % 5) for name in "ab"}
    return made_store(tmp_path / "store", nights, {"eeg": RAMP})


def probabilities(classes: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).random((N, classes))
    return (drawn / drawn.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("classes", "fewer", "groups"),
    [
        (5, 4, ((0,), (1, 2), (3,), (4,))),
        (5, 3, ((0,), (1, 2, 3), (4,))),
        (4, 3, ((0,), (1, 2), (3,))),
        (3, 3, ((0,), (1,), (2,))),
    ],
)
def test_merged_probabilities_are_sums_over_merged_stages(classes: int, fewer: int, groups: tuple) -> None:
    assert merged_classes(classes, fewer) == tuple(
        next(k for k, group in enumerate(groups) if label in group) for label in range(classes)
    )
    p = probabilities(classes)
    expected = np.stack([p[:, list(group)].sum(axis=1) for group in groups], axis=1)
    np.testing.assert_allclose(merge_probabilities(p, fewer), expected, rtol=1e-6)


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_pseudo_labels_of_any_name_are_read_back(store: Store, classes: int) -> None:
    written, night = probabilities(classes), store.open("a")
    written[2] = np.nan
    write_pseudo_labels("my ensemble", night, written)
    np.testing.assert_array_equal(read_pseudo_labels("my ensemble", night), written)
    assert (night.folder / "pseudo_labels" / "my ensemble.npy").is_file()


@pytest.mark.parametrize(
    "wrong",
    [
        probabilities(4)[:-1],
        np.full((N, 6), 1 / 6),
        probabilities(4) * 0.9,
        np.where(np.eye(N, 4) > 0, np.nan, probabilities(4)),
        probabilities(4) * np.array([-1, 1, 1, 1]),
    ],
)
def test_arrays_that_are_no_probabilities_of_the_night_are_refused(store: Store, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pseudo-labels"):
        write_pseudo_labels("m", store.open("a"), wrong)


def test_a_file_of_another_hypnogram_or_of_other_classes_is_one_line(store: Store) -> None:
    night = store.open("a")
    write_pseudo_labels("m", night, probabilities(4))
    path = night.folder / "pseudo_labels" / "m.npy"
    for content, message in (
        (probabilities(4)[1:], "belongs to another hypnogram"),
        (np.ones((N, 2), np.float32), "has 2 classes, not 3, 4 or 5"),
    ):
        np.save(path, content)
        with pytest.raises(UserError, match=message):
            read_pseudo_labels("m", night)


def test_batches_bring_log_probabilities_and_the_table_knows_where_they_are(store: Store) -> None:
    """Five stored classes, four of the student; NaN for unknown sleep epochs and nights; 0 in padding."""
    written = probabilities(5)
    written[[4, 5]] = np.nan
    write_pseudo_labels("m", store.open("a"), written)
    segments = segments_of(store, DATA)
    assert segments.read_pseudo_labels("m") == 4
    whole = segments[np.arange(len(segments))].pseudo_labels["m"]
    table = segments.table
    merged = merge_probabilities(written, 4)
    for s, n in np.ndindex(*table.sleep_epoch.shape):
        epoch = table.sleep_epoch[s, n]
        known = bool(epoch >= 0 and table.night[s] == 0 and epoch not in (4, 5))
        assert table.known["m"][s, n] == known
        if known:
            np.testing.assert_allclose(whole[s, n].exp(), merged[epoch], rtol=1e-5)
        else:
            assert bool(whole[s, n].isnan().all()) == (epoch >= 0) and not (epoch < 0 and whole[s, n].any())
    rows = np.array([1, 0])
    taken = table.take(rows)
    np.testing.assert_array_equal(taken.known["m"], table.known["m"][rows])
    assert taken.known_to("m").present.sum() == table.known["m"][rows].sum() < taken.present.sum()
    assert taken.known_to("another") is taken


def test_pseudo_labels_of_fewer_classes_than_the_student_stay_as_they_are(store: Store) -> None:
    for recording in "ab":
        write_pseudo_labels("m", store.open(recording), probabilities(3))
    segments = Segments(
        [store.open(recording) for recording in "ab"],
        {"student": resolve({"eeg": {}}, DATA, RATE)},
        DATA,
        pseudo_labels=("m",),
    )
    moved = segments[np.array([0])].to(torch.device("cpu"), torch.float64).pseudo_labels["m"]
    assert moved.dtype == torch.float64 and moved.shape == (1, 3, 3)
    np.testing.assert_allclose(moved[0].exp(), probabilities(3)[:3], rtol=1e-5)


def test_files_of_different_classes_and_models_without_a_file_are_one_line(store: Store) -> None:
    for recording, classes in (("a", 3), ("b", 5)):
        write_pseudo_labels("mixed", store.open(recording), probabilities(classes))
    with pytest.raises(UserError, match=r"pseudo-labels of mixed have 3 classes in .*a, 5 in .*b"):
        segments_of(store, DATA).read_pseudo_labels("mixed")
    segments = segments_of(store, DATA)
    segments.read_pseudo_labels("absent")
    with pytest.raises(UserError, match=r"absent: no night of .*store or the other stores has pseudo-labels of it"):
        segments.check_pseudo_labels()


def test_a_probability_of_zero_has_a_finite_logarithm(store: Store) -> None:
    certain = np.eye(3)[np.zeros(N, dtype=int)]
    night: Night = store.open("a")
    write_pseudo_labels("m", night, certain)
    segments = segments_of(store, DATA)
    segments.read_pseudo_labels("m")
    first = segments[np.array([0])].pseudo_labels["m"][0, 0]
    np.testing.assert_allclose(first, np.log([1, 1e-6, 1e-6]), rtol=1e-6)
