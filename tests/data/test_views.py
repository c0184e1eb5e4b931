"""View `epochs`: the sleep epochs of each segment, and where their 30 s begin."""

from dataclasses import replace

import numpy as np
import pytest

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.views import segment_table
from sleepkd.errors import UserError
from tests.data.reading import RAMP, first_samples, ramp_segments, segments_of, signal_of
from tests.data.stored import hypnogram, made_store


@pytest.mark.parametrize("onset", [0.0, 0.004, 0.006, 12.3456])
def test_a_sleep_epoch_of_30_s_begins_at_its_onset(tmp_path, onset):
    segments = ramp_segments(tmp_path, hypnogram(onset + 30 * np.arange(9)))
    assert first_samples(segments) == [round(100 * onset) + 3000 * k for k in range(9)]


def test_sleep_sleep_epochs_of_20_s_are_widened_and_the_first_and_last_dropped(tmp_path):
    night = hypnogram(12.34 + 20 * np.arange(8), 20.0, [0, 1, 2, 3, 4, 0, 1, 2])
    segments = ramp_segments(tmp_path, night)
    assert first_samples(segments) == [round(100 * (12.34 + 20 * k - 5)) for k in range(1, 7)]
    assert segments.table.labels[:, 0].tolist() == [1, 2, 3, 4, 0, 1]
    assert (segments.table.lead_s == -5).all()
    np.testing.assert_allclose(segments.table.start_s, 12.34 + 20 * np.arange(1, 7) - 5)


def test_widened_sleep_epochs_of_20_s_overlap(tmp_path):
    """Each is read as its own 30 s."""
    segments = ramp_segments(tmp_path, hypnogram(20 * np.arange(8), 20.0), sleep_epochs=3)
    assert sleep_epochs_of(segments) == [[1, 2, 3], [4, 5, 6]]
    x = signal_of(segments[np.array([0])])[0]
    assert x[:, 0].tolist() == [1500, 3500, 5500] and x[:, -1].tolist() == [4499, 6499, 8499]


def test_a_night_of_30_s_keeps_its_first_and_last(tmp_path):
    assert len(ramp_segments(tmp_path, hypnogram(30 * np.arange(10)))) == 10


@pytest.mark.parametrize(
    ("onsets", "duration", "kept"),
    [
        ([-0.01, 29.99, 270.0], 30.0, [2999, 27000]),  # before the first sample
        ([-0.004, 29.996, 269.996], 30.0, [0, 3000, 27000]),  # less than half a sample
        ([210.0, 240.0, 270.01], 30.0, [21000, 24000]),  # outlasts the signal by a sample
        ([4.9, 24.9, 44.9], 20.0, [1990]),
        ([-16.0, 4.0, 24.0, 44.0], 20.0, [1900]),  # the second, widened, begins before the first sample
        ([234.9, 254.9, 274.9, 294.9], 20.0, [24990, 26990]),
        ([235.1, 255.1, 275.1, 295.1], 20.0, [25010]),
    ],
)
def test_sleep_epochs_beyond_the_signal_are_left_out(tmp_path, onsets, duration, kept):
    segments = ramp_segments(tmp_path, hypnogram(onsets, duration))
    assert first_samples(segments) == kept


def test_a_sleep_epoch_must_lie_within_all_signals_that_are_read(tmp_path):
    signals = {"eeg": RAMP, "ecg": RAMP[: 200 * 100]}
    store = made_store(tmp_path / "s", {"a": hypnogram(30 * np.arange(10))}, signals)
    assert len(segments_of(store, DataConfig())) == 10
    assert len(segments_of(store, DataConfig(), ("eeg", "ecg"))) == 6


# --- several sleep epochs in a row ---


def sleep_epochs_of(segments: Segments) -> list[list[int]]:
    return segments.table.sleep_epoch.tolist()


@pytest.mark.parametrize(("gap", "epochs"), [(0.04, [[0, 1, 2, 3]]), (0.06, [[0, 1, -1, -1], [2, 3, -1, -1]])])
def test_a_gap_breaks_a_run(tmp_path, gap, epochs):
    segments = ramp_segments(tmp_path, hypnogram([0, 30, 60 + gap, 90 + gap]), sleep_epochs=4)
    assert sleep_epochs_of(segments) == epochs


def test_a_sleep_epoch_that_cannot_be_used_breaks_a_run(tmp_path):
    segments = ramp_segments(tmp_path, hypnogram([-30.0, 0, 30, 60]), sleep_epochs=2)
    assert sleep_epochs_of(segments) == [[1, 2], [3, -1]]


def test_segments_without_a_scored_sleep_epoch_do_not_train(tmp_path):
    night = hypnogram(30 * np.arange(6), labels=[-1, -1, -1, 2, 4, -1])
    store = made_store(tmp_path / "s", {"a": night}, {"eeg": RAMP})
    config = DataConfig(sleep_epochs=2, classes=4)
    assert sleep_epochs_of(segments_of(store, config)) == [[2, 3], [4, 5]]
    assert sleep_epochs_of(segments_of(store, config, unlabelled=True)) == [[2, 3], [4, 5]]  # a labelled recording
    everything = segments_of(store, config, scored_only=False)
    assert sleep_epochs_of(everything) == [[0, 1], [2, 3], [4, 5]]
    assert everything.table.labels.tolist() == [[-1, -1], [-1, 1], [3, -1]]


def test_a_night_without_a_scored_sleep_epoch_is_named(tmp_path):
    store = made_store(tmp_path / "s", {"a": hypnogram([0, 30], labels=[-1, -1])}, {"eeg": RAMP})
    with pytest.raises(UserError, match="made up/a: no scored sleep epoch lies within"):
        segments_of(store, DataConfig())
    assert len(segments_of(store, DataConfig(), scored_only=False)) == 2
    assert len(segments_of(store, DataConfig(), unlabelled=True)) == 2  # an unlabelled recording


@pytest.mark.parametrize("n", [1, 2, 5, 35])
def test_each_usable_sleep_epoch_is_in_exactly_one_segment(tmp_path, n):
    rng = np.random.default_rng(n)
    nights = {}
    for name in ("a", "b", "c"):
        gaps = np.where(rng.random(8) < 0.3, rng.uniform(0.1, 20, 8), 0.0)
        nights[name] = hypnogram(1.5 + 30 * np.arange(8) + np.cumsum(gaps), labels=rng.integers(0, 5, 8))
    store = made_store(tmp_path / "s", nights, {"eeg": RAMP})
    table = segments_of(store, DataConfig(sleep_epochs=n, classes=5), scored_only=False).table
    held = [
        (int(night), int(k))
        for night, held in zip(table.night, table.sleep_epoch, strict=True)
        for k in held[held >= 0]
    ]
    expected = [
        (i, k) for i, night in enumerate(nights.values()) for k in range(8) if round(night.onset_s[k] * 100) <= 27000
    ]
    assert sorted(held) == expected
    np.testing.assert_array_equal(table.present, table.sleep_epoch >= 0)
    assert table.sequences == len(expected)  # a network processes each one independently
    starts_SN = table.onset_s + table.lead_s
    np.testing.assert_allclose(table.start_s, starts_SN[:, 0], rtol=1e-12)
    for night, held, starts in zip(table.night, table.sleep_epoch, starts_SN, strict=True):
        used = held[held >= 0]
        np.testing.assert_array_equal(used, used[0] + np.arange(len(used)))
        np.testing.assert_allclose(np.diff(starts[: len(used)]), 30, atol=0.05)
        np.testing.assert_allclose(starts[: len(used)], list(nights.values())[night].onset_s[used])


@pytest.mark.parametrize(("classes", "expected"), [(3, [0, 1, 1, 1, 2]), (4, [0, 1, 1, 2, 3]), (5, [0, 1, 2, 3, 4])])
def test_labels_are_merged_to_the_classes_of_the_config(tmp_path, classes, expected):
    segments = ramp_segments(tmp_path, hypnogram(30 * np.arange(6), labels=[0, 1, 2, 3, 4, -1]), classes=classes)
    assert segments[np.arange(5)].labels[:, 0].tolist() == expected


def test_sleep_epochs_that_overlap_a_gap_are_left_out_and_end_a_run(tmp_path):
    store = made_store(tmp_path, {"a": hypnogram(30.0 * np.arange(10))}, {"ecg": np.ones(3000, np.int16)}, 10)
    night = store.open("a")
    night = replace(night, info=replace(night.info, gaps=((95.0, 130.0),)))
    data = DataConfig(sleep_epochs=4)
    table = segment_table([night], [{"student": resolve({"ecg": {}}, data, 10)}], data, True, False)
    onsets = [onset[present].tolist() for onset, present in zip(table.onset_s, table.present, strict=True)]
    assert onsets == [[0, 30, 60], [150, 180, 210, 240], [270]]
