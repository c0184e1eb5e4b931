"""From the lines of a scoring file to sleep epochs: durations that do not fit, overlaps, unlabelled time."""

from pathlib import Path

import pytest

from sleepkd.cohorts.labels.marks import as_sleep_epochs
from sleepkd.cohorts.labels.scored import LabelLayout, Mark
from sleepkd.data.hypnogram import SLEEP_STAGES
from sleepkd.errors import UserError

LABELS = {"W": "W", "1": "N1", "2": "N2", "3": "N3", "4": "N3", "R": "REM", "?": "unscored"}


def read(*marks, seconds=30.0, **more):
    """(onsets, sleep stages by letter, remarks) of (onset, duration, text)."""
    layout = LabelLayout(files=("x",), labels=LABELS, **more)
    scored = as_sleep_epochs(Path("x.edf"), [Mark(*mark) for mark in marks], layout, seconds)
    assert (scored.hypnogram.duration_s == seconds).all()
    names = dict(zip(SLEEP_STAGES, "W123R", strict=True))
    letters = "".join(names[SLEEP_STAGES[label]] if label >= 0 else "?" for label in scored.hypnogram.labels)
    return scored.hypnogram.onset_s.tolist(), letters, list(scored.remarks)


def test_single_epochs_runs_and_marks_without_durations():
    assert read((0, 30, "W"), (30, 90, "2"), (120, 0, "R")) == ([0, 30, 60, 90, 120], "W222R", [])


@pytest.mark.parametrize("duration", [29.99, 30.4, 29.6])
def test_rounded_durations_are_sleep_epochs(duration):
    assert read(*((30 * k, duration, "2") for k in range(4))) == ([0, 30, 60, 90], "2222", [])


def test_the_rest_of_a_run_is_left_out_with_a_warning():
    onsets, letters, (remark,) = read((0, 45, "W"), (45, 30, "1"), (75, 225, "2"))
    assert (onsets, letters) == ([0, 45, *range(75, 285, 30)], "W12222222")
    assert remark == "WARNING: 30 s of 2 sleep stages, whose duration is not a multiple of 30 s, are left out"


def test_short_marks_one_epoch_apart_are_sleep_epochs():
    onsets, letters, (remark,) = read(*((30 * k, 1, "W12"[k % 3]) for k in range(6)))
    assert (onsets, letters) == ([30 * k for k in range(6)], "W12W12")
    assert remark == "WARNING: 6 sleep stages last far below 30 s, taken as that long"


def test_a_short_last_sleep_epoch_is_left_out():
    assert read((0, 30, "W"), (30, 30, "1"), (60, 12, "2"))[:2] == ([0, 30], "W1")


def test_sleep_epochs_of_another_length_are_refused():
    with pytest.raises(UserError, match=r"x\.edf: most of its sleep stages last 20 s, but epoch_seconds is 30"):
        read(*((20 * k, 20, "2") for k in range(10)))


@pytest.mark.parametrize(
    "marks",
    [
        [(0, 150, "W"), (75, 60, "2"), (150, 150, "1")],
        [(0, 30, "W"), (15, 30, "2"), (30, 30, "W")],
        [(0, 30, "W"), (0, 30, "2")],
        [(0, 300, "W"), (60, 0, "2")],
    ],
)
def test_sleep_stages_that_overlap_are_refused(marks):
    with pytest.raises(UserError, match=r"x\.edf: sleep stages overlap: '.' from .* s for .* keep one scorer's"):
        read(*marks)


@pytest.mark.parametrize(
    "marks",
    [
        [(0, 30, "W"), (30, 30, "2"), (45, 10, "3"), (60, 30, "2"), (90, 30, "2")],  # 3 within a sleep epoch of 2
        [(0, 100, "W"), (90, 60, "2"), (150, 30, "2")],  # 2 begins before W ends, after its last whole sleep epoch
        [(0, 45, "W"), (30, 45, "2"), (60, 30, "2")],
        [(0, 30, "W"), (30, 12, "2"), (35, 12, "R"), (60, 30, "W"), (90, 30, "W")],  # no whole sleep epoch of both
    ],
)
def test_sleep_stages_that_contradict_each_other_in_a_part_of_a_sleep_epoch_are_refused(marks):
    with pytest.raises(UserError, match=r"x\.edf: sleep stages overlap: '.' from .* s for .* keep one scorer's"):
        read(*marks)


def test_what_does_not_contradict_is_read():
    assert read((0, 30, "W"), (30, 30, "2"), (45, 10, "2"), (60, 30, "2"))[1] == "W22"  # a duplicate of a part
    assert read((0, 30, "W"), (30, 30, "2"), (45, 10, "?"), (60, 30, "2"))[1] == "W22"  # a movement
    assert read((0, 30, "3"), (30, 30, "4"), (45, 10, "3"), (60, 30, "4"))[1] == "333"  # both are N3
    assert read((0, 31, "W"), (30, 31, "2"), (61, 30, "R"))[1] == "W2R"  # whole seconds


def test_rounded_onsets_do_not_overlap():
    assert read((0, 30, "W"), (29.98, 30, "1"), (59.6, 30, "2"))[0] == [0, 29.98, 59.6]


def test_duplicate_marks_count_once():
    onsets, letters, (remark,) = read((0, 30, "W"), (30, 30, "1"), (0, 30, "W"), (30, 30, "1"))
    assert (onsets, letters, remark) == ([0, 30], "W1", "WARNING: 2 sleep stages are written twice")


def test_stages_written_at_changes_last_until_the_next():
    assert read((0, 0, "W"), (120, 0, "1"), (150, 0, "2"), changes_only=True)[1] == "WWWW12"


@pytest.mark.parametrize(("at_once", "replaced"), [("12", 1), ("121", 1), ("132", 2), ("342", 2), ("34", 0), ("33", 0)])
def test_the_last_of_several_changes_at_one_instant_counts(at_once, replaced):
    marks = [(0, 0, "W"), *((120, 0, text) for text in at_once), (150, 0, "R")]
    _, letters, remarks = read(*marks, changes_only=True)
    assert letters == f"WWWW{at_once[-1].replace('4', '3')}R"
    warned = f"WARNING: {replaced} sleep stages are replaced by another at the same instant"
    assert [line for line in remarks if "replaced" in line] == [warned] * bool(replaced)


def test_the_last_change_of_a_file_may_be_replaced():
    assert read((0, 0, "W"), (60, 0, "2"), (60, 0, "R"), changes_only=True)[:2] == ([0, 30, 60], "WWR")


def test_unlabelled_time_is_warned_of_with_its_annotations():
    onsets, _, remarks = read((0, 0, "W"), (120, 0, "1"), (300, 0, "2"))
    assert onsets == [0, 120, 300]
    assert len(remarks) == 1 and remarks[0].startswith(
        "WARNING: only 3 of 11 sleep epochs from the first to the last have"
    )
    marks = [(30 * k, 30, "W") for k in range(12) if k != 5]
    (remark,) = read(*marks, (150, 30, "Movement"), (60, 3, "arousal"), (95, 0, "lights"))[2]
    assert remark == "WARNING: between sleep stages stands 'Movement' (1), which scoring.labels does not name"
