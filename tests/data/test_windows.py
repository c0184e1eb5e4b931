import pickle

import numpy as np
import pytest
import torch
from scipy.signal import resample

from sleepkd.config import DataConfig
from sleepkd.data.store import StoreSettings
from sleepkd.data.windows import Windows
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store

RATE = 100
LENGTH = 30 * RATE
RAMP = np.arange(300 * RATE, dtype=np.int16)  # the stored number is the sample's own number
AS_STORED = {"classes": 5, "clip": 1e6}  # with median 0 and interquartile range 1: what is read is what is stored


def ramp_windows(tmp_path, night, rate_hz=RATE, **config) -> Windows:
    store = made_store(tmp_path / "store", {"a": night}, {"eeg": RAMP}, rate_hz)
    return Windows(store, ("a",), DataConfig(**(AS_STORED | config)), ("eeg",))


def first_samples(windows: Windows) -> list[int]:
    """The number of the sample that each window begins with; the rest of it must follow without a gap."""
    x = windows[np.arange(len(windows))].signals["eeg"][:, 0]
    assert (x.diff(dim=1) == 1).all()
    return x[:, 0].int().tolist()


@pytest.mark.parametrize("onset", [0.0, 0.004, 0.006, 12.3456])
def test_a_sleep_epoch_of_30_s_begins_at_its_onset(tmp_path, onset):
    windows = ramp_windows(tmp_path, hypnogram(onset + 30 * np.arange(9)))
    assert first_samples(windows) == [round(100 * onset) + 3000 * k for k in range(9)]


def test_sleep_epochs_of_20_s_are_widened_and_the_first_and_last_dropped(tmp_path):
    night = hypnogram(12.34 + 20 * np.arange(8), 20.0, [0, 1, 2, 3, 4, 0, 1, 2])
    windows = ramp_windows(tmp_path, night)
    assert first_samples(windows) == [round(100 * (12.34 + 20 * k - 5)) for k in range(1, 7)]
    assert windows.table.labels[:, 0].tolist() == [1, 2, 3, 4, 0, 1]


def test_a_night_of_30_s_keeps_its_first_and_last(tmp_path):
    assert len(ramp_windows(tmp_path, hypnogram(30 * np.arange(10)))) == 10


@pytest.mark.parametrize(
    ("onsets", "duration", "kept"),
    [
        ([-0.01, 29.99, 270.0], 30.0, [2999, 27000]),  # before the first sample
        ([-0.004, 29.996, 269.996], 30.0, [0, 3000, 27000]),  # half a sample is none
        ([210.0, 240.0, 270.01], 30.0, [21000, 24000]),  # outlasts the signal by a sample
        ([4.9, 24.9, 44.9], 20.0, [1990]),
        ([-16.0, 4.0, 24.0, 44.0], 20.0, [1900]),  # the second, widened, begins before the first sample
        ([234.9, 254.9, 274.9, 294.9], 20.0, [24990, 26990]),
        ([235.1, 255.1, 275.1, 295.1], 20.0, [25010]),
    ],
)
def test_what_reaches_beyond_the_signal_is_dropped(tmp_path, onsets, duration, kept):
    windows = ramp_windows(tmp_path, hypnogram(onsets, duration))
    assert first_samples(windows) == kept


def test_onsets_truncated_as_released(tmp_path):
    night = hypnogram([3.99, 33.99, 63.99])
    assert first_samples(ramp_windows(tmp_path / "t", night, alignment="truncated")) == [300, 3300, 6300]
    assert first_samples(ramp_windows(tmp_path / "e", night)) == [399, 3399, 6399]


def test_rates_truncated_as_released(tmp_path):
    """The release turns onsets into sample numbers with int(rate), and so drifts: half a sample per second here."""
    night = hypnogram([10.75, 40.75, 70.75])
    store = made_store(
        tmp_path / "s", {"a": night}, {"eeg": RAMP}, 100.5, StoreSettings("made up", 100.5, "each_window")
    )
    starts = {}
    for alignment in ("exact", "truncated"):
        config = DataConfig(alignment=alignment, **AS_STORED)
        starts[alignment] = first_samples(Windows(store, ("a",), config, ("eeg",)))
    assert starts == {"exact": [1080, 4095, 7110], "truncated": [1000, 4000, 7000]}


# --- several sleep epochs in a window ---


def epochs_of(windows: Windows) -> list[list[int]]:
    return windows.table.sleep_epoch.tolist()


def test_windows_of_three_are_padded_at_the_end_of_a_run(tmp_path):
    windows = ramp_windows(tmp_path, hypnogram(30 * np.arange(7), labels=[0, 1, 2, 3, 4, 0, 1]), window=3)
    assert epochs_of(windows) == [[0, 1, 2], [3, 4, 5], [6, -1, -1]]
    batch = windows[np.array([2, 0])]
    assert batch.labels.tolist() == [[1, -1, -1], [0, 1, 2]]
    assert batch.present.tolist() == [[True, False, False], [True, True, True]]
    assert batch.signals["eeg"].shape == (2, 3, LENGTH)
    assert (batch.signals["eeg"][0, 1:] == 0).all()
    np.testing.assert_array_equal(batch.signals["eeg"][0, 0], RAMP[6 * 3000 : 7 * 3000])
    np.testing.assert_array_equal(batch.signals["eeg"][1].reshape(-1), RAMP[: 3 * 3000])
    assert (batch.labels.dtype, batch.present.dtype) == (torch.int64, torch.bool)
    assert batch.signals["eeg"].dtype == torch.float32


@pytest.mark.parametrize("normalisation", ["robust_night", "minmax_window"])
def test_padding_is_zero_under_any_normalisation(tmp_path, normalisation):
    store = made_store(tmp_path / "s", {"a": hypnogram([0, 30])}, {"eeg": RAMP}, median=500.0, offset=7.0)
    config = DataConfig(window=4, normalisation=normalisation)
    batch = Windows(store, ("a",), config, ("eeg",))[np.array([0])]
    assert (batch.signals["eeg"][0, 2:] == 0).all() and (batch.signals["eeg"][0, :2] != 0).any()


@pytest.mark.parametrize(("gap", "epochs"), [(0.04, [[0, 1, 2, 3]]), (0.06, [[0, 1, -1, -1], [2, 3, -1, -1]])])
def test_a_gap_breaks_a_run(tmp_path, gap, epochs):
    windows = ramp_windows(tmp_path, hypnogram([0, 30, 60 + gap, 90 + gap]), window=4)
    assert epochs_of(windows) == epochs


def test_a_sleep_epoch_that_cannot_be_used_breaks_a_run(tmp_path):
    windows = ramp_windows(tmp_path, hypnogram([-30.0, 0, 30, 60]), window=2)
    assert epochs_of(windows) == [[1, 2], [3, -1]]


def test_windows_of_unscored_sleep_epochs_do_not_train(tmp_path):
    night = hypnogram(30 * np.arange(6), labels=[-1, -1, -1, 2, 4, -1])
    store = made_store(tmp_path / "s", {"a": night}, {"eeg": RAMP})
    config = DataConfig(window=2, classes=4)
    assert epochs_of(Windows(store, ("a",), config, ("eeg",))) == [[2, 3], [4, 5]]
    everything = Windows(store, ("a",), config, ("eeg",), scored_only=False)
    assert epochs_of(everything) == [[0, 1], [2, 3], [4, 5]]
    assert everything.table.labels.tolist() == [[-1, -1], [-1, 1], [3, -1]]


def test_a_night_without_a_scored_sleep_epoch_is_named(tmp_path):
    store = made_store(tmp_path / "s", {"a": hypnogram([0, 30], labels=[-1, -1])}, {"eeg": RAMP})
    with pytest.raises(UserError, match="s: none of a holds a scored sleep epoch"):
        Windows(store, ("a",), DataConfig(), ("eeg",))
    assert len(Windows(store, ("a",), DataConfig(), ("eeg",), scored_only=False)) == 2


@pytest.mark.parametrize("n", [1, 2, 5, 35])
def test_each_usable_sleep_epoch_is_in_one_window_once(tmp_path, n):
    rng = np.random.default_rng(n)
    nights = {}
    for name in ("a", "b", "c"):
        gaps = np.where(rng.random(8) < 0.3, rng.uniform(0.1, 20, 8), 0.0)
        nights[name] = hypnogram(1.5 + 30 * np.arange(8) + np.cumsum(gaps), labels=rng.integers(0, 5, 8))
    store = made_store(tmp_path / "s", nights, {"eeg": RAMP})
    windows = Windows(store, tuple(nights), DataConfig(window=n, classes=5), ("eeg",), scored_only=False)
    seen = [
        (int(night), int(k))
        for night, row in zip(windows.table.recording, windows.table.sleep_epoch, strict=True)
        for k in row[row >= 0]
    ]
    expected = [
        (i, k) for i, night in enumerate(nights.values()) for k in range(8) if round(night.onset_s[k] * 100) <= 27000
    ]
    assert sorted(seen) == expected
    np.testing.assert_array_equal(windows.table.present, windows.table.sleep_epoch >= 0)
    for night, row, starts in zip(
        windows.table.recording, windows.table.sleep_epoch, windows.table.start_s, strict=True
    ):
        used = row[row >= 0]
        np.testing.assert_array_equal(used, used[0] + np.arange(len(used)))
        np.testing.assert_allclose(np.diff(starts[: len(used)]), 30, atol=0.05)
        np.testing.assert_allclose(starts[: len(used)], list(nights.values())[night].onset_s[used])


@pytest.mark.parametrize(("classes", "expected"), [(3, [0, 1, 1, 1, 2]), (4, [0, 1, 1, 2, 3]), (5, [0, 1, 2, 3, 4])])
def test_classes_are_a_choice_of_reading(tmp_path, classes, expected):
    windows = ramp_windows(tmp_path, hypnogram(30 * np.arange(6), labels=[0, 1, 2, 3, 4, -1]), classes=classes)
    assert windows[np.arange(5)].labels[:, 0].tolist() == expected


# --- normalisation ---

NOISE = np.rint(np.random.default_rng(0).standard_t(2, size=100 * 100) * 300).clip(-32767, 32767).astype(np.int16)
NOISE[3000:6000] = 17  # a flat window
FACTS = {"scale": 0.0123, "offset": -4.5, "median": -3.25, "iqr": 5.5}


def normalised(tmp_path, polarity, rate_hz=100.0, settings=None, facts=FACTS, **config):
    signals = {"eeg": NOISE, "ecg": NOISE}
    night = hypnogram([0.5, 30.0, 60.0])
    store = made_store(tmp_path / "s", {"a": night}, signals, rate_hz, settings, polarity=polarity, **facts)
    windows = Windows(store, ("a",), DataConfig(**config), ("eeg", "ecg"))
    batch = windows[np.arange(3)]
    length = round(30 * rate_hz)
    starts = [round(onset * rate_hz) for onset in night.onset_s]
    raw = np.stack([NOISE[s : s + length] for s in starts]).astype(np.float64)
    return raw, {name: x[:, 0].numpy() for name, x in batch.signals.items()}


SIGN = {  # data.ecg_polarity: what the ECG of a recording found upright, upside down, is multiplied with
    "corrected": {1: 1, -1: -1},
    "as_recorded": {1: 1, -1: 1},
    "inverted": {1: -1, -1: -1},
}


@pytest.mark.parametrize("choice", SIGN)
@pytest.mark.parametrize("polarity", [1, -1])
def test_robust_night_in_float64(tmp_path, choice, polarity):
    raw, read = normalised(tmp_path, polarity, ecg_polarity=choice, clip=8.0)
    physical = 0.0123 * raw - 4.5
    expected = np.clip((physical + 3.25) / 5.5, -8, 8)
    assert (np.abs(expected) == 8).any()
    np.testing.assert_allclose(read["eeg"], expected, rtol=0, atol=2e-6)  # the EEG is never turned
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
        assert (read[name][1] == 0).all()  # the flat one


def test_a_scale_of_volts_loses_nothing(tmp_path):
    """Numbers as small as volts, or upon an offset a million times the step, still come out to 1e-4."""
    for facts in (
        {"scale": 3e-9, "offset": 2e-4, "median": 2.1e-4, "iqr": 4e-5},
        {"scale": 0.1, "offset": 1e6, "median": 1e6 + 3, "iqr": 50.0},
    ):
        raw, read = normalised(tmp_path / str(facts["scale"]), 1, facts=facts)
        expected = np.clip((facts["scale"] * raw + facts["offset"] - facts["median"]) / facts["iqr"], -20, 20)
        np.testing.assert_allclose(read["eeg"], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalisation", ["robust_night", "minmax_window"])
@pytest.mark.parametrize("recorded_hz", [90.0, 100.0, 75.5])
def test_each_window_resampled_by_itself(tmp_path, normalisation, recorded_hz):
    """A store at the recorded rate: the window is normalised, then Fourier-resampled to the store's rate."""
    settings = StoreSettings("made up", 80.0, "each_window")
    raw, read = normalised(tmp_path, -1, recorded_hz, settings, normalisation=normalisation)
    for name, sign in (("eeg", 1), ("ecg", -1)):
        physical = sign * (0.0123 * raw - 4.5)
        if normalisation == "minmax_window":
            low, high = physical.min(axis=1, keepdims=True), physical.max(axis=1, keepdims=True)
            x = (physical - low) / np.maximum(high - low, 1e-12)
        else:
            x = np.clip((physical - sign * -3.25) / 5.5, -20, 20)
        np.testing.assert_allclose(read[name], resample(x, 2400, axis=-1), rtol=0, atol=2e-5)


def test_recordings_of_two_rates_in_one_batch(tmp_path):
    settings = StoreSettings("made up", 80.0, "each_window")
    signal = np.rint(1000 * np.sin(2 * np.pi * np.arange(9000) / 9000 * 50)).astype(np.int16)
    night = hypnogram([0.0, 30.0])
    made_store(tmp_path / "s", {"a": night}, {"eeg": signal}, 100.0, settings, iqr=1000.0)
    store = made_store(tmp_path / "s", {"b": night}, {"eeg": signal}, 120.0, settings, iqr=1000.0)
    windows = Windows(store, ("a", "b"), DataConfig(), ("eeg",))
    chosen = np.array([3, 0, 2, 1])
    batch = windows[chosen].signals["eeg"]
    assert batch.shape == (4, 1, 2400)
    for x, w in zip(batch, chosen, strict=True):
        rate = (100, 120)[w // 2]
        expected = resample(signal[30 * rate * (w % 2) :][: 30 * rate] / 1000, 2400)
        np.testing.assert_allclose(x[0], expected, rtol=0, atol=1e-5)


# --- what it holds ---


def test_windows_hold_no_signal(tmp_path):
    windows = ramp_windows(tmp_path, hypnogram(30 * np.arange(9)))
    before = windows[np.arange(9)]
    assert isinstance(windows._track(0, "eeg").base, np.memmap)
    pickled = pickle.dumps(windows)
    assert len(pickled) < RAMP.nbytes / 5  # a loader process gets indices, and maps the signals anew
    np.testing.assert_array_equal(pickle.loads(pickled)[np.arange(9)].signals["eeg"], before.signals["eeg"])


def test_a_signal_that_a_recording_lacks_is_named(tmp_path):
    store = made_store(tmp_path / "s", {"a": hypnogram([0, 30])}, {"eeg": RAMP})
    with pytest.raises(UserError, match="a: holds no ecg; prepare it with a channel for it"):
        Windows(store, ("a",), DataConfig(), ("eeg", "ecg"))


def test_a_batch_moves_to_a_type_and_keeps_its_labels(tmp_path):
    batch = ramp_windows(tmp_path, hypnogram([0, 30]))[np.array([1])].to(torch.device("cpu"), torch.float64)
    assert batch.signals["eeg"].dtype == torch.float64
    assert (batch.labels.dtype, batch.present.dtype) == (torch.int64, torch.bool)
