"""What a network asks for: names, choices, refusals, and a pure function of what is stored."""

import dataclasses

import numpy as np
import pytest

from sleepkd.config import to_dict
from sleepkd.data.inputs import BeatsInput, SignalInput, input_spec, resolve
from sleepkd.data.data_settings import DataConfig
from sleepkd.data.recording_info import BeatsInfo, RecordingInfo
from sleepkd.data.store import StoreSettings
from sleepkd.data.store_writing import create_store, write_recording
from sleepkd.data.store import Store as OpenedStore
from sleepkd.data.segments import Segments
from sleepkd.errors import UserError
from tests.data.stored import hypnogram, made_store, signal_info

SIGNAL = np.random.default_rng(0).integers(-3000, 3000, 9000).astype(np.int16)
NIGHT = hypnogram([0.0, 30.0, 60.0])


def test_a_signal_takes_what_data_says_but_for_its_own_choices():
    data = DataConfig(clip=5.0, alignment="truncated")
    spec = resolve(
        input_spec({"eeg": {}, "ecg": {"clip": 8, "normalisation": "minmax_window"}}, "stage.inputs"), data, 200
    )
    assert spec["eeg"] == SignalInput(200, "robust_night", 5.0, "corrected", "truncated")
    assert spec["ecg"] == SignalInput(200, "minmax_window", 8.0, "corrected", "truncated")


def test_what_a_checkpoint_keeps_reads_back():
    spec = resolve(input_spec({"ecg": None, "beats": {"rate": 2}}, "x"), DataConfig(), 64)
    kept = {name: to_dict(item) for name, item in spec.items()}
    assert input_spec(kept, "last.pt: inputs") == spec
    assert spec["beats"] == BeatsInput(2.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"emg": {}}, "stage.inputs.emg: is no input; there are eeg, ecg, beats"),
        ({"ecg": {"normalization": "x"}}, "stage.inputs.ecg.normalization: unknown key; did you mean .*normalisation"),
        ({"ecg": {"clip": -1}}, "stage.inputs.ecg.clip: must be positive, is -1"),
        ({"beats": {"rate": 0}}, "stage.inputs.beats.rate: must be positive, is 0"),
        ({"beats": {"clip": 3}}, "stage.inputs.beats.clip: unknown key"),
        (["ecg"], "stage.inputs: expected inputs by name"),
    ],
)
def test_a_wrong_wish_is_named(values, message):
    with pytest.raises(UserError, match=message):
        input_spec(values, "stage.inputs")


def windows_of(store, inputs, **data):
    config = DataConfig(**data)
    return Segments([store.open("a")], {"student": resolve(input_spec(inputs, "i"), config, store.rate_hz)}, config)


def test_statistics_by_choice(tmp_path):
    facts = {"median": 10.0, "iqr": 4.0, "scored_median": -6.0, "scored_iqr": 8.0}
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL}, **facts)
    for normalisation, median, iqr in (("robust_night", 10.0, 4.0), ("robust_scored", -6.0, 8.0)):
        x = windows_of(store, {"ecg": {}}, normalisation=normalisation, clip=1e6)[np.arange(3)].inputs["student"]["ecg"]
        np.testing.assert_allclose(x.flatten(), (SIGNAL.astype(float) - median) / iqr, atol=1e-3)


def test_physical_is_in_units_whatever_the_night(tmp_path):
    facts = {"scale": 0.5, "offset": 2.0, "median": 40.0, "iqr": 7.0}
    spec = {"normalisation": "physical", "clip": 10.0}
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"eeg": SIGNAL, "ecg": SIGNAL}, **facts)
    data = DataConfig(**spec)
    wanted = resolve({"eeg": SignalInput(), "ecg": SignalInput()}, data, store.rate_hz)
    assert all(item.causal for item in wanted.values()) and not SignalInput().resolved(DataConfig(), 64).causal
    seen = Segments([store.open("a")], {"student": wanted}, data)[np.array([0])].inputs["student"]
    microvolt = SIGNAL[:3000] * 0.5 + 2
    for name, unit in (("eeg", 20), ("ecg", 100)):
        np.testing.assert_allclose(seen[name][0, 0], np.clip(microvolt / unit, -10, 10), rtol=1e-5, atol=1e-5)


def test_false_leaves_out_an_input_that_an_earlier_config_names():
    assert list(input_spec({"ecg": False, "beats": {}}, "stage.inputs")) == ["beats"]
    with pytest.raises(UserError, match=r"stage.inputs.emg: is no input"):
        input_spec({"emg": False}, "stage.inputs")


def test_a_store_of_the_version_before_is_refused_with_the_command_that_mends_it(tmp_path):
    store = made_store(
        tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL}, median=None, iqr=None, scored_median=1.0, scored_iqr=2.0
    )
    with pytest.raises(
        UserError, match=r"s: was prepared by an earlier version.*python -m sleepkd.prepare --mend .*/s"
    ):
        windows_of(store, {"ecg": {}})
    assert len(windows_of(store, {"ecg": {}}, normalisation="robust_scored")) == 3
    assert len(windows_of(store, {"ecg": {}}, normalisation="minmax_window")) == 3


def test_a_night_without_labels_has_no_scored_statistics(tmp_path):
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL}, scored_median=None, scored_iqr=None)
    with pytest.raises(UserError, match=r"a: has no labels; data\.normalisation robust_scored needs them"):
        windows_of(store, {"ecg": {}}, normalisation="robust_scored")
    assert len(windows_of(store, {"ecg": {}})) == 3


def test_another_rate_is_refused(tmp_path):
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL})
    with pytest.raises(UserError, match=r"a: is read at 100 Hz, the network was made for 64 Hz; .*--rate 64"):
        windows_of(store, {"ecg": {"rate": 64}})


def test_no_beats_is_named(tmp_path):
    store = made_store(tmp_path / "s", {"a": NIGHT}, {"ecg": SIGNAL})
    with pytest.raises(UserError, match="a: holds no beats; prepare it without --no-beats"):
        windows_of(store, {"beats": {}})


@pytest.mark.parametrize("view", ["epochs", "night"])
def test_ecg_at_100_hz_beside_beats_at_4_hz_in_one_batch(tmp_path, view):
    beats = np.arange(0.5, 90.0, 0.8)
    create_store(tmp_path / "s", StoreSettings("made up", 100.0))
    info = RecordingInfo(
        recording="a", subject="a", subset="all", standard="aasm", source="x", scoring="y", seconds=90.0,
        signals={"ecg": signal_info(SIGNAL, 100.0)}, ignored_annotations={},
        beats=BeatsInfo("made up", len(beats), 0.8),
    )  # fmt: skip
    write_recording(tmp_path / "s", info, {"ecg": SIGNAL}, NIGHT, beats, np.ones(3))
    segments = windows_of(OpenedStore(tmp_path / "s"), {"ecg": {}, "beats": {}}, view=view)
    inputs = segments[np.arange(len(segments))].inputs["student"]
    if view == "epochs":
        assert (inputs["ecg"].shape, inputs["beats"].shape) == ((3, 1, 3000), (3, 1, 3, 120))
    else:
        assert (inputs["ecg"].shape, inputs["beats"].shape) == ((1, 1, 9000), (1, 1, 3, 360))
    slow, fast, quality = inputs["beats"].movedim(2, 0).flatten(1)
    np.testing.assert_allclose(slow, 0, atol=1e-5)  # every interval is the night's median
    np.testing.assert_allclose(fast, 0, atol=1e-5)
    assert quality.mean() > 0.98


def test_beats_alone_make_a_night(tmp_path):
    beats = np.arange(0.5, 90.0, 0.8)
    create_store(tmp_path / "s", StoreSettings("made up", 100.0))
    info = RecordingInfo(
        recording="a", subject="a", subset="all", standard="aasm", source="x", scoring="y", seconds=90.0,
        signals={}, ignored_annotations={}, beats=BeatsInfo("made up", len(beats), 0.8),
    )  # fmt: skip
    write_recording(tmp_path / "s", info, {}, NIGHT, beats, np.ones(3))
    store = OpenedStore(tmp_path / "s")
    assert len(windows_of(store, {"beats": {}})) == 3
    with pytest.raises(UserError, match="a: holds no ecg"):
        windows_of(store, {"ecg": {}, "beats": {}})


def test_choices_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SignalInput().clip = 3
