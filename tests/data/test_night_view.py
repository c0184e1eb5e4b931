"""View `night`: continuous signal, the tokens of each sleep epoch, and the mask beyond the recording."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.segments import Segments
from sleepkd.data.stage_inputs import resolve
from sleepkd.data.store import StoreSettings
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store

RATE = 10
SECONDS = 600
RAMP = np.arange(SECONDS * RATE, dtype=np.int16)  # each stored number is the index of its sample


def night_segments(tmp_path, night, minutes=0, signal=RAMP, scored_only=True, gaps=(), **more) -> Segments:
    store = made_store(tmp_path / "store", {"a": night}, {"ecg": signal}, RATE)
    opened = store.open("a")
    opened = replace(opened, info=replace(opened.info, gaps=gaps))
    data = DataConfig(view="night", classes=5, clip=1e6, segment_minutes=minutes, **more)
    readers = {"student": resolve({"ecg": {}}, data, RATE)}
    return Segments([opened], readers, data, scored_only=scored_only, unlabelled=True)


def unmasked_samples(segments: Segments) -> np.ndarray:
    """The samples of all unmasked tokens, segment after segment."""
    batch = segments[np.arange(len(segments))]
    x = batch.inputs["student"]["ecg"][:, 0].reshape(len(segments), batch.mask.shape[1], -1)
    assert (x[~batch.mask] == 0).all()
    return x[batch.mask].numpy().ravel()


@pytest.mark.parametrize("minutes", [0, 1, 2, 3, 7])
@pytest.mark.parametrize(("onset", "length"), [(0.0, 30.0), (3.2, 30.0), (14.7, 20.0), (65.3, 20.0)])
def test_every_second_is_read_exactly_once(tmp_path, onset, length, minutes):
    count = int((SECONDS - onset) // length)
    night = hypnogram(onset + length * np.arange(count), length)
    segments = night_segments(tmp_path, night, minutes, scored_only=False)
    samples = unmasked_samples(segments)
    phase = round(RATE * (onset % 10))  # tokens begin where sleep epochs do
    whole = (len(RAMP) - phase) // (10 * RATE) * 10 * RATE
    np.testing.assert_array_equal(samples, RAMP[phase : phase + whole])


@pytest.mark.parametrize("minutes", [0, 2])
@pytest.mark.parametrize("length", [20.0, 30.0])
def test_token_spans_hold_the_samples_of_their_sleep_epoch(tmp_path, length, minutes):
    onset, count = 3.2, int(590 // length)
    labels = np.arange(count) % 5
    segments = night_segments(tmp_path, hypnogram(onset + length * np.arange(count), length, labels), minutes)
    batch = segments[np.arange(len(segments))]
    assert int(batch.present.sum()) == count  # the first and last R&K one too: none is widened
    found = []
    for i in range(len(segments)):
        x = batch.inputs["student"]["ecg"][i, 0].reshape(-1, 10 * RATE)
        for k in np.flatnonzero(batch.present[i]):
            first, count_of = batch.token_spans[i, k].tolist()
            assert count_of == length / 10
            samples = x[first : first + count_of].flatten()
            assert (samples.diff() == 1).all()
            found.append((round(float(samples[0])), int(batch.labels[i, k])))
    assert found == [(round(RATE * (onset + length * k)), int(labels[k])) for k in range(count)]


def test_signal_between_sleep_epochs_is_read_without_a_label(tmp_path):
    night = hypnogram([0, 30, 120, 150], labels=[1, 2, 3, 4])
    segments = night_segments(tmp_path, night)
    batch = segments[np.array([0])]
    assert batch.labels[0].tolist() == [1, 2, 3, 4]
    assert batch.token_spans[0, :, 0].tolist() == [0, 3, 12, 15]
    np.testing.assert_array_equal(unmasked_samples(segments), RAMP)


def test_sleep_epochs_beyond_the_signal_are_left_out_and_their_tokens_masked(tmp_path):
    segments = night_segments(tmp_path, hypnogram([-30.0, 0.0, 30.0, 570.0, 600.0, 9000.0]), signal=RAMP[:-15])
    batch = segments[np.array([0])]
    assert segments.table.sleep_epoch[0].tolist() == [1, 2]  # 570 to 600 lacks 1.5 s
    assert batch.mask[0].sum() == 59
    np.testing.assert_array_equal(unmasked_samples(segments), RAMP[:5900])


def test_the_logits_of_a_sleep_epoch_are_the_mean_over_its_tokens(tmp_path):
    night = hypnogram([5.0, 35.0, 65.0, 85.0], [30.0, 30.0, 20.0, 20.0])
    segments = night_segments(tmp_path, night)
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
    segments = Segments(nights, {"student": resolve({"ecg": {}}, data, RATE)}, data)
    batch = segments[np.array([0, 1])]
    assert batch.mask.sum(dim=1).tolist() == [60, 24]
    assert batch.present.sum(dim=1).tolist() == [20, 12]
    assert batch.inputs["student"]["ecg"].shape == (2, 1, 6000)
    assert (batch.inputs["student"]["ecg"][1, 0, 2400:] == 0).all()
    logits = torch.randn(2, 60, 4)
    assert batch.per_sleep_epoch(logits).shape == (2, 20, 4)


def test_an_unlabelled_recording_is_read_from_its_first_sample(tmp_path):
    segments = night_segments(tmp_path, hypnogram(30.0 * np.arange(20), labels=[-1] * 20))
    np.testing.assert_array_equal(unmasked_samples(segments), RAMP)
    assert (segments.table.labels == -1).all() and segments.table.present.all()


def test_training_reads_segments_and_evaluation_whole_nights(tmp_path):
    night = hypnogram(30.0 * np.arange(20))
    training = night_segments(tmp_path, night, minutes=2)
    assert (len(training), training.table.mask.shape[1]) == (5, 12)
    whole = Segments(training.nights, training.readers, training.data.whole_nights())
    assert (len(whole), whole.table.mask.shape[1]) == (1, 60)


def test_context_is_never_exceeded(tmp_path):
    segments = night_segments(tmp_path, hypnogram(30.0 * np.arange(20)), minutes=5, context_minutes=1)
    for data in (segments.data, segments.data.whole_nights()):
        limited = Segments(segments.nights, segments.readers, data)
        assert (len(limited), limited.table.mask.shape[1]) == (10, 6)


def test_positions_of_a_feature_follow_the_mask(tmp_path):
    segments = night_segments(tmp_path, hypnogram([0.0, 30.0]), signal=RAMP[: 450 * RATE])
    batch = segments[np.array([0])]
    assert batch.mask.shape[1] == 45
    segments = night_segments(tmp_path / "odd", hypnogram([0.0, 30.0]), signal=RAMP[: 440 * RATE])
    batch = segments[np.array([0])]
    assert (batch.mask.shape[1], int(batch.mask.sum())) == (45, 44)
    positions = batch.positions(450)
    assert positions.shape == (1, 450) and int(positions.sum()) == 440 and not positions[0, 440:].any()


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
def test_settings_of_view_epochs_are_refused(data, message):
    with pytest.raises(UserError, match=message):
        resolve({"ecg": {}}, DataConfig(view="night", **data), RATE)


def test_gaps_are_masked_and_their_sleep_epochs_left_out(tmp_path):
    """A gap from 95 to 130 s: tokens that overlap it are masked, sleep epochs that overlap it are left out."""
    night = hypnogram(30.0 * np.arange(20), labels=np.arange(20) % 5)
    segments = night_segments(tmp_path, night, gaps=((95.0, 130.0),))
    batch = segments[np.arange(len(segments))]
    assert np.flatnonzero(~batch.mask[0, :60]).tolist() == [9, 10, 11, 12]
    assert (batch.inputs["student"]["ecg"][0, 0].reshape(-1, 10 * RATE)[9:13] == 0).all()
    onsets = segments.table.onset_s[0][segments.table.present[0]]
    assert onsets.tolist() == [30.0 * k for k in range(20) if k not in (3, 4)]
