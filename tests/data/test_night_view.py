"""The night as it runs: every second once, sleep epochs where they are, the recording's ends masked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sleepkd.data.inputs import SignalInput, resolve
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.store import StoreSettings
from sleepkd.data.segments import Segments
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store

RATE = 10
SECONDS = 600
RAMP = np.arange(SECONDS * RATE, dtype=np.int16)  # the stored number is the sample's own number


def night_windows(tmp_path, night, crop=0, signal=RAMP, scored_only=True, gaps=(), **more) -> Segments:
    store = made_store(tmp_path / "store", {"a": night}, {"ecg": signal}, RATE)
    opened = store.open("a")
    opened = replace(opened, info=replace(opened.info, gaps=gaps))
    data = DataConfig(view="night", classes=5, clip=1e6, segment_minutes=crop, **more)
    readers = {"student": resolve({"ecg": SignalInput()}, data, RATE)}
    return Segments([opened], readers, data, scored_only=scored_only, unlabelled=True)


def seconds_seen(segments: Segments) -> np.ndarray:
    """The numbers of all samples that unmasked token_spans hold, in the order of rows."""
    batch = segments[np.arange(len(segments))]
    x = batch.inputs["student"]["ecg"][:, 0].reshape(len(segments), batch.mask.shape[1], -1)
    assert (x[~batch.mask] == 0).all()
    return x[batch.mask].numpy().ravel()


@pytest.mark.parametrize("crop", [0, 1, 2, 3, 7])
@pytest.mark.parametrize(("onset", "length"), [(0.0, 30.0), (3.2, 30.0), (14.7, 20.0), (65.3, 20.0)])
def test_no_second_is_seen_twice_and_none_is_skipped(tmp_path, onset, length, crop):
    count = int((SECONDS - onset) // length)
    night = hypnogram(onset + length * np.arange(count), length)
    segments = night_windows(tmp_path, night, crop, scored_only=False)
    seen = seconds_seen(segments)
    phase = round(RATE * (onset % 10))  # token_spans begin where sleep epochs do
    whole = (len(RAMP) - phase) // (10 * RATE) * 10 * RATE
    np.testing.assert_array_equal(seen, RAMP[phase : phase + whole])


@pytest.mark.parametrize("crop", [0, 2])
@pytest.mark.parametrize("length", [20.0, 30.0])
def test_sleep_epochs_keep_their_place_and_length(tmp_path, length, crop):
    onset, count = 3.2, int(590 // length)
    labels = np.arange(count) % 5
    segments = night_windows(tmp_path, hypnogram(onset + length * np.arange(count), length, labels), crop)
    batch = segments[np.arange(len(segments))]
    assert int(batch.present.sum()) == count  # the first and last R&K one too: none is widened
    found = []
    for row in range(len(segments)):
        x = batch.inputs["student"]["ecg"][row, 0].reshape(-1, 10 * RATE)
        for k in np.flatnonzero(batch.present[row]):
            first, token_spans = batch.token_spans[row, k].tolist()
            assert token_spans == length / 10
            samples = x[first : first + token_spans].flatten()
            assert (samples.diff() == 1).all()
            found.append((round(float(samples[0])), int(batch.labels[row, k])))
    assert found == [(round(RATE * (onset + length * k)), int(labels[k])) for k in range(count)]


def test_a_gap_between_sleep_epochs_is_seen_and_counts_nowhere(tmp_path):
    night = hypnogram([0, 30, 120, 150], labels=[1, 2, 3, 4])
    segments = night_windows(tmp_path, night)
    batch = segments[np.array([0])]
    assert batch.labels[0].tolist() == [1, 2, 3, 4]
    assert batch.token_spans[0, :, 0].tolist() == [0, 3, 12, 15]
    np.testing.assert_array_equal(seconds_seen(segments), RAMP)


def test_what_reaches_beyond_the_signal_is_dropped_and_masked(tmp_path):
    segments = night_windows(tmp_path, hypnogram([-30.0, 0.0, 30.0, 570.0, 600.0, 9000.0]), signal=RAMP[:-15])
    batch = segments[np.array([0])]
    assert segments.table.sleep_epoch[0].tolist() == [1, 2]  # 570 to 600 lacks 1.5 s
    assert batch.mask[0].sum() == 59
    np.testing.assert_array_equal(seconds_seen(segments), RAMP[:5900])


def test_the_answer_to_a_sleep_epoch_is_the_mean_over_its_cells(tmp_path):
    night = hypnogram([5.0, 35.0, 65.0, 85.0], [30.0, 30.0, 20.0, 20.0])
    segments = night_windows(tmp_path, night)
    batch = segments[np.array([0])]
    logits = torch.arange(batch.mask.shape[1] * 5.0).reshape(1, -1, 5)
    first = batch.token_spans[0, :, 0].tolist()
    expected = torch.stack([logits[0, f : f + c].mean(0) for f, c in zip(first, (3, 3, 2, 2), strict=True)])
    torch.testing.assert_close(batch.per_sleep_epoch(logits)[0], expected)


def test_nights_of_two_lengths_and_standards_in_one_batch(tmp_path):
    store = made_store(tmp_path / "s", {"a": hypnogram(30.0 * np.arange(20))}, {"ecg": RAMP}, RATE)
    made_store(tmp_path / "s", {"b": hypnogram(20.0 * np.arange(12), 20.0)}, {"ecg": RAMP[:2400]}, RATE,
               StoreSettings("made up", RATE))  # fmt: skip
    data = DataConfig(view="night", clip=1e6)
    nights = [store.open("a"), store.open("b")]
    segments = Segments(nights, {"student": resolve({"ecg": SignalInput()}, data, RATE)}, data)
    batch = segments[np.array([0, 1])]
    assert batch.mask.sum(dim=1).tolist() == [60, 24]
    assert batch.present.sum(dim=1).tolist() == [20, 12]
    assert batch.inputs["student"]["ecg"].shape == (2, 1, 6000)
    assert (batch.inputs["student"]["ecg"][1, 0, 2400:] == 0).all()
    logits = torch.randn(2, 60, 4)
    assert batch.per_sleep_epoch(logits).shape == (2, 20, 4)


def test_a_night_without_labels_runs_from_its_start(tmp_path):
    segments = night_windows(tmp_path, hypnogram(30.0 * np.arange(20), labels=[-1] * 20))
    np.testing.assert_array_equal(seconds_seen(segments), RAMP)
    assert (segments.table.labels == -1).all() and segments.table.present.all()


def test_training_sees_crops_and_a_trained_network_the_night(tmp_path):
    night = hypnogram(30.0 * np.arange(20))
    cropped = night_windows(tmp_path, night, crop=2)
    assert (len(cropped), cropped.table.mask.shape[1]) == (5, 12)
    whole = Segments(cropped.nights, cropped.readers, cropped.data.whole_nights())
    assert (len(whole), whole.table.mask.shape[1]) == (1, 60)


def test_context_is_never_exceeded(tmp_path):
    segments = night_windows(tmp_path, hypnogram(30.0 * np.arange(20)), crop=5, context_minutes=1)
    for data in (segments.data, segments.data.whole_nights()):
        rows = Segments(segments.nights, segments.readers, data)
        assert (len(rows), rows.table.mask.shape[1]) == (10, 6)


def test_positions_of_a_feature_follow_the_mask(tmp_path):
    segments = night_windows(tmp_path, hypnogram([0.0, 30.0]), signal=RAMP[: 450 * RATE])
    batch = segments[np.array([0])]
    assert batch.mask.shape[1] == 45
    segments = night_windows(tmp_path / "odd", hypnogram([0.0, 30.0]), signal=RAMP[: 440 * RATE])
    batch = segments[np.array([0])]
    assert (batch.mask.shape[1], int(batch.mask.sum())) == (45, 44)
    there = batch.positions(450)
    assert there.shape == (1, 450) and int(there.sum()) == 440 and not there[0, 440:].any()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"normalisation": "minmax_window"},
            "stage.inputs.ecg.normalisation: minmax_window goes with data.view: epochs",
        ),
        ({"alignment": "truncated"}, "stage.inputs.ecg.alignment: truncated goes with data.view: epochs"),
    ],
)
def test_choices_of_single_cuts_are_refused(data, message):
    with pytest.raises(UserError, match=message):
        resolve({"ecg": SignalInput()}, DataConfig(view="night", **data), RATE)


def test_gaps_are_masked_and_their_sleep_epochs_are_not_seen(tmp_path):
    """A gap from 95 to 130 s: token_spans that hold a second of it are masked, sleep epochs that do are left out."""
    night = hypnogram(30.0 * np.arange(20), labels=np.arange(20) % 5)
    segments = night_windows(tmp_path, night, gaps=((95.0, 130.0),))
    batch = segments[np.arange(len(segments))]
    assert np.flatnonzero(~batch.mask[0, :60]).tolist() == [9, 10, 11, 12]
    assert (batch.inputs["student"]["ecg"][0, 0].reshape(-1, 10 * RATE)[9:13] == 0).all()
    onsets = segments.table.onset_s[0][segments.table.present[0]]
    assert onsets.tolist() == [30.0 * k for k in range(20) if k not in (3, 4)]
