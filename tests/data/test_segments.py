"""Reading of segments: samples, polarity, normalisation, padding."""

import pickle

import numpy as np
import pytest
import torch
from scipy.signal import resample

from sleepkd.data.data_settings import DataConfig
from sleepkd.data.store import StoreSettings
from sleepkd.errors import UserError
from tests.data.reading import AS_STORED, LENGTH, RAMP, first_samples, ramp_segments, segments_of, signal_of
from tests.data.stored import hypnogram, made_store


def test_onsets_truncated_as_in_the_released_code(tmp_path):
    night = hypnogram([3.99, 33.99, 63.99])
    assert first_samples(ramp_segments(tmp_path / "t", night, alignment="truncated")) == [300, 3300, 6300]
    assert first_samples(ramp_segments(tmp_path / "e", night)) == [399, 3399, 6399]


def test_rates_truncated_as_in_the_released_code(tmp_path):
    """The release turns onsets into sample numbers with int(rate), and so drifts: half a sample per second here."""
    night = hypnogram([10.75, 40.75, 70.75])
    store = made_store(
        tmp_path / "s", {"a": night}, {"eeg": RAMP}, 100.5, StoreSettings("made up", 100.5, "each_window")
    )
    starts = {}
    for alignment in ("exact", "truncated"):
        config = DataConfig(alignment=alignment, **AS_STORED)
        starts[alignment] = first_samples(segments_of(store, config))
    assert starts == {"exact": [1080, 4095, 7110], "truncated": [1000, 4000, 7000]}


def test_segments_of_three_are_padded_at_the_end_of_a_run(tmp_path):
    segments = ramp_segments(tmp_path, hypnogram(30 * np.arange(7), labels=[0, 1, 2, 3, 4, 0, 1]), sleep_epochs=3)
    assert segments.table.sleep_epoch.tolist() == [[0, 1, 2], [3, 4, 5], [6, -1, -1]]
    batch = segments[np.array([2, 0])]
    assert batch.labels.tolist() == [[1, -1, -1], [0, 1, 2]]
    assert batch.present.tolist() == [[True, False, False], [True, True, True]]
    assert signal_of(batch).shape == (2, 3, LENGTH)
    assert (signal_of(batch)[0, 1:] == 0).all()
    np.testing.assert_array_equal(signal_of(batch)[0, 0], RAMP[6 * 3000 : 7 * 3000])
    np.testing.assert_array_equal(signal_of(batch)[1].reshape(-1), RAMP[: 3 * 3000])
    assert (batch.labels.dtype, batch.present.dtype) == (torch.int64, torch.bool)
    assert signal_of(batch).dtype == torch.float32


@pytest.mark.parametrize("normalisation", ["robust_night", "robust_scored", "minmax_window"])
def test_padding_is_zero_under_any_normalisation(tmp_path, normalisation):
    store = made_store(tmp_path / "s", {"a": hypnogram([0, 30])}, {"eeg": RAMP}, median=500.0, offset=7.0)
    config = DataConfig(sleep_epochs=4, normalisation=normalisation)
    x = signal_of(segments_of(store, config)[np.array([0])])
    assert (x[0, 2:] == 0).all() and (x[0, :2] != 0).any()


# --- normalisation ---

NOISE = np.rint(np.random.default_rng(0).standard_t(2, size=100 * 100) * 300).clip(-32767, 32767).astype(np.int16)
NOISE[3000:6000] = 17  # flat for a sleep epoch
FACTS = {"scale": 0.0123, "offset": -4.5}
STATISTICS = {"robust_night": (-3.25, 5.5), "robust_scored": (-2.5, 7.25)}  # median and interquartile range
OF_NIGHT, OF_SCORED = STATISTICS.values()
FACTS |= {"median": OF_NIGHT[0], "iqr": OF_NIGHT[1], "scored_median": OF_SCORED[0], "scored_iqr": OF_SCORED[1]}


def normalised(tmp_path, polarity, rate_hz=100.0, settings=None, facts=FACTS, **config):
    signals = {"eeg": NOISE, "ecg": NOISE}
    night = hypnogram([0.5, 30.0, 60.0])
    store = made_store(tmp_path / "s", {"a": night}, signals, rate_hz, settings, polarity=polarity, **facts)
    batch = segments_of(store, DataConfig(**config), ("eeg", "ecg"))[np.arange(3)]
    length = round(30 * rate_hz)
    starts = [round(onset * rate_hz) for onset in night.onset_s]
    raw = np.stack([NOISE[s : s + length] for s in starts]).astype(np.float64)
    return raw, {name: signal_of(batch, name)[:, 0].numpy() for name in signals}


SIGN = {  # {data.ecg_polarity: {stored polarity: factor on the ECG}}
    "corrected": {1: 1, -1: -1},
    "as_recorded": {1: 1, -1: 1},
    "inverted": {1: -1, -1: -1},
}


@pytest.mark.parametrize("choice", SIGN)
@pytest.mark.parametrize("polarity", [1, -1])
@pytest.mark.parametrize("normalisation", STATISTICS)
def test_robust_in_float64(tmp_path, choice, polarity, normalisation):
    raw, read = normalised(tmp_path, polarity, ecg_polarity=choice, clip=8.0, normalisation=normalisation)
    median, iqr = STATISTICS[normalisation]
    expected = np.clip((0.0123 * raw - 4.5 - median) / iqr, -8, 8)
    assert (np.abs(expected) == 8).any()
    np.testing.assert_allclose(read["eeg"], expected, rtol=0, atol=2e-6)  # the EEG is never inverted
    np.testing.assert_allclose(read["ecg"], SIGN[choice][polarity] * expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("choice", SIGN)
@pytest.mark.parametrize("polarity", [1, -1])
def test_minmax_window_in_float64(tmp_path, choice, polarity):
    raw, read = normalised(tmp_path, polarity, ecg_polarity=choice, normalisation="minmax_window")
    for name, sign in (("eeg", 1), ("ecg", SIGN[choice][polarity])):
        physical = sign * (0.0123 * raw - 4.5)
        low, high = physical.min(axis=1, keepdims=True), physical.max(axis=1, keepdims=True)
        expected = (physical - low) / np.maximum(high - low, 1e-12)
        np.testing.assert_allclose(read[name], expected, rtol=0, atol=1e-6)
        assert read[name][0].min() == 0 and read[name][0].max() == 1
        assert (read[name][1] == 0).all()  # the flat sleep epoch


def test_any_scale_and_offset_keeps_its_precision(tmp_path):
    """Values in volts, and an offset a million times the step, are read to 1e-4."""
    for facts in (
        {"scale": 3e-9, "offset": 2e-4, "median": 2.1e-4, "iqr": 4e-5},
        {"scale": 0.1, "offset": 1e6, "median": 1e6 + 3, "iqr": 50.0},
    ):
        raw, read = normalised(tmp_path / str(facts["scale"]), 1, facts=facts)
        expected = np.clip((facts["scale"] * raw + facts["offset"] - facts["median"]) / facts["iqr"], -20, 20)
        np.testing.assert_allclose(read["eeg"], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalisation", [*STATISTICS, "minmax_window"])
@pytest.mark.parametrize("recorded_hz", [90.0, 100.0, 75.5])
def test_each_segment_is_resampled_separately(tmp_path, normalisation, recorded_hz):
    """In a store of recorded rates a segment is normalised, then Fourier-resampled to the rate of the store."""
    settings = StoreSettings("made up", 80.0, "each_window")
    raw, read = normalised(tmp_path, -1, recorded_hz, settings, normalisation=normalisation)
    for name, sign in (("eeg", 1), ("ecg", -1)):
        physical = sign * (0.0123 * raw - 4.5)
        if normalisation == "minmax_window":
            low, high = physical.min(axis=1, keepdims=True), physical.max(axis=1, keepdims=True)
            x = (physical - low) / np.maximum(high - low, 1e-12)
        else:
            median, iqr = STATISTICS[normalisation]
            x = np.clip((physical - sign * median) / iqr, -20, 20)
        np.testing.assert_allclose(read[name], resample(x, 2400, axis=-1), rtol=0, atol=2e-5)


def test_recordings_of_two_rates_in_one_batch(tmp_path):
    settings = StoreSettings("made up", 80.0, "each_window")
    signal = np.rint(1000 * np.sin(2 * np.pi * np.arange(9000) / 9000 * 50)).astype(np.int16)
    night = hypnogram([0.0, 30.0])
    made_store(tmp_path / "s", {"a": night}, {"eeg": signal}, 100.0, settings, iqr=1000.0)
    store = made_store(tmp_path / "s", {"b": night}, {"eeg": signal}, 120.0, settings, iqr=1000.0)
    segments = segments_of(store, DataConfig())
    chosen = np.array([3, 0, 2, 1])
    batch = signal_of(segments[chosen])
    assert batch.shape == (4, 1, 2400)
    for x, w in zip(batch, chosen, strict=True):
        rate = (100, 120)[w // 2]
        expected = resample(signal[30 * rate * (w % 2) :][: 30 * rate] / 1000, 2400)
        np.testing.assert_allclose(x[0], expected, rtol=0, atol=1e-5)


# --- Segments ---


def test_segments_pickle_without_signals(tmp_path):
    segments = ramp_segments(tmp_path, hypnogram(30 * np.arange(9)))
    before = segments[np.arange(9)]
    assert isinstance(segments.nights[0].signal("eeg").base, np.memmap)
    pickled = pickle.dumps(segments)
    assert len(pickled) < RAMP.nbytes / 5  # a loader process maps the signals itself
    np.testing.assert_array_equal(signal_of(pickle.loads(pickled)[np.arange(9)]), signal_of(before))


def test_a_signal_that_a_recording_lacks_is_named(tmp_path):
    store = made_store(tmp_path / "s", {"a": hypnogram([0, 30])}, {"eeg": RAMP})
    with pytest.raises(UserError, match="a: holds no ecg; prepare it with a channel for it"):
        segments_of(store, DataConfig(), ("eeg", "ecg"))


def test_a_batch_changes_dtype_and_keeps_its_labels(tmp_path):
    batch = ramp_segments(tmp_path, hypnogram([0, 30]))[np.array([1])].to(torch.device("cpu"), torch.float64)
    assert signal_of(batch).dtype == torch.float64
    assert (batch.labels.dtype, batch.present.dtype) == (torch.int64, torch.bool)
