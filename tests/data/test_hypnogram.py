"""Class schemes and hypnograms."""

import numpy as np
import pytest

from sleepkd.data.hypnogram import CLASS_NAMES, SLEEP_STAGES, UNSCORED, Hypnogram, merge_labels, unscored_hypnogram

MERGED_BY_NAME = {
    5: {"W": "W", "N1": "N1", "N2": "N2", "N3": "N3", "REM": "REM"},
    4: {"W": "W", "N1": "light", "N2": "light", "N3": "deep", "REM": "REM"},
    3: {"W": "W", "N1": "NREM", "N2": "NREM", "N3": "NREM", "REM": "REM"},
}


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_sleep_stages_merge_by_name(classes):
    merged = merge_labels(np.arange(5), classes)
    by_name = {stage: CLASS_NAMES[classes][label] for stage, label in zip(SLEEP_STAGES, merged, strict=True)}
    assert by_name == MERGED_BY_NAME[classes]
    assert set(merged) == set(range(classes))


@pytest.mark.parametrize(
    ("classes", "expected"), [(3, [[-1, 0, 1], [1, 1, 2]]), (4, [[-1, 0, 1], [1, 2, 3]]), (5, [[-1, 0, 1], [2, 3, 4]])]
)
def test_unscored_stays_unscored_and_the_shape_stays(classes, expected):
    labels = np.array([[UNSCORED, 0, 1], [2, 3, 4]], dtype=np.int8)
    merged = merge_labels(labels, classes)
    np.testing.assert_array_equal(merged, np.array(expected, dtype=np.int8), strict=True)


def hypnogram(onsets, durations=None, labels=None) -> Hypnogram:
    n = len(onsets)
    return Hypnogram(
        np.array(onsets, dtype=float),
        np.full(n, 30.0) if durations is None else np.array(durations),
        np.zeros(n, dtype=np.int8) if labels is None else np.array(labels, dtype=np.int8),
    )


def test_a_hypnogram_is_in_time_order_with_columns_of_equal_length():
    assert len(hypnogram([0.5, 30.5])) == 2
    assert len(hypnogram([])) == 0
    for onsets in ([30.5, 0.5], [0.5, 0.5]):
        with pytest.raises(ValueError, match="time order"):
            hypnogram(onsets)
    with pytest.raises(ValueError, match="differ in length"):
        hypnogram([0.5, 30.5], labels=[0])
    with pytest.raises(ValueError, match="differ in length"):
        hypnogram([0.5, 30.5], durations=[30.0])


@pytest.mark.parametrize(("seconds", "epoch_seconds", "n"), [(90, 30, 3), (89.99, 30, 2), (95.5, 20, 4), (29, 30, 0)])
def test_an_unlabelled_recording_has_complete_unscored_sleep_epochs(seconds, epoch_seconds, n):
    grid = unscored_hypnogram(seconds, epoch_seconds)
    np.testing.assert_array_equal(grid.onset_s, np.arange(n) * float(epoch_seconds), strict=True)
    assert grid.duration_s.tolist() == [epoch_seconds] * n
    assert grid.labels.tolist() == [UNSCORED] * n and grid.labels.dtype == np.int8
